/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* health/advisories.c: the built-in file is sound, a broken one is named with its line, and unknown stays unknown. */

#include "health/advisories.h"

#include "dbus/error.h"

#include <glib/gstdio.h>
#include <string.h>

#define REST "Severity=info\nText=t\nRemedy=r\nSource=s\n"

static void
test_broken (void)
{
  static const struct
  {
    const char *text;
    const char *error;
  } files[] = {
    { "Text=t\n", "f:1: before the first [ID]: Text" },
    { "\n[a\n", "f:2: not an id in brackets: [a" },
    { "[]\n", "f:1: not an id in brackets: []" },
    { "[A b]\n", "f:1: not an id in brackets: [A b]" },
    { "[a]\nColour=red\n", "f:2: an unknown key: Colour" },
    { "[a]\nno\n", "f:2: neither KEY=VALUE nor [ID]: no" },
    { "[a]\nText=\n", "f:2: nothing where a text must be: " },
    { "[a]\nText=\xff\n", "f:2: not UTF-8: \\377" },
    { "[a]\nText=t\nText=t\n", "f:3: a second time: Text" },
    { "[a]\nAffected=1.0\nAffected=1.0\n", "f:3: a second time: Affected" },
    { "[a]\nAffected=1\n", "f:2: not a range of firmware: 1" },
    { "[a]\nAffected=1.0-2.0-3.0\n", "f:2: not a range of firmware: 1.0-2.0-3.0" },
    { "[a]\nAffected=2.0-1.0\n", "f:2: not a range of firmware: 2.0-1.0" },
    { "[a]\nAffected=1.65536\n", "f:2: not a range of firmware: 1.65536" },
    { "[a]\nAffected=1.0 x\n", "f:2: not a range of firmware: x" },
    { "[a]\nRefuseRsaKeys=1\n", "f:2: neither yes nor no: 1" },
    { "[a]\nRefuseRsaKeys=no\nRefuseRsaKeys=yes\n", "f:3: a second time: RefuseRsaKeys" },
    { "[a]\nSeverity=bad\n", "f:2: not a severity (info, degraded, failed): bad" },
    { "[a]\nManufacturer=IFX\nAffected=\n" REST "[a]\n", "f:8: a second time: a" },
    { "[a]\nManufacturer=IFX\n" REST,
      "f:7: Manufacturer, Affected, Severity, Text, Remedy or Source is missing: a" },
    { "[a]\n[b]\n", "f:2: Manufacturer, Affected, Severity, Text, Remedy or Source is missing: a" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (advisories_parse ("f", files[i].text, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
      g_assert_cmpstr (error->message, ==, files[i].error);
    }
}

static void
test_judge (void)
{
  static const struct
  {
    const char *manufacturer;
    guint16 major;
    guint16 minor;
    AdvisoryVerdict verdict;
  } chips[] = {
    { "IFX", 1, 9, ADVISORY_NOT_AFFECTED },    { "IFX", 2, 0, ADVISORY_AFFECTED },
    { "IFX", 2, 5, ADVISORY_AFFECTED },        { "IFX", 2, 6, ADVISORY_NOT_AFFECTED },
    { "IFX", 3, 7, ADVISORY_AFFECTED },        { "IFX", 3, 8, ADVISORY_UNKNOWN },
    { "IFX", 3, 9, ADVISORY_NOT_AFFECTED },    { "STM", 2, 0, ADVISORY_NOT_APPLICABLE },
    { "IFXX", 2, 0, ADVISORY_NOT_APPLICABLE },
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) advisories = advisories_parse (
      "f", "# x\n [a] \nManufacturer = IFX\nAffected=2.0-2.5  3.7\nUnknown=3.7-3.8\n" REST, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (advisories->len, ==, 1);
  for (gsize i = 0; i < G_N_ELEMENTS (chips); i++)
    {
      FixedProperties fixed = { .firmware_1 = (guint32)chips[i].major << 16 | chips[i].minor };

      g_strlcpy (fixed.manufacturer, chips[i].manufacturer, sizeof (fixed.manufacturer));
      g_assert_cmpint (advisory_judge (advisories->pdata[0], TRUE, &fixed), ==, chips[i].verdict);
      g_assert_cmpint (advisory_judge (advisories->pdata[0], FALSE, &fixed), ==, ADVISORY_UNKNOWN);
    }
}

/* RSA keys are refused on the firmware of ADV170012, on no other, and not where nothing was read. */
static void
test_refusal (void)
{
  static const struct
  {
    const char *manufacturer;
    guint16 major;
    guint16 minor;
    gboolean is_refused;
  } chips[] = {
    { "IFX", 7, 40, TRUE },   { "IFX", 7, 61, TRUE },  { "IFX", 7, 62, FALSE },
    { "IFX", 7, 85, FALSE },  { "IFX", 5, 61, TRUE },  { "IFX", 5, 62, FALSE },
    { "IFX", 133, 32, TRUE }, { "IFX", 4, 39, FALSE }, { "STM", 7, 40, FALSE },
  };
  const char *const none[] = { NULL };
  g_autoptr (GPtrArray) advisories = advisories_load (none);

  g_assert_null (advisories_explain_refusal (NULL, TRUE, &(FixedProperties){ .family = "2.0" }));
  for (gsize i = 0; i < G_N_ELEMENTS (chips); i++)
    {
      FixedProperties fixed = { .firmware_1 = (guint32)chips[i].major << 16 | chips[i].minor };
      g_autofree char *reason = NULL;

      g_strlcpy (fixed.manufacturer, chips[i].manufacturer, sizeof (fixed.manufacturer));
      g_assert_null (advisories_explain_refusal (advisories, FALSE, &fixed));
      reason = advisories_explain_refusal (advisories, TRUE, &fixed);
      g_assert_cmpint (reason != NULL, ==, chips[i].is_refused);
      if (reason != NULL)
        g_assert_nonnull (strstr (reason, "firmware.roca). Use ECC keys, or update the firmware"));
    }
}

/* The first file that is there counts; a broken one is told and the built-in ones are used. */
static void
test_load (void)
{
  g_autofree char *dir = g_dir_make_tmp ("gg-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "a.conf", NULL);
  const char *const paths[] = { "/nonexistent/a.conf", path, NULL };
  g_autoptr (GPtrArray) built_in = advisories_load (paths);
  g_autoptr (GPtrArray) broken = NULL;
  g_autoptr (GPtrArray) other = NULL;

  g_assert_cmpuint (built_in->len, >=, 7);
  g_assert_true (g_file_set_contents (path, "[a]\nnonsense\n", -1, NULL));
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*a.conf:2: *nonsense; the built-in*");
  broken = advisories_load (paths);
  g_test_assert_expected_messages ();
  g_assert_cmpuint (broken->len, ==, built_in->len);
  g_assert_true (
      g_file_set_contents (path, "[a]\nManufacturer=IFX\nAffected=1.0\n" REST, -1, NULL));
  other = advisories_load (paths);
  g_assert_cmpuint (other->len, ==, 1);
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (g_rmdir (dir), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/advisories/broken", test_broken);
  g_test_add_func ("/advisories/judge", test_judge);
  g_test_add_func ("/advisories/refusal", test_refusal);
  g_test_add_func ("/advisories/load", test_load);
  return g_test_run ();
}
