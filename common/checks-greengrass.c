/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "common/certificate.h"
#include "common/checks-private.h"
#include "common/redact.h"

#include "build-config.h"

#include <string.h>
#include <sys/stat.h>

static gboolean
has_weak_pin (const char *text)
{
  g_autoptr (GPtrArray) pins = redact_find (text);

  for (guint i = 0; i < pins->len; i++)
    if (checks_is_weak_pin (g_ptr_array_index (pins, i)))
      return TRUE;
  return FALSE;
}

static gboolean
has_pin (const char *text)
{
  g_autoptr (GPtrArray) pins = redact_find (text);

  return pins->len > 0;
}

static void
check_config (Checks *checks, const char *name, char *text)
{
  g_autofree char *path = checks_path (checks, name);
  g_autofree char *remedy = g_strdup_printf ("chmod 0640 %s, and set another PIN", name);
  struct stat status = { 0 };
  guint n_before = checks->results->len;

  if (stat (path, &status) == 0 && (status.st_mode & 0007) != 0 && has_pin (text))
    checks_add (checks->results, "greengrass.config", CHECK_FAULT, remedy,
                "%s has a PIN in it and is open to every user (mode %04o)", name,
                (guint)status.st_mode & 07777);
  if (has_weak_pin (text))
    checks_add (checks->results, "greengrass.config", CHECK_FAULT,
                "set another PIN, or let the PIN stay in its file (pin-source)",
                "the PIN in %s is one that everybody tries first", name);
  if (strcasestr (text, "pkcs11") == NULL)
    checks_add (checks->results, "greengrass.config", CHECK_WARNING,
                "ggtpmctl config write v1|v2|lite",
                "%s uses no PKCS#11 key: the private key is not in the TPM", name);
  else if (strstr (text, "_xxxxxx_") != NULL || strstr (text, "ZZZZZZZ") != NULL ||
           strstr (text, "YYYYYYY") != NULL)
    checks_add (checks->results, "greengrass.config", CHECK_FAULT,
                "put in the values of your account, or ggtpmctl config write",
                "%s still has placeholders of the application note in it", name);
  else if (checks->results->len == n_before)
    checks_add (checks->results, "greengrass.config", CHECK_OK, NULL,
                "%s uses a PKCS#11 key, mode %04o", name, (guint)status.st_mode & 07777);
}

void
checks_greengrass_config (Checks *checks)
{
  const char *const *names = checks_get_greengrass_files ();
  guint n_before = checks->results->len;

  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autofree char *text = checks_read (checks, names[i]);

      if (text != NULL)
        {
          check_config (checks, names[i], text);
          secret_wipe (text, strlen (text));
        }
      else if (checks_exists (checks, names[i]))
        checks_add (checks->results, "greengrass.config", CHECK_UNKNOWN, "run this as root",
                    "%s cannot be read", names[i]);
    }
  if (checks->results->len > n_before)
    return;
  if (checks_has_greengrass (checks))
    checks_add (checks->results, "greengrass.config", CHECK_WARNING,
                "ggtpmctl config write v1|v2|lite; run this as root if there is one",
                "Greengrass is here and no configuration of it can be seen");
  else
    checks_add (checks->results, "greengrass.config", CHECK_NOT_APPLICABLE, NULL,
                "Greengrass is not installed");
}

static void
check_certificate (Checks *checks, const char *name)
{
  g_autofree char *text = checks_read (checks, name);
  g_autoptr (X509) certificate = NULL;
  gint64 not_before = 0;
  gint64 not_after = 0;

  if (text == NULL)
    {
      checks_add (checks->results, "greengrass.certificate", CHECK_WARNING,
                  "put it there, or mend the path in the configuration; run this as root if it is",
                  "%s, which Greengrass is to use, cannot be read", name);
      return;
    }
  certificate = certificate_parse_pem (text, NULL);
  if (certificate == NULL)
    {
      checks_add (checks->results, "greengrass.certificate", CHECK_UNKNOWN, NULL,
                  "%s is not one certificate in PEM", name);
      return;
    }
  certificate_get_validity (certificate, &not_before, &not_after);
  checks_add_validity (checks->results, "greengrass.certificate", name, not_before, not_after,
                       checks->tree->now);
}

void
checks_greengrass_certificates (Checks *checks)
{
  const char *const *names = checks_get_greengrass_files ();
  g_autoptr (GRegex) regex =
      g_regex_new ("(?<![A-Za-z0-9_.])/[^\\s\"'<>:]+\\.(?:pem|crt|cer)\\b", 0, 0, NULL);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autofree char *text = checks_read (checks, names[i]);
      g_autofree char *valid = g_utf8_make_valid (text != NULL ? text : "", -1);
      g_autoptr (GMatchInfo) match = NULL;

      g_regex_match (regex, valid, 0, &match);
      while (g_match_info_matches (match))
        {
          char *found = g_match_info_fetch (match, 0);

          /* file:///greengrass/... */
          memmove (found, found + strspn (found, "/") - 1,
                   strlen (found) - strspn (found, "/") + 2);
          if (!g_hash_table_contains (seen, found))
            check_certificate (checks, found);
          g_hash_table_add (seen, found);
          g_match_info_next (match, NULL);
        }
    }
  if (g_hash_table_size (seen) == 0)
    checks_add (checks->results, "greengrass.certificate", CHECK_NOT_APPLICABLE, NULL,
                "no configuration of Greengrass names a certificate file");
}

/* Whether a drop-in of @unit has both the group and the store. */
static gboolean
has_drop_in (const Checks *checks, const char *unit)
{
  g_autofree char *dir = g_strdup_printf ("/etc/systemd/system/%s.d", unit);
  g_autofree char *unit_path = g_strdup_printf ("/etc/systemd/system/%s", unit);
  g_autofree char *own = checks_read (checks, unit_path);
  g_auto (GStrv) names = checks_list (checks, dir);
  GString *all = g_string_new (own);
  g_autofree char *text = NULL;

  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    {
      g_autofree char *path = g_build_filename (dir, names[i], NULL);
      g_autofree char *part = checks_read (checks, path);

      g_string_append (all, part != NULL ? part : "");
    }
  text = g_string_free (all, FALSE);
  return strstr (text, "TPM2_PKCS11_STORE") != NULL &&
         g_regex_match_simple ("^(Supplementary)?Groups?=.*\\b" GGTPM_GROUP "\\b", text,
                               G_REGEX_MULTILINE, 0);
}

void
checks_greengrass_service (Checks *checks)
{
  static const char *const units[] = { "greengrass.service", "greengrass-lite.target",
                                       "ggl.core.iotcored.service" };
  guint n_before = checks->results->len;

  for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
    {
      g_autofree char *remedy = g_strdup_printf ("ggtpmctl config write drop-in %s", units[i]);

      if (!checks_has_unit (checks, units[i]))
        continue;
      if (!checks_is_enabled (checks, units[i]))
        checks_add (checks->results, "greengrass.service", CHECK_WARNING, "systemctl enable it",
                    "%s is installed and starts at no boot", units[i]);
      if (g_str_has_suffix (units[i], ".service") && !has_drop_in (checks, units[i]))
        checks_add (checks->results, "greengrass.service", CHECK_FAULT, remedy,
                    "%s is told neither of the key store nor given the group %s", units[i],
                    GGTPM_GROUP);
      else
        checks_add (checks->results, "greengrass.service", CHECK_OK, NULL, "%s is installed",
                    units[i]);
    }
  if (checks->results->len > n_before)
    return;
  if (checks_has_greengrass (checks))
    checks_add (checks->results, "greengrass.service", CHECK_WARNING,
                "install its unit, so that systemd starts it after ggtpmd",
                "Greengrass is here and has no service");
  else
    checks_add (checks->results, "greengrass.service", CHECK_NOT_APPLICABLE, NULL,
                "Greengrass is not installed");
}
