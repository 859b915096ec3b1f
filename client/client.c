/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "client.h"

#include "dbus/error.h"
#include "dbus/names.h"

Client *
client_new (gboolean json, gboolean no_ask_password, int timeout_s)
{
  Client *client = g_new0 (Client, 1);

  client->json = json;
  client->no_ask_password = no_ask_password;
  client->timeout_s = timeout_s;
  client->start = g_get_monotonic_time ();
  return client;
}

void
client_free (Client *client)
{
  if (client == NULL)
    return;
  g_clear_object (&client->provisioning);
  g_clear_object (&client->manager);
  g_clear_object (&client->objects);
  g_clear_object (&client->connection);
  g_free (client);
}

GDBusCallFlags
client_get_flags (const Client *client)
{
  return client->no_ask_password ? G_DBUS_CALL_FLAGS_NONE
                                 : G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION;
}

int
client_get_timeout_ms (const Client *client)
{
  gint64 passed_ms = (g_get_monotonic_time () - client->start) / G_TIME_SPAN_MILLISECOND;

  if (client->timeout_s == 0)
    return CLIENT_TIMEOUT_S * 1000;
  return (int)MAX ((gint64)client->timeout_s * 1000 - passed_ms, 1);
}

static gboolean
is_absence (const GError *error)
{
  return g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
         g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER) ||
         g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_SPAWN_SERVICE_NOT_FOUND) ||
         /* a proxy's own, which has no better code: the owner of the name went away meanwhile */
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_FAILED);
}

/* What bus and systemd say when they cannot start the daemon. */
static gboolean
is_failed_start (const GError *error)
{
  g_autofree char *name = g_dbus_error_get_remote_error (error);

  return name != NULL && (g_str_has_prefix (name, "org.freedesktop.systemd1.") ||
                          g_str_has_prefix (name, "org.freedesktop.DBus.Error.Spawn.") ||
                          g_str_equal (name, "org.freedesktop.DBus.Error.TimedOut"));
}

void
client_convert_error (GError **error)
{
  const char *before = "";
  const char *behind = "";
  gboolean failed_start = is_failed_start (*error);
  GgtpmError code = GGTPM_ERROR_FAILED;
  g_autofree char *text = NULL;

  g_dbus_error_strip_remote_error (*error);
  if ((*error)->domain == GGTPM_ERROR)
    return;

  if (is_absence (*error))
    {
      code = GGTPM_ERROR_UNAVAILABLE;
      before = "ggtpmd is not running: start it with `systemctl start ggtpmd` (";
      behind = ")";
    }
  else if (failed_start)
    {
      code = GGTPM_ERROR_UNAVAILABLE;
      before = "ggtpmd could not be started, `systemctl status ggtpmd` says why: ";
    }
  else if (g_error_matches (*error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY))
    {
      /* The bus's, for a callee that has left it; the time limit is GDBus' own. */
      code = GGTPM_ERROR_UNAVAILABLE;
      before = "ggtpmd ended before it answered: ";
    }
  else if (g_error_matches (*error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    {
      code = GGTPM_ERROR_TIMEOUT;
      before = "ggtpmd did not answer in time: ";
    }
  else if (g_error_matches (*error, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED))
    {
      code = GGTPM_ERROR_NOT_AUTHORIZED;
      before = "the system bus refuses the call: ";
    }
  else if (g_error_matches (*error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT) ||
           g_error_matches (*error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD) ||
           g_error_matches (*error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_INTERFACE))
    {
      code = GGTPM_ERROR_NOT_FOUND;
      before = "that is gone: ";
    }
  else
    {
      ggtpm_error_convert (error);
      return;
    }

  text = g_strconcat (before, (*error)->message, behind, NULL);
  g_clear_error (error);
  g_set_error_literal (error, GGTPM_ERROR, (int)code, text);
}

/* The first question shows whether anybody answers, and in time: making proxies has no time limit. */
static gboolean
check_daemon (Client *client, gboolean start, GError **error)
{
  g_autoptr (GVariant) reply = NULL;
  GDBusCallFlags flags = start ? G_DBUS_CALL_FLAGS_NONE : G_DBUS_CALL_FLAGS_NO_AUTO_START;

  reply = g_dbus_connection_call_sync (
      client->connection, GGTPM_BUS_NAME, GGTPM_ROOT_PATH, "org.freedesktop.DBus.Properties",
      "GetAll", g_variant_new ("(s)", "org.ggtpm1.Manager"), G_VARIANT_TYPE ("(a{sv})"), flags,
      client_get_timeout_ms (client), NULL, error);
  return reply != NULL;
}

static gboolean
make_proxies (Client *client, GError **error)
{
  client->manager =
      ggtpm_manager_proxy_new_sync (client->connection, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START,
                                    GGTPM_BUS_NAME, GGTPM_ROOT_PATH, NULL, error);
  if (client->manager == NULL)
    return FALSE;
  client->provisioning =
      ggtpm_provisioning_proxy_new_sync (client->connection, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START,
                                         GGTPM_BUS_NAME, GGTPM_ROOT_PATH, NULL, error);
  if (client->provisioning == NULL)
    return FALSE;
  client->objects = ggtpm_object_manager_client_new_sync (
      client->connection, G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_DO_NOT_AUTO_START, GGTPM_BUS_NAME,
      GGTPM_ROOT_PATH, NULL, error);
  return client->objects != NULL;
}

gboolean
client_connect (Client *client, gboolean start, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  client->connection = g_bus_get_sync (G_BUS_TYPE_SYSTEM, NULL, &local_error);
  if (client->connection == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE,
                   "the system bus cannot be reached, so neither can ggtpmd: %s",
                   local_error->message);
      return FALSE;
    }
  g_dbus_connection_set_exit_on_close (client->connection, FALSE);

  if (!check_daemon (client, start, &local_error) || !make_proxies (client, &local_error))
    {
      client_convert_error (&local_error);
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  return TRUE;
}

void
client_note_failure (Client *client, const GError *error)
{
  int code = ggtpm_error_exit_code (error);
  gboolean may_pass = code == EXIT_BUSY || code == EXIT_UNAVAILABLE;

  if (client->exit_code == 0 || may_pass)
    client->exit_code = may_pass ? code : 1;
}
