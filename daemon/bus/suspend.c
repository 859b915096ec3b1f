/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "suspend.h"

#include <gio/gunixfdlist.h>
#include <unistd.h>

#define LOGIN1_NAME      "org.freedesktop.login1"
#define LOGIN1_PATH      "/org/freedesktop/login1"
#define LOGIN1_INTERFACE "org.freedesktop.login1.Manager"

struct _Suspend
{
  GDBusConnection *connection;
  Broker *broker;
  GCancellable *cancellable;
  guint watch_id;
  guint signal_id;
  int lock; /* logind's; -1: none */
};

static void
drop_lock (Suspend *suspend)
{
  if (suspend->lock >= 0)
    close (suspend->lock);
  suspend->lock = -1;
}

static void
inhibit_done (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_with_unix_fd_list_finish (
      G_DBUS_CONNECTION (source), &fds, result, &error);
  Suspend *suspend = data;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  if (reply == NULL || fds == NULL || g_unix_fd_list_get_length (fds) == 0)
    {
      g_message ("cannot hold the system's sleep, keys loaded then may be lost: %s",
                 error != NULL ? error->message : "no descriptor");
      return;
    }
  drop_lock (suspend);
  suspend->lock = g_unix_fd_list_get (fds, 0, NULL);
}

static void
take_lock (Suspend *suspend)
{
  g_dbus_connection_call_with_unix_fd_list (
      suspend->connection, LOGIN1_NAME, LOGIN1_PATH, LOGIN1_INTERFACE, "Inhibit",
      g_variant_new ("(ssss)", "sleep", "ggtpmd", "saving what is loaded in the TPM", "delay"),
      G_VARIANT_TYPE ("(h)"), G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, suspend->cancellable,
      inhibit_done, suspend);
}

static void
on_quiet (gpointer data)
{
  drop_lock (data);
}

static void
on_prepare_for_sleep (GDBusConnection *connection,
                      const char *sender,
                      const char *path,
                      const char *interface,
                      const char *signal,
                      GVariant *parameters,
                      gpointer data)
{
  Suspend *suspend = data;
  gboolean sleeping;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(b)")))
    return;
  g_variant_get (parameters, "(b)", &sleeping);
  broker_set_sleeping (suspend->broker, sleeping, sleeping ? on_quiet : NULL, suspend);
  if (!sleeping)
    take_lock (suspend);
}

static void
on_login1_appeared (GDBusConnection *connection, const char *name, const char *owner, gpointer data)
{
  take_lock (data);
}

Suspend *
suspend_new (GDBusConnection *connection, Broker *broker)
{
  Suspend *suspend = g_new0 (Suspend, 1);

  suspend->connection = g_object_ref (connection);
  suspend->broker = broker;
  suspend->cancellable = g_cancellable_new ();
  suspend->lock = -1;
  suspend->signal_id = g_dbus_connection_signal_subscribe (
      connection, LOGIN1_NAME, LOGIN1_INTERFACE, "PrepareForSleep", LOGIN1_PATH, NULL,
      G_DBUS_SIGNAL_FLAGS_NONE, on_prepare_for_sleep, suspend, NULL);
  suspend->watch_id =
      g_bus_watch_name_on_connection (connection, LOGIN1_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                      on_login1_appeared, NULL, suspend, NULL);
  return suspend;
}

void
suspend_free (Suspend *suspend)
{
  g_cancellable_cancel (suspend->cancellable);
  g_object_unref (suspend->cancellable);
  g_bus_unwatch_name (suspend->watch_id);
  g_dbus_connection_signal_unsubscribe (suspend->connection, suspend->signal_id);
  /* nobody is called back after this */
  broker_set_sleeping (suspend->broker, FALSE, NULL, NULL);
  drop_lock (suspend);
  g_object_unref (suspend->connection);
  g_free (suspend);
}
