/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/files.h"
#include "client/objects.h"
#include "client/output.h"

#include <stdarg.h>

#define PREFIX       "ggtpm_"
#define TEXT(value)  ((value) != NULL ? (value) : "")
#define ISSUE_FORMAT "(&s&s&s&st@a{sv})"

/* The text format of Prometheus, and the same samples for JSON. */
typedef struct
{
  GString *text;
  GVariantBuilder samples; /* aa{sv} */
  const char *name;        /* of the family that samples belong to */
} Metrics;

/* Backslash and line feed, and the quotation mark in a label's value. */
static void
append_escaped (GString *text, const char *value)
{
  g_autofree char *valid = g_utf8_make_valid (value, -1);

  for (const char *at = valid; *at != '\0'; at++)
    {
      if (*at == '\\' || *at == '"')
        g_string_append_c (text, '\\');
      if (*at == '\n')
        g_string_append (text, "\\n");
      else
        g_string_append_c (text, *at);
    }
}

static void
begin_type (Metrics *metrics, const char *name, const char *help, const char *type)
{
  metrics->name = name;
  g_string_append_printf (metrics->text, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name,
                          help, name, type);
}

/* A family is a gauge unless the daemon alone counts: what is counted in the chip may go back. */
static void
begin (Metrics *metrics, const char *name, const char *help)
{
  begin_type (metrics, name, help, "gauge");
}

/* @text: the value as Prometheus has it; @value: for JSON; names and values of labels, up to a NULL. */
static void
add_sample (Metrics *metrics, const char *text, GVariant *value, va_list arguments)
{
  GVariantBuilder labels = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  GVariantBuilder sample = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *full = g_strconcat (PREFIX, metrics->name, NULL);
  const char *name = NULL;
  char separator = '{';

  g_string_append (metrics->text, full);
  while ((name = va_arg (arguments, const char *)) != NULL)
    {
      const char *label = va_arg (arguments, const char *);
      g_autofree char *valid = g_utf8_make_valid (TEXT (label), -1);

      g_string_append_printf (metrics->text, "%c%s=\"", separator, name);
      append_escaped (metrics->text, valid);
      g_string_append_c (metrics->text, '"');
      output_add (&labels, name, "s", valid);
      separator = ',';
    }
  g_string_append_printf (metrics->text, "%s %s\n", separator == ',' ? "}" : "", text);

  output_add (&sample, "name", "s", full);
  g_variant_builder_add (&sample, "{sv}", "labels", g_variant_builder_end (&labels));
  g_variant_builder_add (&sample, "{sv}", "value", value);
  g_variant_builder_add_value (&metrics->samples, g_variant_builder_end (&sample));
}

static void G_GNUC_NULL_TERMINATED
add (Metrics *metrics, guint64 value, ...)
{
  g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, value);
  va_list arguments;

  va_start (arguments, value);
  add_sample (metrics, text, g_variant_new_uint64 (value), arguments);
  va_end (arguments);
}

/* Seconds, as is the custom there. */
static void G_GNUC_NULL_TERMINATED
add_time (Metrics *metrics, guint32 us, ...)
{
  g_autofree char *text = g_strdup_printf ("%u.%06u", us / 1000000, us % 1000000);
  va_list arguments;

  va_start (arguments, us);
  add_sample (metrics, text, g_variant_new_double (us / 1e6), arguments);
  va_end (arguments);
}

static void
add_single (Metrics *metrics, const char *name, const char *help, guint64 value)
{
  begin (metrics, name, help);
  add (metrics, value, NULL);
}

/* One sample for each state there is; 1 for the one that is. */
static void
add_states (Metrics *metrics,
            const char *name,
            const char *help,
            const char *const *states,
            const char *state)
{
  begin (metrics, name, help);
  for (guint i = 0; states[i] != NULL; i++)
    add (metrics, g_strcmp0 (states[i], state) == 0, "state", states[i], NULL);
}

static void
add_daemon (Metrics *metrics, Client *client)
{
  static const char *const states[] = { "starting", "ready", "unavailable", "failed", NULL };

  begin (metrics, "daemon_info", "Version and mode of ggtpmd.");
  add (metrics, 1, "version", ggtpm_manager_get_version (client->manager), "mode",
       ggtpm_manager_get_mode (client->manager), NULL);
  add_states (metrics, "daemon_state", "Whether ggtpmd can reach the chip, by state.", states,
              ggtpm_manager_get_state (client->manager));
}

static void
add_device (Metrics *metrics, GgtpmDevice *device)
{
  begin (metrics, "device_info", "Identity of the TPM.");
  add (metrics, 1, "manufacturer", ggtpm_device_get_manufacturer (device), "model",
       ggtpm_device_get_model (device), "firmware", ggtpm_device_get_firmware_version (device),
       "node", ggtpm_device_get_node (device), NULL);
}

static void
add_issues (Metrics *metrics, GVariant *issues)
{
  gsize n_issues = issues != NULL ? g_variant_n_children (issues) : 0;

  begin (metrics, "health_issue", "Issues of the TPM that are active, 1 each.");
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
      add (metrics, 1, "id", id, "severity", severity, NULL);
    }
  add_single (metrics, "health_issues", "Number of active issues of the TPM.", n_issues);
}

static void
add_latencies (Metrics *metrics, GVariant *now, GVariant *baseline)
{
  GVariantIter iter;
  const char *command;
  guint32 median, high, longest;

  if (now == NULL || baseline == NULL)
    return;
  begin (
      metrics, "command_latency_seconds",
      "What the TPM takes for a command: quantiles of the last few hundred, and the longest (1).");
  g_variant_iter_init (&iter, now);
  while (g_variant_iter_next (&iter, "{&s(uuu)}", &command, &median, &high, &longest))
    {
      add_time (metrics, median, "command", command, "quantile", "0.5", NULL);
      add_time (metrics, high, "command", command, "quantile", "0.95", NULL);
      add_time (metrics, longest, "command", command, "quantile", "1", NULL);
    }
  begin (metrics, "command_latency_baseline_seconds",
         "The median when the TPM was first well known.");
  g_variant_iter_init (&iter, baseline);
  while (g_variant_iter_next (&iter, "{&su}", &command, &median))
    add_time (metrics, median, "command", command, NULL);
}

static void
add_healings (Metrics *metrics, GVariant *healings)
{
  GVariantIter iter;
  const char *action;
  guint32 count;

  if (healings == NULL)
    return;
  begin_type (metrics, "healings_total", "Steps of healing that ggtpmd has done since its start.",
              "counter");
  g_variant_iter_init (&iter, healings);
  while (g_variant_iter_next (&iter, "{&su}", &action, &count))
    add (metrics, count, "action", action, NULL);
}

/* What the chip does not say is left out. */
static void
add_count (Metrics *metrics, const char *name, const char *help, guint32 count)
{
  if (count != G_MAXUINT32)
    add_single (metrics, name, help, count);
}

static void
add_foresight (Metrics *metrics, GgtpmHealth *health)
{
  add_count (metrics, "lockout_failures_left",
             "Failed authorisations that are left before the TPM locks.",
             ggtpm_health_get_lockout_failures_left (health));
  add_single (metrics, "lockout_failures_today",
              "By how much the counter of failed authorisations rose in the last 24 hours.",
              ggtpm_health_get_lockout_failures_today (health));
  add_single (metrics, "lockout_expected_timestamp_seconds",
              "When the TPM locks if that goes on; 0: not foreseeable.",
              ggtpm_health_get_lockout_expected_at (health));
  add_single (metrics, "unclean_shutdowns", "Losses of power that the TPM was not told of.",
              ggtpm_health_get_unclean_shutdowns (health));
  add_single (metrics, "commands", "TPM commands that the daemon has sent since its start.",
              ggtpm_health_get_command_count (health));
  add_single (metrics, "commands_failed", "Those of them that the TPM refused or did not answer.",
              ggtpm_health_get_error_count (health));
  add_count (metrics, "persistent_objects", "Persistent objects in the TPM.",
             ggtpm_health_get_persistent_used (health));
  add_count (metrics, "persistent_objects_available",
             "Persistent objects that there is room for, by the TPM's estimate.",
             ggtpm_health_get_persistent_available (health));
  add_count (metrics, "object_slots_available",
             "Slots for objects that are free or that the daemon can free.",
             ggtpm_health_get_transient_available (health));
  add_count (metrics, "sessions_available", "Sessions that can be started.",
             ggtpm_health_get_sessions_available (health));
  add_count (metrics, "nv_indices", "NV indices that are defined.",
             ggtpm_health_get_nv_indices (health));
}

static void
add_health (Metrics *metrics, GgtpmHealth *health)
{
  static const char *const states[] = { "unknown", "ok", "degraded", "failed", NULL };

  add_states (metrics, "health_state", "Verdict on the TPM, by state.", states,
              ggtpm_health_get_state (health));
  add_issues (metrics, ggtpm_health_get_issues (health));
  add_single (metrics, "health_check_timestamp_seconds", "When the TPM was last asked.",
              ggtpm_health_get_last_check (health));
  add_single (metrics, "lockout_active", "Whether the TPM refuses authorisations (1) or not (0).",
              ggtpm_health_get_in_lockout (health));
  add_single (metrics, "lockout_failures", "Failed authorisations that count towards lockout.",
              ggtpm_health_get_lockout_counter (health));
  add_single (metrics, "lockout_failures_limit", "Failed authorisations at which the TPM locks.",
              ggtpm_health_get_lockout_max (health));
  add_single (metrics, "lockout_interval_seconds",
              "Time after which one failed authorisation is forgotten; 0: never.",
              ggtpm_health_get_lockout_interval (health));
  add_single (metrics, "last_shutdown_orderly",
              "Whether the TPM was told of the last loss of power (1) or not (0).",
              ggtpm_health_get_last_shutdown_orderly (health));
  add_single (metrics, "self_test_result", "TPM code of the self-test; 0: passed.",
              ggtpm_health_get_self_test_result (health));
  add_foresight (metrics, health);
  add_healings (metrics, ggtpm_health_get_healings (health));
  add_latencies (metrics, ggtpm_health_get_latency_us (health),
                 ggtpm_health_get_latency_baseline_us (health));
}

static void
add_keys (Metrics *metrics, Client *client)
{
  g_autoptr (GPtrArray) tokens = objects_list_tokens (client);
  g_autoptr (GPtrArray) keys = objects_list_keys (client, NULL);
  g_autoptr (GPtrArray) jobs = objects_list_jobs (client);

  add_single (metrics, "tokens", "Number of PKCS#11 tokens.", tokens->len);
  begin (metrics, "token_keys", "Number of key pairs in a token.");
  for (guint i = 0; i < tokens->len; i++)
    {
      const char *label = TEXT (ggtpm_token_get_label (g_ptr_array_index (tokens, i)));
      g_autoptr (GPtrArray) own = objects_list_keys (client, label);

      add (metrics, own->len, "token", label, NULL);
    }
  begin (metrics, "key_certificate_not_after_timestamp_seconds",
         "When the certificate of a key ends; 0: it has none.");
  for (guint i = 0; i < keys->len; i++)
    {
      GgtpmKey *key = g_ptr_array_index (keys, i);
      g_autofree char *id = objects_get_key_id (key);
      g_autofree char *token = objects_get_token_label (client, ggtpm_key_get_token (key));

      add (metrics, ggtpm_key_get_certificate_not_after (key), "token", token, "key",
           ggtpm_key_get_label (key), "id", id, NULL);
    }
  add_single (metrics, "jobs", "Number of jobs that are queued or running.", jobs->len);
}

static void
collect (Metrics *metrics, Client *client)
{
  GgtpmDevice *device = NULL;
  GgtpmHealth *health = NULL;
  g_autoptr (GError) error = NULL;
  gboolean up = client_connect (client, FALSE, &error);

  add_single (metrics, "up", "Whether ggtpmd runs and answers.", up);
  if (!up)
    return;
  add_daemon (metrics, client);
  device = objects_get_device (client);
  health = objects_get_health (client);
  if (device != NULL && health != NULL && TEXT (ggtpm_device_get_family (device))[0] != '\0')
    {
      add_device (metrics, device);
      add_health (metrics, health);
    }
  add_keys (metrics, client);
}

/* A daemon that does not run is a result, not an error. */
gboolean
cmd_metrics (Client *client, const Options *options, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  Metrics metrics = { .text = text, .samples = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}")) };
  g_autoptr (GVariant) samples = NULL;
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  gboolean to_file = files_is_path (options->out);

  collect (&metrics, client);
  samples = g_variant_ref_sink (g_variant_builder_end (&metrics.samples));
  if (to_file && !files_write (options->out, text->str, text->len, error))
    return FALSE;
  if (client->json)
    {
      g_variant_builder_add (&dict, "{sv}", "metrics", samples);
      if (to_file)
        files_describe (&dict, "out", options->out);
      output_json (g_variant_builder_end (&dict));
    }
  else if (!to_file)
    output_text ("%s", text->str);
  return TRUE;
}
