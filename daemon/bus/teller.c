/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "teller.h"

/*
 * The generated code notes a change when a property is set, and puts what it has noted on the bus when it is notified
 * of the property (GObject::notify). So it is the notification that is held back.
 */
typedef struct
{
  GObject *skeleton;     /* whose data this is */
  GPtrArray *properties; /* of GParamSpec: that are to be notified of */
  guint source;
  gint64 last_us; /* monotonic; 0: never */
  TellerTold told;
  gpointer user_data;
} Teller;

static GQuark
teller_quark (void)
{
  return g_quark_from_static_string ("ggtpm-teller");
}

static void
teller_free (gpointer data)
{
  Teller *teller = data;

  g_clear_handle_id (&teller->source, g_source_remove);
  g_ptr_array_unref (teller->properties);
  g_free (teller);
}

static Teller *
ensure_teller (GObject *skeleton)
{
  Teller *teller = g_object_get_qdata (skeleton, teller_quark ());

  if (teller != NULL)
    return teller;
  teller = g_new0 (Teller, 1);
  teller->skeleton = skeleton;
  teller->properties = g_ptr_array_new ();
  g_object_set_qdata_full (skeleton, teller_quark (), teller, teller_free);
  return teller;
}

/* That of GObject: the classes between it and ours have none of their own. */
static void
notify (GObject *skeleton, guint n, GParamSpec **properties)
{
  GObjectClass *klass = g_type_class_peek (G_TYPE_OBJECT);

  klass->dispatch_properties_changed (skeleton, n, properties);
}

static void
tell (Teller *teller)
{
  g_autoptr (GPtrArray) properties = g_steal_pointer (&teller->properties);

  teller->properties = g_ptr_array_new ();
  teller->last_us = g_get_monotonic_time ();
  notify (teller->skeleton, properties->len, (GParamSpec **)properties->pdata);
  g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (teller->skeleton));
  if (teller->told != NULL)
    teller->told (teller->user_data);
}

static gboolean
on_due (gpointer user_data)
{
  Teller *teller = user_data;
  GObject *skeleton = g_object_ref (teller->skeleton);

  teller->source = 0;
  tell (teller);
  g_object_unref (skeleton);
  return G_SOURCE_REMOVE;
}

static void
schedule (Teller *teller)
{
  gint64 wait_ms =
      TELLER_INTERVAL_MS - (g_get_monotonic_time () - teller->last_us) / (G_USEC_PER_SEC / 1000);

  if (teller->source != 0)
    return;
  /* not at once: what one look at the chip has changed belongs together */
  if (teller->last_us == 0 || wait_ms <= 0)
    teller->source = g_idle_add_full (G_PRIORITY_DEFAULT, on_due, teller, NULL);
  else
    teller->source = g_timeout_add ((guint)wait_ms + 1, on_due, teller);
}

static void
dispatch_properties_changed (GObject *skeleton, guint n, GParamSpec **properties)
{
  Teller *teller = ensure_teller (skeleton);
  gboolean is_exported =
      g_dbus_interface_skeleton_get_object_path (G_DBUS_INTERFACE_SKELETON (skeleton)) != NULL;

  for (guint i = 0; i < n; i++)
    if (!is_exported || properties[i]->owner_type == G_TYPE_DBUS_INTERFACE_SKELETON)
      notify (skeleton, 1, &properties[i]); /* nothing for the bus */
    else
      {
        if (!g_ptr_array_find (teller->properties, properties[i], NULL))
          g_ptr_array_add (teller->properties, properties[i]);
        schedule (teller);
      }
}

void
teller_install (gpointer klass)
{
  G_OBJECT_CLASS (klass)->dispatch_properties_changed = dispatch_properties_changed;
}

void
teller_set_told (gpointer skeleton, TellerTold told, gpointer user_data)
{
  Teller *teller = ensure_teller (skeleton);

  teller->told = told;
  teller->user_data = user_data;
}

void
teller_flush (gpointer skeleton)
{
  Teller *teller = ensure_teller (skeleton);

  g_clear_handle_id (&teller->source, g_source_remove);
  tell (teller);
}
