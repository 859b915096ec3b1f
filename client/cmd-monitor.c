/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/objects.h"
#include "client/output.h"
#include "dbus/error.h"
#include "dbus/names.h"

#include <glib-unix.h>

#include <string.h>

#define TEXT(value)  ((value) != NULL ? (value) : "")
#define ISSUE_FORMAT "(&s&s&s&st@a{sv})"

typedef struct
{
  Client *client;
  GMainLoop *loop;
  GHashTable *issues; /* id (char *) -> text (char *): those that were shown */
  GError *error;      /* why it ended; NULL: it was told to */
} Monitor;

/*
 * One line for one event: @details (a{sv}, floating) in JSON, the text for people.
 */
static void G_GNUC_PRINTF (4, 5)
    show (Monitor *monitor, const char *event, GVariant *details, const char *format, ...)
{
  GVariantDict dict;
  gint64 now = g_get_real_time () / G_USEC_PER_SEC;
  g_autoptr (GVariant) sunk = g_variant_ref_sink (details);
  g_autofree char *time = output_time ((guint64)now);
  g_autofree char *text = NULL;
  g_autofree char *clean = NULL;
  va_list arguments;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  if (monitor->client->json)
    {
      g_variant_dict_init (&dict, sunk);
      g_variant_dict_insert (&dict, "time", "t", (guint64)now);
      g_variant_dict_insert (&dict, "event", "s", event);
      output_json_line (g_variant_dict_end (&dict));
    }
  else
    {
      clean = output_clean (text);
      output_text ("%s  %-14s %s\n", time, event, clean);
    }
  /* Whoever reads this reads it now. */
  if (monitor->error == NULL && !output_finish (&monitor->error))
    g_main_loop_quit (monitor->loop);
}

static GVariant *
make_details (const char *name, const char *value, const char *second, const char *second_value)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *valid = g_utf8_make_valid (TEXT (value), -1);
  g_autofree char *second_valid = g_utf8_make_valid (TEXT (second_value), -1);

  output_add (&dict, name, "s", valid);
  if (second != NULL)
    output_add (&dict, second, "s", second_valid);
  return g_variant_builder_end (&dict);
}

/* Health */

static GVariant *
describe_issue (const char *id, const char *severity, const char *text, const char *remedy)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  output_add (&dict, "id", "s", id);
  output_add (&dict, "severity", "s", severity);
  output_add (&dict, "text", "s", text);
  output_add (&dict, "remedy", "s", remedy);
  return g_variant_builder_end (&dict);
}

static void
show_cleared (Monitor *monitor, GHashTable *left)
{
  GHashTableIter iter;
  gpointer id = NULL;
  gpointer text = NULL;

  g_hash_table_iter_init (&iter, monitor->issues);
  while (g_hash_table_iter_next (&iter, &id, &text))
    if (!g_hash_table_contains (left, id))
      show (monitor, "issue-cleared", make_details ("id", id, "text", text), "%s: %s",
            (const char *)id, (const char *)text);
}

/* What is new and what is gone since the last time. */
static void
compare_issues (Monitor *monitor, GVariant *issues)
{
  gsize n_issues = issues != NULL ? g_variant_n_children (issues) : 0;
  GHashTable *now = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);

  for (gsize i = 0; i < n_issues; i++)
    {
      const char *id = NULL;
      const char *severity = NULL;
      const char *text = NULL;
      const char *remedy = NULL;
      guint64 since = 0;
      g_autoptr (GVariant) evidence = NULL;

      g_variant_get_child (issues, i, ISSUE_FORMAT, &id, &severity, &text, &remedy, &since,
                           &evidence);
      if (!g_hash_table_contains (monitor->issues, id))
        show (monitor, "issue-raised", describe_issue (id, severity, text, remedy),
              "%s: %s (%s); %s", severity, text, id, remedy);
      g_hash_table_insert (now, g_strdup (id), g_strdup (text));
    }
  show_cleared (monitor, now);
  g_hash_table_unref (monitor->issues);
  monitor->issues = now;
}

static void
show_lockout (Monitor *monitor, GgtpmHealth *health)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  guint counter = ggtpm_health_get_lockout_counter (health);
  guint max = ggtpm_health_get_lockout_max (health);
  gboolean locked = ggtpm_health_get_in_lockout (health);

  output_add (&dict, "in_lockout", "b", locked);
  output_add (&dict, "lockout_counter", "u", counter);
  output_add (&dict, "lockout_max", "u", max);
  show (monitor, "lockout", g_variant_builder_end (&dict), "%u of %u failed authorisations%s",
        counter, max, locked ? ": locked" : "");
}

/* What was done, and what belongs to it: `flush (count 3)`. */
static void
show_healed (Monitor *monitor, GVariant *parameters)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GVariant) details = NULL;
  const char *action = NULL;
  const char *name = NULL;
  GVariant *value = NULL;
  GVariantIter iter;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(sa{sv})")))
    return;
  g_variant_get (parameters, "(&s@a{sv})", &action, &details);
  g_variant_iter_init (&iter, details);
  while (g_variant_iter_loop (&iter, "{&sv}", &name, &value))
    {
      g_autofree char *printed = g_variant_print (value, FALSE);

      g_string_append_printf (text, "%s%s %s", text->len > 0 ? ", " : " (", name, printed);
    }
  if (text->len > 0)
    g_string_append_c (text, ')');
  output_add (&dict, "action", "s", action);
  g_variant_builder_add (&dict, "{sv}", "details", details);
  show (monitor, "healed", g_variant_builder_end (&dict), "%s%s", action, text->str);
}

static void
on_proxy_signal (GDBusObjectManagerClient *manager,
                 GDBusObjectProxy *object,
                 GDBusProxy *proxy,
                 const char *sender,
                 const char *signal,
                 GVariant *parameters,
                 gpointer user_data)
{
  if (GGTPM_IS_HEALTH (proxy) && g_str_equal (signal, "Healed"))
    show_healed (user_data, parameters);
}

static gboolean
has (GVariant *changed, const char *property)
{
  g_autoptr (GVariant) value = g_variant_lookup_value (changed, property, NULL);

  return value != NULL;
}

static void
show_health (Monitor *monitor, GgtpmHealth *health, GVariant *changed)
{
  const char *state = TEXT (ggtpm_health_get_state (health));

  if (has (changed, "State"))
    show (monitor, "health", make_details ("state", state, NULL, NULL), "%s", state);
  if (has (changed, "Issues"))
    compare_issues (monitor, ggtpm_health_get_issues (health));
  if (has (changed, "LockoutCounter") || has (changed, "InLockout"))
    show_lockout (monitor, health);
}

/* The others */

static void
show_daemon (Monitor *monitor, GgtpmManager *manager)
{
  const char *state = TEXT (ggtpm_manager_get_state (manager));
  const char *reason = TEXT (ggtpm_manager_get_state_reason (manager));

  show (monitor, "daemon", make_details ("state", state, "state_reason", reason), "%s%s%s", state,
        reason[0] != '\0' ? ": " : "", reason);
}

static void
show_job (Monitor *monitor, GgtpmJob *job)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  const char *operation = TEXT (ggtpm_job_get_operation (job));
  const char *state = TEXT (ggtpm_job_get_state (job));
  const char *step = TEXT (ggtpm_job_get_step (job));
  double progress = ggtpm_job_get_progress (job);

  output_add (&dict, "path", "s", g_dbus_proxy_get_object_path (G_DBUS_PROXY (job)));
  output_add (&dict, "operation", "s", operation);
  output_add (&dict, "state", "s", state);
  output_add (&dict, "step", "s", step);
  output_add (&dict, "progress", "d", progress);
  show (monitor, "job", g_variant_builder_end (&dict), "%s: %s, %d%%%s%s", operation, state,
        (int)(progress * 100), step[0] != '\0' ? ", " : "", step);
}

/* The label in a token's path: a key may come before its token does. See label_encode(). Free with g_free(). */
static char *
decode_token (const char *path)
{
  const char *at = strrchr (TEXT (path), '/');
  GString *label = g_string_new (NULL);

  for (at = at != NULL ? at + 1 : ""; *at != '\0'; at++)
    {
      int high = *at == '_' ? g_ascii_xdigit_value (at[1]) : -1;
      int low = high >= 0 ? g_ascii_xdigit_value (at[2]) : -1;

      g_string_append_c (label, low >= 0 ? (char)(high * 16 + low) : *at);
      at += low >= 0 ? 2 : 0;
    }
  return g_string_free (label, FALSE);
}

static void
show_key (Monitor *monitor, const char *event, GgtpmKey *key)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *id = objects_get_key_id (key);
  g_autofree char *token = decode_token (ggtpm_key_get_token (key));
  g_autofree char *valid = g_utf8_make_valid (token, -1);
  gboolean certified = ggtpm_key_get_has_certificate (key);

  output_add (&dict, "label", "s", TEXT (ggtpm_key_get_label (key)));
  output_add (&dict, "id", "s", id);
  output_add (&dict, "token", "s", valid);
  output_add (&dict, "has_certificate", "b", certified);
  show (monitor, event, g_variant_builder_end (&dict), "%s (%s) in token %s%s",
        TEXT (ggtpm_key_get_label (key)), id, valid, certified ? ", with a certificate" : "");
}

static void
show_token (Monitor *monitor, const char *event, GgtpmToken *token)
{
  const char *label = TEXT (ggtpm_token_get_label (token));

  show (monitor, event, make_details ("label", label, NULL, NULL), "%s", label);
}

static void
show_provisioning (Monitor *monitor, GgtpmProvisioning *provisioning)
{
  const char *state = TEXT (ggtpm_provisioning_get_state (provisioning));

  show (monitor, "provisioning", make_details ("state", state, NULL, NULL), "%s", state);
}

static void
on_properties_changed (GDBusObjectManagerClient *manager,
                       GDBusObjectProxy *object,
                       GDBusProxy *proxy,
                       GVariant *changed,
                       const char *const *invalidated,
                       gpointer user_data)
{
  if (GGTPM_IS_MANAGER (proxy))
    show_daemon (user_data, GGTPM_MANAGER (proxy));
  else if (GGTPM_IS_HEALTH (proxy))
    show_health (user_data, GGTPM_HEALTH (proxy), changed);
  else if (GGTPM_IS_PROVISIONING (proxy) && has (changed, "State"))
    show_provisioning (user_data, GGTPM_PROVISIONING (proxy));
  else if (GGTPM_IS_JOB (proxy))
    show_job (user_data, GGTPM_JOB (proxy));
  else if (GGTPM_IS_KEY (proxy))
    show_key (user_data, "key-changed", GGTPM_KEY (proxy));
}

static void
show_object (Monitor *monitor, GDBusObject *object, gboolean added)
{
  g_autoptr (GDBusInterface) token = g_dbus_object_get_interface (object, "org.ggtpm1.Token");
  g_autoptr (GDBusInterface) key = g_dbus_object_get_interface (object, "org.ggtpm1.Key");
  g_autoptr (GDBusInterface) job = g_dbus_object_get_interface (object, "org.ggtpm1.Job");

  if (token != NULL)
    show_token (monitor, added ? "token-added" : "token-removed", GGTPM_TOKEN (token));
  if (key != NULL)
    show_key (monitor, added ? "key-added" : "key-removed", GGTPM_KEY (key));
  if (job != NULL && added)
    show_job (monitor, GGTPM_JOB (job));
}

static gboolean
is_running (GDBusObjectManager *objects)
{
  g_autofree char *owner =
      g_dbus_object_manager_client_get_name_owner (G_DBUS_OBJECT_MANAGER_CLIENT (objects));

  return owner != NULL;
}

/* While the daemon goes or comes all its objects do: that is no news. */

static void
on_object_added (GDBusObjectManager *objects, GDBusObject *object, gpointer user_data)
{
  if (is_running (objects))
    show_object (user_data, object, TRUE);
}

static void
on_object_removed (GDBusObjectManager *objects, GDBusObject *object, gpointer user_data)
{
  if (is_running (objects))
    show_object (user_data, object, FALSE);
}

/* How things are now: at the beginning, and when the daemon has come back. */
static void
show_all (Monitor *monitor)
{
  g_autoptr (GDBusInterface) manager = g_dbus_object_manager_get_interface (
      monitor->client->objects, GGTPM_ROOT_PATH, "org.ggtpm1.Manager");
  GgtpmHealth *health = objects_get_health (monitor->client);
  const char *state = health != NULL ? TEXT (ggtpm_health_get_state (health)) : "unknown";

  show_daemon (monitor, manager != NULL ? GGTPM_MANAGER (manager) : monitor->client->manager);
  show (monitor, "health", make_details ("state", state, NULL, NULL), "%s", state);
  if (health != NULL)
    compare_issues (monitor, ggtpm_health_get_issues (health));
}

static void
on_owner_changed (GObject *objects, GParamSpec *pspec, gpointer user_data)
{
  Monitor *monitor = user_data;

  if (is_running (G_DBUS_OBJECT_MANAGER (objects)))
    {
      show_all (monitor);
      return;
    }
  g_hash_table_remove_all (monitor->issues);
  show (monitor, "daemon", make_details ("state", "gone", "state_reason", "ggtpmd has ended"),
        "ggtpmd has ended");
}

static void
on_closed (GDBusConnection *connection, gboolean vanished, GError *why, gpointer user_data)
{
  Monitor *monitor = user_data;

  if (monitor->error == NULL)
    monitor->error = g_error_new (GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE, "the system bus went away");
  g_main_loop_quit (monitor->loop);
}

static gboolean
on_end (gpointer user_data)
{
  g_main_loop_quit (((Monitor *)user_data)->loop);
  return G_SOURCE_CONTINUE;
}

static void
run (Monitor *monitor)
{
  Client *client = monitor->client;
  guint sources[] = { g_unix_signal_add (SIGINT, on_end, monitor),
                      g_unix_signal_add (SIGTERM, on_end, monitor), 0 };

  if (client->timeout_s > 0)
    sources[2] = g_timeout_add ((guint)client_get_timeout_ms (client), on_end, monitor);
  g_signal_connect (client->connection, "closed", G_CALLBACK (on_closed), monitor);
  g_signal_connect (client->objects, "interface-proxy-properties-changed",
                    G_CALLBACK (on_properties_changed), monitor);
  g_signal_connect (client->objects, "interface-proxy-signal", G_CALLBACK (on_proxy_signal),
                    monitor);
  g_signal_connect (client->objects, "object-added", G_CALLBACK (on_object_added), monitor);
  g_signal_connect (client->objects, "object-removed", G_CALLBACK (on_object_removed), monitor);
  g_signal_connect (client->objects, "notify::name-owner", G_CALLBACK (on_owner_changed), monitor);

  show_all (monitor);
  if (monitor->error == NULL)
    g_main_loop_run (monitor->loop);

  g_signal_handlers_disconnect_by_data (client->objects, monitor);
  g_signal_handlers_disconnect_by_data (client->connection, monitor);
  for (gsize i = 0; i < G_N_ELEMENTS (sources); i++)
    if (sources[i] != 0)
      g_source_remove (sources[i]);
}

gboolean
cmd_monitor (Client *client, const Options *options, GError **error)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Monitor monitor = { .client = client, .loop = loop };

  if (!client_connect (client, FALSE, error))
    return FALSE;
  monitor.issues = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  run (&monitor);
  g_hash_table_unref (monitor.issues);
  if (monitor.error == NULL)
    return TRUE;
  g_propagate_error (error, monitor.error);
  return FALSE;
}
