/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "callers.h"

#include "bus/polkit.h"

/* Remembered answers of one sender; when there are more, all are asked for anew. */
#define MAX_GRANTS 64

struct _Callers
{
  GDBusConnection *connection;
  CallersVanishedFunc vanished;
  gpointer user_data;
  GHashTable *by_name; /* unique name -> Caller */
  GHashTable *calls;   /* GDBusMethodInvocation -> Caller; not owned */
  guint changed_id;
  guint polkit_watch;
};

typedef struct
{
  Callers *callers;
  char *name;
  guint n_calls;
  guint watch;
  GHashTable *grants; /* what polkit has said yes to */
} Caller;

static void
caller_free (Caller *caller)
{
  if (caller->watch != 0)
    g_bus_unwatch_name (caller->watch);
  g_hash_table_unref (caller->grants);
  g_free (caller->name);
  g_free (caller);
}

static Caller *
ensure_caller (Callers *callers, const char *name)
{
  Caller *caller = g_hash_table_lookup (callers->by_name, name);

  if (caller != NULL)
    return caller;
  caller = g_new0 (Caller, 1);
  caller->callers = callers;
  caller->name = g_strdup (name);
  caller->grants = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_hash_table_insert (callers->by_name, caller->name, caller);
  return caller;
}

static void
drop_idle (Caller *caller)
{
  if (caller->n_calls == 0 && g_hash_table_size (caller->grants) == 0)
    g_hash_table_remove (caller->callers->by_name, caller->name);
}

static void
on_caller_vanished (GDBusConnection *connection, const char *name, gpointer user_data)
{
  Caller *caller = user_data;

  caller->callers->vanished (caller->name, caller->callers->user_data);
  g_hash_table_remove_all (caller->grants);
  drop_idle (caller);
}

void
callers_watch (Callers *callers, const char *name)
{
  Caller *caller = ensure_caller (callers, name);

  if (caller->watch == 0)
    caller->watch =
        g_bus_watch_name_on_connection (callers->connection, name, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                        NULL, on_caller_vanished, caller, NULL);
}

/* A call is under way until its invocation is answered, which frees it. */
static void
on_call_ended (gpointer user_data, GObject *where_it_was)
{
  Callers *callers = user_data;
  Caller *caller = g_hash_table_lookup (callers->calls, where_it_was);

  g_hash_table_remove (callers->calls, where_it_was);
  caller->n_calls--;
  drop_idle (caller);
}

gboolean
callers_admit (Callers *callers, GDBusMethodInvocation *invocation, guint max)
{
  Caller *caller = ensure_caller (callers, g_dbus_method_invocation_get_sender (invocation));

  if (caller->n_calls >= max)
    return FALSE;
  caller->n_calls++;
  g_hash_table_insert (callers->calls, invocation, caller);
  g_object_weak_ref (G_OBJECT (invocation), on_call_ended, callers);
  return TRUE;
}

/* Remembered answers */

gboolean
callers_may (Callers *callers, const char *name, const char *grant)
{
  Caller *caller = g_hash_table_lookup (callers->by_name, name);

  return caller != NULL && g_hash_table_contains (caller->grants, grant);
}

void
callers_remember (Callers *callers, const char *name, const char *grant)
{
  Caller *caller = ensure_caller (callers, name);

  if (g_hash_table_size (caller->grants) >= MAX_GRANTS)
    g_hash_table_remove_all (caller->grants);
  g_hash_table_add (caller->grants, g_strdup (grant));
}

static gboolean
forget_one (gpointer name, gpointer value, gpointer user_data)
{
  Caller *caller = value;

  g_hash_table_remove_all (caller->grants);
  return caller->n_calls == 0;
}

static void
forget_grants (Callers *callers)
{
  g_hash_table_foreach_remove (callers->by_name, forget_one, NULL);
}

static void
on_polkit_changed (GDBusConnection *connection,
                   const char *sender_name,
                   const char *object_path,
                   const char *interface_name,
                   const char *signal_name,
                   GVariant *parameters,
                   gpointer user_data)
{
  forget_grants (user_data);
}

static void
on_polkit_appeared (GDBusConnection *connection,
                    const char *name,
                    const char *owner,
                    gpointer user_data)
{
  forget_grants (user_data);
}

static void
on_polkit_vanished (GDBusConnection *connection, const char *name, gpointer user_data)
{
  forget_grants (user_data);
}

Callers *
callers_new (GDBusConnection *connection, CallersVanishedFunc vanished, gpointer user_data)
{
  Callers *callers = g_new0 (Callers, 1);

  callers->connection = g_object_ref (connection);
  callers->vanished = vanished;
  callers->user_data = user_data;
  callers->by_name =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify)caller_free);
  callers->calls = g_hash_table_new (NULL, NULL);
  callers->changed_id = g_dbus_connection_signal_subscribe (
      connection, POLKIT_BUS_NAME, POLKIT_INTERFACE, "Changed", POLKIT_PATH, NULL,
      G_DBUS_SIGNAL_FLAGS_NONE, on_polkit_changed, callers, NULL);
  callers->polkit_watch =
      g_bus_watch_name_on_connection (connection, POLKIT_BUS_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                      on_polkit_appeared, on_polkit_vanished, callers, NULL);
  return callers;
}

void
callers_free (Callers *callers)
{
  GHashTableIter iter;
  gpointer invocation;

  g_bus_unwatch_name (callers->polkit_watch);
  g_dbus_connection_signal_unsubscribe (callers->connection, callers->changed_id);
  g_hash_table_iter_init (&iter, callers->calls);
  while (g_hash_table_iter_next (&iter, &invocation, NULL))
    g_object_weak_unref (G_OBJECT (invocation), on_call_ended, callers);
  g_hash_table_unref (callers->calls);
  g_hash_table_unref (callers->by_name);
  g_object_unref (callers->connection);
  g_free (callers);
}
