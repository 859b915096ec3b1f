/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "doctor.h"

#include "client/objects.h"
#include "client/output.h"
#include "dbus/names.h"

#define TEXT(value)  ((value) != NULL ? (value) : "")
#define VENDOR_IFX   0x49465800
#define ISSUE_FORMAT "(&s&s&s&st@a{sv})"
#define FIRMWARE     "firmware."

#define VERDICT_COLUMNS 15
#define ID_COLUMNS      23

/* What is asked of the daemon, for the case that it does not run. */
static const char *const daemon_checks[] = {
  "frontend.tabrmd", "chip.identity", "chip.health", "chip.firmware", "token", "key.certificate"
};

static void
check_daemon (Client *client, GPtrArray *checks)
{
  const char *state = TEXT (ggtpm_manager_get_state (client->manager));
  const char *reason = TEXT (ggtpm_manager_get_state_reason (client->manager));
  const char *version = TEXT (ggtpm_manager_get_version (client->manager));

  if (g_str_equal (state, "ready"))
    checks_add (checks, "daemon", CHECK_OK, NULL, "ggtpmd %s is ready, mode %s", version,
                TEXT (ggtpm_manager_get_mode (client->manager)));
  else if (g_str_equal (state, "starting"))
    checks_add (checks, "daemon", CHECK_UNKNOWN, "run this again in a minute",
                "ggtpmd %s is starting", version);
  else
    checks_add (checks, "daemon", CHECK_FAULT, reason, "ggtpmd %s runs, the chip is %s", version,
                state);
}

/* The interface of tpm2-abrmd, by which most programs reach the chip. */
static void
check_tabrmd (Client *client, GPtrArray *checks)
{
  const char *mode = TEXT (ggtpm_manager_get_mode (client->manager));
  g_autoptr (GVariant) reply = NULL;
  gboolean owned = FALSE;

  reply = g_dbus_connection_call_sync (
      client->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
      "NameHasOwner", g_variant_new ("(s)", GGTPM_TABRMD_BUS_NAME), G_VARIANT_TYPE ("(b)"),
      G_DBUS_CALL_FLAGS_NONE, client_get_timeout_ms (client), NULL, NULL);
  if (reply != NULL)
    g_variant_get (reply, "(b)", &owned);

  if (reply == NULL)
    checks_add (checks, "frontend.tabrmd", CHECK_UNKNOWN, NULL, "the bus does not answer");
  else if (owned)
    checks_add (checks, "frontend.tabrmd", CHECK_OK, NULL, "%s is served", GGTPM_TABRMD_BUS_NAME);
  else if (!g_str_equal (mode, "replace"))
    checks_add (checks, "frontend.tabrmd", CHECK_NOT_APPLICABLE, NULL,
                "in mode %s ggtpmd does not serve %s", mode, GGTPM_TABRMD_BUS_NAME);
  else
    checks_add (checks, "frontend.tabrmd", CHECK_WARNING,
                "see TabrmdName= in ggtpmd.conf, and `journalctl -u ggtpmd`",
                "nobody serves %s: programs with the TCTI tabrmd do not reach the chip",
                GGTPM_TABRMD_BUS_NAME);
}

static CheckVerdict
get_verdict (const char *severity)
{
  if (g_str_equal (severity, "failed"))
    return CHECK_FAULT;
  return g_str_equal (severity, "degraded") ? CHECK_WARNING : CHECK_OK;
}

/* CHECK_OK: there is no such issue, or it is for information */
static CheckVerdict
find_issue (GVariant *issues, const char *wanted)
{
  gsize n_issues = issues != NULL ? g_variant_n_children (issues) : 0;

  for (gsize i = 0; i < n_issues; i++)
    {
      const char *id = NULL;
      const char *severity = NULL;

      g_variant_get_child (issues, i, ISSUE_FORMAT, &id, &severity, NULL, NULL, NULL, NULL);
      if (g_str_equal (id, wanted))
        return get_verdict (severity);
    }
  return CHECK_OK;
}

/* How many rules have found something, of the chip or of its firmware; what is for information does not count. */
typedef struct
{
  guint n_issues;
  guint n_unknown;
} Found;

static void
add_rule (GPtrArray *checks, GVariant *issues, GVariant *rule, Found *found)
{
  const char *id, *verdict, *text, *remedy, *source;
  CheckVerdict severity;

  g_variant_get (rule, "(&s&s&s&s&s)", &id, &verdict, &text, &remedy, &source);
  if (g_str_equal (verdict, "issue"))
    {
      severity = find_issue (issues, id);
      found->n_issues += severity != CHECK_OK ? 1 : 0;
      checks_add (checks, id, severity, remedy, "%s", text);
    }
  else if (g_str_equal (verdict, "unknown"))
    {
      found->n_unknown++;
      checks_add (checks, id, CHECK_UNKNOWN, remedy, "%s (%s)", text, source);
    }
  else if (g_str_equal (verdict, "not-applicable"))
    checks_add (checks, id, CHECK_NOT_APPLICABLE, NULL, "%s", text);
}

/* All rules but those that find nothing wrong. */
static void
add_rules (GPtrArray *checks, GgtpmHealth *health, Found *chip, Found *firmware)
{
  GVariant *rules = ggtpm_health_get_rules (health);
  gsize n_rules = rules != NULL ? g_variant_n_children (rules) : 0;

  for (gsize i = 0; i < n_rules; i++)
    {
      g_autoptr (GVariant) rule = g_variant_get_child_value (rules, i);
      const char *id = NULL;

      g_variant_get (rule, "(&s&s&s&s&s)", &id, NULL, NULL, NULL, NULL);
      add_rule (checks, ggtpm_health_get_issues (health), rule,
                g_str_has_prefix (id, FIRMWARE) ? firmware : chip);
    }
}

static void
check_health (GgtpmHealth *health, const Found *found, GPtrArray *checks)
{
  const char *state = TEXT (ggtpm_health_get_state (health));

  if (ggtpm_health_get_last_check (health) == 0 || g_str_equal (state, "unknown"))
    checks_add (checks, "chip.health", CHECK_UNKNOWN, "journalctl -u ggtpmd",
                "the chip's health could not be read yet");
  else if (found->n_issues == 0)
    checks_add (checks, "chip.health", CHECK_OK, NULL,
                "the chip is well: not locked, %u of %u failed authorisations",
                ggtpm_health_get_lockout_counter (health), ggtpm_health_get_lockout_max (health));
}

static void
check_firmware (GgtpmDevice *device, const Found *found, GPtrArray *checks)
{
  const char *firmware = TEXT (ggtpm_device_get_firmware_version (device));

  if (found->n_issues > 0)
    return;
  if (ggtpm_device_get_manufacturer_id (device) != VENDOR_IFX)
    checks_add (checks, "chip.firmware", CHECK_UNKNOWN, "ask its vendor for advisories",
                "what is known of firmware is known of Infineon's only");
  else if (found->n_unknown > 0)
    checks_add (checks, "chip.firmware", CHECK_UNKNOWN, "see the checks firmware.*",
                "no fault is known for sure of firmware %s, %u are possible", firmware,
                found->n_unknown);
  else
    checks_add (checks, "chip.firmware", CHECK_OK, NULL,
                "nothing that this version of ggtpmd knows of concerns firmware %s", firmware);
}

static void
check_chip (Client *client, GPtrArray *checks)
{
  GgtpmDevice *device = objects_get_device (client);
  GgtpmHealth *health = objects_get_health (client);
  const char *family = device != NULL ? TEXT (ggtpm_device_get_family (device)) : "";
  Found chip = { 0 };
  Found firmware = { 0 };

  if (health == NULL || family[0] == '\0')
    {
      for (guint i = 1; i <= 3; i++)
        checks_add (checks, daemon_checks[i], CHECK_UNKNOWN, "see the check daemon",
                    "ggtpmd has not read the chip yet");
      return;
    }
  checks_add (checks, "chip.identity", CHECK_OK, NULL, "%s (%s), firmware %s",
              TEXT (ggtpm_device_get_model (device)), TEXT (ggtpm_device_get_manufacturer (device)),
              TEXT (ggtpm_device_get_firmware_version (device)));
  add_rules (checks, health, &chip, &firmware);
  check_health (health, &chip, checks);
  check_firmware (device, &firmware, checks);
}

static void
check_tokens (Client *client, GPtrArray *checks)
{
  g_autoptr (GPtrArray) tokens = objects_list_tokens (client);

  for (guint i = 0; i < tokens->len; i++)
    {
      GgtpmToken *token = g_ptr_array_index (tokens, i);
      const char *label = TEXT (ggtpm_token_get_label (token));
      g_autoptr (GPtrArray) keys = objects_list_keys (client, label);
      gboolean stored = ggtpm_token_get_pin_stored (token);

      if (keys->len == 0)
        checks_add (checks, "token", CHECK_WARNING, "ggtpmctl key create", "token %s has no key",
                    label);
      else
        checks_add (checks, "token", CHECK_OK, NULL, "token %s has %u key%s%s", label, keys->len,
                    keys->len == 1 ? "" : "s",
                    stored ? "" : "; its PIN is not ggtpmd's: callers have to know it");
    }
  if (tokens->len == 0)
    checks_add (checks, "token", CHECK_WARNING, "ggtpmctl provision",
                "there is no token: nothing has been provisioned yet");
}

static void
check_certificates (Client *client, GPtrArray *checks)
{
  g_autoptr (GPtrArray) keys = objects_list_keys (client, NULL);
  gint64 now = g_get_real_time () / G_USEC_PER_SEC;

  for (guint i = 0; i < keys->len; i++)
    {
      GgtpmKey *key = g_ptr_array_index (keys, i);
      const char *label = TEXT (ggtpm_key_get_label (key));
      guint64 not_after = ggtpm_key_get_certificate_not_after (key);
      g_autofree char *what = g_strdup_printf ("the certificate of key %s", label);

      if (!ggtpm_key_get_has_certificate (key))
        checks_add (checks, "key.certificate", CHECK_WARNING,
                    "ggtpmctl key csr to a certificate authority, then ggtpmctl key install-cert",
                    "key %s has no certificate", label);
      else
        checks_add_validity (checks, "key.certificate", what, 0,
                             (gint64)MIN (not_after, (guint64)G_MAXINT64), now);
    }
  if (keys->len == 0)
    checks_add (checks, "key.certificate", CHECK_NOT_APPLICABLE, NULL, "there is no key");
}

static void
add_absence (GPtrArray *checks, const GError *error)
{
  checks_add (checks, "daemon", CHECK_FAULT, "systemctl status ggtpmd; journalctl -u ggtpmd", "%s",
              error->message);
  for (gsize i = 0; i < G_N_ELEMENTS (daemon_checks); i++)
    checks_add (checks, daemon_checks[i], CHECK_UNKNOWN, "see the check daemon",
                "only ggtpmd could say");
}

GPtrArray *
doctor_run (Client *client)
{
  ChecksTree tree = checks_tree_new ();
  GPtrArray *checks = checks_run (&tree);
  g_autoptr (GError) error = NULL;

  if (!client_connect (client, FALSE, &error))
    {
      add_absence (checks, error);
      return checks;
    }
  check_daemon (client, checks);
  check_tabrmd (client, checks);
  check_chip (client, checks);
  check_tokens (client, checks);
  check_certificates (client, checks);
  return checks;
}

/* What is shown */

static OutputColour
get_colour (CheckVerdict verdict)
{
  switch (verdict)
    {
    case CHECK_OK:
      return OUTPUT_GOOD;
    case CHECK_WARNING:
      return OUTPUT_WARNING;
    case CHECK_FAULT:
      return OUTPUT_BAD;
    case CHECK_NOT_APPLICABLE:
    case CHECK_UNKNOWN:
    default:
      return OUTPUT_PLAIN;
    }
}

char *
doctor_to_string (GPtrArray *checks, gboolean colours)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < checks->len; i++)
    {
      const Check *check = g_ptr_array_index (checks, i);
      const char *verdict = check_verdict_to_string (check->verdict);
      g_autofree char *padded = g_strdup_printf ("%-*s", VERDICT_COLUMNS, verdict);
      g_autofree char *coloured =
          output_coloured (colours ? get_colour (check->verdict) : OUTPUT_PLAIN, padded);
      g_autofree char *clean = output_clean (check->text);
      g_autofree char *remedy = output_clean (check->remedy);

      g_string_append_printf (text, "%s %-*s %s%s%s\n", coloured, ID_COLUMNS, check->id, clean,
                              remedy[0] != '\0' ? " -> " : "", remedy);
    }
  return g_string_free (text, FALSE);
}

GVariant *
doctor_describe (GPtrArray *checks)
{
  g_auto (GVariantBuilder) list = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));

  for (guint i = 0; i < checks->len; i++)
    {
      const Check *check = g_ptr_array_index (checks, i);
      g_autofree char *text = g_utf8_make_valid (check->text, -1);
      g_autofree char *remedy = g_utf8_make_valid (check->remedy, -1);
      GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

      output_add (&dict, "id", "s", check->id);
      output_add (&dict, "verdict", "s", check_verdict_to_string (check->verdict));
      output_add (&dict, "text", "s", text);
      output_add (&dict, "remedy", "s", remedy);
      g_variant_builder_add_value (&list, g_variant_builder_end (&dict));
    }
  return g_variant_builder_end (&list);
}
