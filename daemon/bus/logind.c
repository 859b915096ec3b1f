/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "logind.h"

#include <gio/gunixfdlist.h>
#include <unistd.h>

#define LOGIN1_NAME      "org.freedesktop.login1"
#define LOGIN1_PATH      "/org/freedesktop/login1"
#define LOGIN1_INTERFACE "org.freedesktop.login1.Manager"

/* One for each: for both at once logind wants the right to inhibit the lid switch, which services do not have. */
static const char *const held[] = { "sleep", "shutdown" };

struct _Logind
{
  GDBusConnection *connection;
  Broker *broker;
  GCancellable *cancellable;
  guint watch_id;
  guint sleep_id;
  guint shutdown_id;
  int locks[G_N_ELEMENTS (held)]; /* logind's; -1: none */
};

static void
drop_lock (int *lock)
{
  if (*lock >= 0)
    close (*lock);
  *lock = -1;
}

static void
drop_locks (Logind *logind)
{
  for (gsize i = 0; i < G_N_ELEMENTS (held); i++)
    drop_lock (&logind->locks[i]);
}

static void
inhibit_done (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_with_unix_fd_list_finish (
      G_DBUS_CONNECTION (source), &fds, result, &error);
  int *lock = data;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  if (reply == NULL || fds == NULL || g_unix_fd_list_get_length (fds) == 0)
    {
      g_message ("cannot hold the system's sleep and power-off, keys loaded then may be lost: %s",
                 error != NULL ? error->message : "no descriptor");
      return;
    }
  drop_lock (lock);
  *lock = g_unix_fd_list_get (fds, 0, NULL);
}

static void
take_locks (Logind *logind)
{
  for (gsize i = 0; i < G_N_ELEMENTS (held); i++)
    g_dbus_connection_call_with_unix_fd_list (
        logind->connection, LOGIN1_NAME, LOGIN1_PATH, LOGIN1_INTERFACE, "Inhibit",
        g_variant_new ("(ssss)", held[i], "ggtpmd", "saving what is loaded in the TPM", "delay"),
        G_VARIANT_TYPE ("(h)"), G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, logind->cancellable,
        inhibit_done, &logind->locks[i]);
}

static void
on_quiet (gpointer data)
{
  drop_locks (data);
}

/* @rest: what the signal is about. */
static void
prepare (Logind *logind, BrokerRest rest, GVariant *parameters)
{
  gboolean about_to;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(b)")))
    return;
  g_variant_get (parameters, "(b)", &about_to);
  broker_set_rest (logind->broker, about_to ? rest : BROKER_REST_NONE, about_to ? on_quiet : NULL,
                   logind);
  if (!about_to)
    take_locks (logind);
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
  prepare (data, BROKER_REST_SLEEP, parameters);
}

static void
on_prepare_for_shutdown (GDBusConnection *connection,
                         const char *sender,
                         const char *path,
                         const char *interface,
                         const char *signal,
                         GVariant *parameters,
                         gpointer data)
{
  prepare (data, BROKER_REST_POWER_OFF, parameters);
}

static void
on_login1_appeared (GDBusConnection *connection, const char *name, const char *owner, gpointer data)
{
  take_locks (data);
}

static guint
subscribe (Logind *logind, const char *signal, GDBusSignalCallback callback)
{
  return g_dbus_connection_signal_subscribe (logind->connection, LOGIN1_NAME, LOGIN1_INTERFACE,
                                             signal, LOGIN1_PATH, NULL, G_DBUS_SIGNAL_FLAGS_NONE,
                                             callback, logind, NULL);
}

Logind *
logind_new (GDBusConnection *connection, Broker *broker)
{
  Logind *logind = g_new0 (Logind, 1);

  logind->connection = g_object_ref (connection);
  logind->broker = broker;
  logind->cancellable = g_cancellable_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (held); i++)
    logind->locks[i] = -1;
  logind->sleep_id = subscribe (logind, "PrepareForSleep", on_prepare_for_sleep);
  logind->shutdown_id = subscribe (logind, "PrepareForShutdown", on_prepare_for_shutdown);
  logind->watch_id =
      g_bus_watch_name_on_connection (connection, LOGIN1_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                      on_login1_appeared, NULL, logind, NULL);
  return logind;
}

void
logind_free (Logind *logind)
{
  g_cancellable_cancel (logind->cancellable);
  g_object_unref (logind->cancellable);
  g_bus_unwatch_name (logind->watch_id);
  g_dbus_connection_signal_unsubscribe (logind->connection, logind->sleep_id);
  g_dbus_connection_signal_unsubscribe (logind->connection, logind->shutdown_id);
  /* nobody is called back after this */
  broker_set_rest (logind->broker, BROKER_REST_NONE, NULL, NULL);
  drop_locks (logind);
  g_object_unref (logind->connection);
  g_free (logind);
}
