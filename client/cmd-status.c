/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/issues.h"
#include "client/objects.h"
#include "client/output.h"
#include "dbus/error.h"

#define TEXT(value) ((value) != NULL ? (value) : "")

static OutputColour
get_state_colour (const char *state)
{
  if (g_str_equal (state, "ok") || g_str_equal (state, "ready"))
    return OUTPUT_GOOD;
  if (g_str_equal (state, "failed") || g_str_equal (state, "unavailable"))
    return OUTPUT_BAD;
  return OUTPUT_WARNING;
}

static void
print_row (const char *name, const char *value)
{
  output_text ("%-14s%s\n", name, value);
}

static void
print_state_row (const char *name, const char *state)
{
  g_autofree char *clean = output_clean (state);
  g_autofree char *coloured = output_coloured (get_state_colour (clean), clean);

  print_row (name, coloured);
}

/* The daemon is not there */

static void
print_absence (Client *client, const GError *error)
{
  GVariantBuilder daemon = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  client->exit_code = EXIT_UNAVAILABLE;
  if (!client->json)
    {
      g_autofree char *coloured = output_coloured (OUTPUT_BAD, "not running");
      g_autofree char *clean = output_clean (error->message);

      print_row ("Daemon", coloured);
      output_text ("  %s\n", clean);
      return;
    }
  output_add (&daemon, "running", "b", FALSE);
  output_add (&daemon, "state_reason", "s", error->message);
  g_variant_builder_add (&dict, "{sv}", "daemon", g_variant_builder_end (&daemon));
  output_json (g_variant_builder_end (&dict));
}

/* JSON */

static GVariant *
describe_daemon (Client *client)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  output_add (&dict, "running", "b", TRUE);
  output_add (&dict, "version", "s", TEXT (ggtpm_manager_get_version (client->manager)));
  output_add (&dict, "api_version", "u", ggtpm_manager_get_api_version (client->manager));
  output_add (&dict, "mode", "s", TEXT (ggtpm_manager_get_mode (client->manager)));
  output_add (&dict, "state", "s", TEXT (ggtpm_manager_get_state (client->manager)));
  output_add (&dict, "state_reason", "s", TEXT (ggtpm_manager_get_state_reason (client->manager)));
  return g_variant_builder_end (&dict);
}

static GVariant *
describe_device (GgtpmDevice *device)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  output_add (&dict, "node", "s", TEXT (ggtpm_device_get_node (device)));
  output_add (&dict, "manufacturer", "s", TEXT (ggtpm_device_get_manufacturer (device)));
  output_add (&dict, "model", "s", TEXT (ggtpm_device_get_model (device)));
  output_add (&dict, "firmware_version", "s", TEXT (ggtpm_device_get_firmware_version (device)));
  return g_variant_builder_end (&dict);
}

static GVariant *
describe_health (GgtpmHealth *health)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  output_add (&dict, "state", "s", TEXT (ggtpm_health_get_state (health)));
  output_add (&dict, "last_check", "t", ggtpm_health_get_last_check (health));
  output_add (&dict, "in_lockout", "b", ggtpm_health_get_in_lockout (health));
  output_add (&dict, "lockout_counter", "u", ggtpm_health_get_lockout_counter (health));
  output_add (&dict, "lockout_max", "u", ggtpm_health_get_lockout_max (health));
  g_variant_builder_add (&dict, "{sv}", "rules",
                         issues_describe_rules (ggtpm_health_get_rules (health)));
  g_variant_builder_add (&dict, "{sv}", "issues",
                         issues_describe (ggtpm_health_get_issues (health)));
  return g_variant_builder_end (&dict);
}

static GVariant *
describe_jobs (Client *client)
{
  g_autoptr (GPtrArray) jobs = objects_list_jobs (client);
  g_auto (GVariantBuilder) list = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));

  for (guint i = 0; i < jobs->len; i++)
    {
      GgtpmJob *job = g_ptr_array_index (jobs, i);
      GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

      output_add (&dict, "path", "s", g_dbus_proxy_get_object_path (G_DBUS_PROXY (job)));
      output_add (&dict, "operation", "s", TEXT (ggtpm_job_get_operation (job)));
      output_add (&dict, "state", "s", TEXT (ggtpm_job_get_state (job)));
      output_add (&dict, "progress", "d", ggtpm_job_get_progress (job));
      output_add (&dict, "step", "s", TEXT (ggtpm_job_get_step (job)));
      g_variant_builder_add_value (&list, g_variant_builder_end (&dict));
    }
  return g_variant_builder_end (&list);
}

static GVariant *
describe_keys (Client *client, const char *token)
{
  g_autoptr (GPtrArray) keys = objects_list_keys (client, token);
  g_auto (GVariantBuilder) list = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));

  for (guint i = 0; i < keys->len; i++)
    {
      GgtpmKey *key = g_ptr_array_index (keys, i);
      g_autofree char *id = objects_get_key_id (key);
      GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

      output_add (&dict, "label", "s", TEXT (ggtpm_key_get_label (key)));
      output_add (&dict, "id", "s", id);
      output_add (&dict, "algorithm", "s", TEXT (ggtpm_key_get_algorithm (key)));
      output_add (&dict, "has_certificate", "b", ggtpm_key_get_has_certificate (key));
      output_add (&dict, "certificate_not_after", "t", ggtpm_key_get_certificate_not_after (key));
      g_variant_builder_add_value (&list, g_variant_builder_end (&dict));
    }
  return g_variant_builder_end (&list);
}

static GVariant *
describe_tokens (Client *client)
{
  g_autoptr (GPtrArray) tokens = objects_list_tokens (client);
  g_auto (GVariantBuilder) list = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));

  for (guint i = 0; i < tokens->len; i++)
    {
      GgtpmToken *token = g_ptr_array_index (tokens, i);
      const char *label = TEXT (ggtpm_token_get_label (token));
      GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

      output_add (&dict, "label", "s", label);
      output_add (&dict, "pin_stored", "b", ggtpm_token_get_pin_stored (token));
      g_variant_builder_add (&dict, "{sv}", "keys", describe_keys (client, label));
      g_variant_builder_add_value (&list, g_variant_builder_end (&dict));
    }
  return g_variant_builder_end (&list);
}

static void
print_json (Client *client, GgtpmDevice *device, GgtpmHealth *health)
{
  GVariantBuilder provisioning = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  g_variant_builder_add (&dict, "{sv}", "daemon", describe_daemon (client));
  if (device != NULL)
    g_variant_builder_add (&dict, "{sv}", "device", describe_device (device));
  if (health != NULL)
    g_variant_builder_add (&dict, "{sv}", "health", describe_health (health));
  output_add (&provisioning, "state", "s",
              TEXT (ggtpm_provisioning_get_state (client->provisioning)));
  g_variant_builder_add (&dict, "{sv}", "provisioning", g_variant_builder_end (&provisioning));
  g_variant_builder_add (&dict, "{sv}", "jobs", describe_jobs (client));
  g_variant_builder_add (&dict, "{sv}", "tokens", describe_tokens (client));
  output_json (g_variant_builder_end (&dict));
}

/* Text */

static void
print_daemon (Client *client)
{
  const char *state = TEXT (ggtpm_manager_get_state (client->manager));
  g_autofree char *reason = output_clean (ggtpm_manager_get_state_reason (client->manager));
  g_autofree char *coloured = output_coloured (get_state_colour (state), state);
  g_autofree char *line = g_strdup_printf ("%s (ggtpmd %s, mode %s)", coloured,
                                           TEXT (ggtpm_manager_get_version (client->manager)),
                                           TEXT (ggtpm_manager_get_mode (client->manager)));

  print_row ("Daemon", line);
  if (reason[0] != '\0')
    output_text ("  %s\n", reason);
}

static void
print_chip (GgtpmDevice *device)
{
  g_autofree char *model = output_clean (ggtpm_device_get_model (device));
  g_autofree char *manufacturer = output_clean (ggtpm_device_get_manufacturer (device));
  const char *node = TEXT (ggtpm_device_get_node (device));
  g_autofree char *line = NULL;

  if (TEXT (ggtpm_device_get_family (device))[0] == '\0')
    {
      print_row ("Chip", "not read yet");
      return;
    }
  line = g_strdup_printf ("%s (%s), firmware %s%s%s", model, manufacturer,
                          TEXT (ggtpm_device_get_firmware_version (device)),
                          node[0] != '\0' ? ", " : "", node);
  print_row ("Chip", line);
}

static void
print_health (GgtpmHealth *health)
{
  const char *state = TEXT (ggtpm_health_get_state (health));
  guint max = ggtpm_health_get_lockout_max (health);
  g_autofree char *lockout = NULL;
  g_autofree char *rules = issues_count_rules (ggtpm_health_get_rules (health));

  print_state_row ("Health", state);
  issues_print (ggtpm_health_get_issues (health));
  print_row ("Rules", rules);
  if (max == 0)
    return;
  lockout = g_strdup_printf ("%u of %u failed authorisations%s",
                             ggtpm_health_get_lockout_counter (health), max,
                             ggtpm_health_get_in_lockout (health) ? ": locked out" : "");
  print_row ("Lockout", lockout);
}

static void
print_tokens (Client *client)
{
  g_autoptr (GPtrArray) tokens = objects_list_tokens (client);

  for (guint i = 0; i < tokens->len; i++)
    {
      GgtpmToken *token = g_ptr_array_index (tokens, i);
      g_autofree char *label = output_clean (ggtpm_token_get_label (token));
      g_autoptr (GPtrArray) keys = objects_list_keys (client, ggtpm_token_get_label (token));

      print_row ("Token", label);
      for (guint j = 0; j < keys->len; j++)
        {
          GgtpmKey *key = g_ptr_array_index (keys, j);
          g_autofree char *key_label = output_clean (ggtpm_key_get_label (key));
          g_autofree char *end = output_time (ggtpm_key_get_certificate_not_after (key));

          output_text (
              "  Key         %s, %s, %s%s\n", key_label, TEXT (ggtpm_key_get_algorithm (key)),
              ggtpm_key_get_has_certificate (key) ? "certificate until " : "no certificate",
              ggtpm_key_get_has_certificate (key) ? end : "");
        }
    }
}

static void
print_jobs (Client *client)
{
  g_autoptr (GPtrArray) jobs = objects_list_jobs (client);

  for (guint i = 0; i < jobs->len; i++)
    {
      GgtpmJob *job = g_ptr_array_index (jobs, i);
      g_autofree char *step = output_clean (ggtpm_job_get_step (job));
      g_autofree char *line = g_strdup_printf (
          "%s %s, %d%%: %s", TEXT (ggtpm_job_get_operation (job)), TEXT (ggtpm_job_get_state (job)),
          (int)(CLAMP (ggtpm_job_get_progress (job), 0.0, 1.0) * 100.0), step);

      print_row ("Job", line);
    }
}

static void
print_provisioning (Client *client)
{
  const char *state = TEXT (ggtpm_provisioning_get_state (client->provisioning));

  print_state_row ("Provisioning", state);
  if (g_str_equal (state, "none"))
    output_text ("  `ggtpmctl provision` makes token, key and certificate request\n");
  else if (g_str_equal (state, "partial"))
    output_text ("  begun and not finished: `ggtpmctl provision` completes it\n");
}

gboolean
cmd_status (Client *client, const Options *options, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  GgtpmDevice *device = NULL;
  GgtpmHealth *health = NULL;

  if (!client_connect (client, FALSE, &local_error))
    {
      if (g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE))
        {
          print_absence (client, local_error);
          return TRUE;
        }
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  if (g_strcmp0 (ggtpm_manager_get_state (client->manager), "ready") != 0)
    client->exit_code = EXIT_UNAVAILABLE;
  device = objects_get_device (client);
  health = objects_get_health (client);
  if (client->json)
    {
      print_json (client, device, health);
      return TRUE;
    }
  print_daemon (client);
  if (device != NULL)
    print_chip (device);
  if (health != NULL)
    print_health (health);
  print_provisioning (client);
  print_jobs (client);
  print_tokens (client);
  return TRUE;
}
