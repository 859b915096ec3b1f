/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "polkit.h"

#include "dbus/error.h"

/* CheckAuthorizationFlags of polkit's D-Bus interface */
#define ALLOW_USER_INTERACTION 1

#define CHECK_TIMEOUT_MS  (20 * 1000)
#define DIALOG_TIMEOUT_MS (300 * 1000)

#define BUS_TIMEOUT_MS (10 * 1000)

/* ---- asking polkit ---- */

static void
cancel_dialog (GTask *task)
{
  const char *id = g_task_get_task_data (task);

  if (*id == '\0')
    return;
  g_dbus_connection_call (G_DBUS_CONNECTION (g_task_get_source_object (task)), POLKIT_BUS_NAME,
                          POLKIT_PATH, POLKIT_INTERFACE, "CancelCheckAuthorization",
                          g_variant_new ("(s)", id), NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START, -1,
                          NULL, NULL, NULL);
}

static gboolean
is_absent (const GError *error)
{
  return g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
         g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER) ||
         g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_SPAWN_SERVICE_NOT_FOUND);
}

static PolkitAnswer
parse_answer (GVariant *reply)
{
  g_autoptr (GVariant) details = NULL;
  gboolean is_authorized;
  gboolean is_challenge;
  g_autofree char *temporary = NULL;

  g_variant_get (reply, "((bb@a{ss}))", &is_authorized, &is_challenge, &details);
  if (!is_authorized)
    return is_challenge ? POLKIT_ANSWER_CHALLENGE : POLKIT_ANSWER_NO;
  if (g_variant_lookup (details, "polkit.temporary_authorization_id", "s", &temporary))
    return POLKIT_ANSWER_YES_FOR_NOW;
  return POLKIT_ANSWER_YES;
}

static void
check_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GVariant) reply = NULL;

  reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &local_error);
  if (reply != NULL)
    {
      g_task_return_int (task, (gssize)parse_answer (reply));
      return;
    }
  if (is_absent (local_error))
    {
      g_task_return_int (task, POLKIT_ANSWER_ABSENT);
      return;
    }
  cancel_dialog (task);
  if (g_task_return_error_if_cancelled (task))
    return;
  g_dbus_error_strip_remote_error (local_error);
  g_task_return_new_error (task, GGTPM_ERROR, GGTPM_ERROR_NOT_AUTHORIZED,
                           "polkit could not be asked: %s", local_error->message);
}

void
polkit_check_async (GDBusConnection *connection,
                    const char *sender,
                    const char *action,
                    GVariant *details,
                    gboolean interactive,
                    GCancellable *cancellable,
                    GAsyncReadyCallback callback,
                    gpointer user_data)
{
  GTask *task = g_task_new (connection, cancellable, callback, user_data);
  char *id = interactive ? g_uuid_string_random () : g_strdup ("");
  GVariantDict subject;

  g_task_set_source_tag (task, polkit_check_async);
  g_task_set_task_data (task, id, g_free);
  g_variant_dict_init (&subject, NULL);
  g_variant_dict_insert (&subject, "name", "s", sender);
  g_dbus_connection_call (
      connection, POLKIT_BUS_NAME, POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization",
      g_variant_new ("((s@a{sv})s@a{ss}us)", "system-bus-name", g_variant_dict_end (&subject),
                     action, details, interactive ? ALLOW_USER_INTERACTION : 0, id),
      G_VARIANT_TYPE ("((bba{ss}))"), G_DBUS_CALL_FLAGS_NONE,
      interactive ? DIALOG_TIMEOUT_MS : CHECK_TIMEOUT_MS, cancellable, check_done, task);
}

gboolean
polkit_check_finish (GAsyncResult *result, PolkitAnswer *out_answer, GError **error)
{
  gssize answer = g_task_propagate_int (G_TASK (result), error);

  if (answer < 0)
    return FALSE;
  *out_answer = (PolkitAnswer)answer;
  return TRUE;
}

/* ---- without polkit ---- */

static gboolean
is_member (GVariant *groups, gid_t group)
{
  gsize n;
  const guint32 *ids = g_variant_get_fixed_array (groups, &n, sizeof *ids);

  for (gsize i = 0; i < n; i++)
    if (group != (gid_t)-1 && ids[i] == group)
      return TRUE;
  return FALSE;
}

static void
credentials_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GVariant) credentials = NULL;
  g_autoptr (GVariant) groups = NULL;
  gid_t group = (gid_t)GPOINTER_TO_UINT (g_task_get_task_data (task));
  guint32 uid;

  reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &local_error);
  if (g_task_return_error_if_cancelled (task))
    return;
  if (reply == NULL)
    {
      g_dbus_error_strip_remote_error (local_error);
      g_task_return_new_error (task, GGTPM_ERROR, GGTPM_ERROR_NOT_AUTHORIZED,
                               "the bus does not say who calls: %s", local_error->message);
      return;
    }
  credentials = g_variant_get_child_value (reply, 0);
  groups = g_variant_lookup_value (credentials, "UnixGroupIDs", G_VARIANT_TYPE ("au"));
  g_task_return_boolean (task,
                         (g_variant_lookup (credentials, "UnixUserID", "u", &uid) && uid == 0) ||
                             (groups != NULL && is_member (groups, group)));
}

/* The groups are those of the process, not of its user in the user database: a service with SupplementaryGroups= is in,
 * and no name service is asked, which could block. */
void
polkit_fallback_async (GDBusConnection *connection,
                       const char *sender,
                       gid_t group,
                       GCancellable *cancellable,
                       GAsyncReadyCallback callback,
                       gpointer user_data)
{
  GTask *task = g_task_new (connection, cancellable, callback, user_data);

  g_task_set_source_tag (task, polkit_fallback_async);
  g_task_set_task_data (task, GUINT_TO_POINTER ((guint)group), NULL);
  g_dbus_connection_call (
      connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
      "GetConnectionCredentials", g_variant_new ("(s)", sender), G_VARIANT_TYPE ("(a{sv})"),
      G_DBUS_CALL_FLAGS_NONE, BUS_TIMEOUT_MS, cancellable, credentials_done, task);
}

gboolean
polkit_fallback_finish (GAsyncResult *result, gboolean *out_allowed, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  gboolean allowed = g_task_propagate_boolean (G_TASK (result), &local_error);

  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  *out_allowed = allowed;
  return TRUE;
}
