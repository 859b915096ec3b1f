/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* tpm/properties.c: on a software TPM, on it in other chips' clothes, and on answers that make no sense. */

#include "tpm/diagnosis.h"
#include "tpm/properties.h"

#include "dbus/error.h"
#include "tests/lib/test-proxy.h"
#include "tpm/vendor.h"

#define CAP_HEAD "00000006" /* TPM_CAP_TPM_PROPERTIES */

typedef struct
{
  TestSwtpm *swtpm;
  TestProxy *proxy;
  Tpm *tpm;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->swtpm = test_swtpm_new ();
  fixture->proxy = test_proxy_new (fixture->swtpm);
  fixture->tpm = tpm_new (test_proxy_connect, fixture->proxy);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  tpm_free (fixture->tpm);
  test_proxy_free (fixture->proxy);
  test_swtpm_free (fixture->swtpm);
}

static void
test_swtpm_fixed (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  FixedProperties fixed;

  g_assert_true (properties_read_fixed (fixture->tpm, &fixed, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (test_swtpm_count (fixture->swtpm, 0), ==, 1);
  g_assert_cmpstr (fixed.family, ==, "2.0");
  g_assert_cmpstr (fixed.manufacturer, ==, "IBM");
  g_assert_cmphex (fixed.manufacturer_id, ==, 0x49424d00);
  g_assert_cmpstr (fixed.vendor_string, ==, "SW   TPM");
  g_assert_cmpuint (fixed.revision, >=, 138);
  g_assert_cmpuint (fixed.year, >=, 2014);
  g_assert_cmphex (fixed.memory, ==, TPMA_MEMORY_SHAREDNV | TPMA_MEMORY_OBJECTCOPIEDTORAM);
}

static void
test_swtpm_variable (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  VariableProperties variable;
  TPM2_RC result = G_MAXUINT32;

  g_assert_true (properties_read_variable (fixture->tpm, &variable, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (test_swtpm_count (fixture->swtpm, 0), ==, 1);
  g_assert_cmphex (variable.startup_clear & TPMA_STARTUP_CLEAR_SHENABLE, !=, 0);
  g_assert_cmpuint (variable.max_auth_fail, ==, 3);
  g_assert_cmpuint (variable.lockout_interval, ==, 1000);
  g_assert_cmpuint (variable.lockout_recovery, ==, 1000);
  g_assert_cmpuint (variable.lockout_counter, ==, 0);

  g_assert_true (diagnosis_read_test_result (fixture->tpm, &result, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmphex (result, ==, TPM2_RC_SUCCESS);
  g_assert_cmpuint (test_swtpm_count (fixture->swtpm, 0), ==, 2);
}

/* The chips that this software is for. Those of revision 1.16 answer beyond the group (and cost no command more). */
static void
test_identities (Fixture *fixture, gconstpointer data)
{
  static const struct
  {
    const char *identity;
    const char *model;
    const char *firmware;
    guint32 revision;
  } chips[] = {
    { "SLB9670-7.40", "OPTIGA TPM SLB 9670", "7.40.2098.0", 116 },
    { "SLB9670-7.62", "OPTIGA TPM SLB 9670", "7.62.3126.0", 116 },
    { "SLB9670-7.85", "OPTIGA TPM SLB 9670", "7.85.4555.2", 138 },
    { "SLM9670-13.11", "OPTIGA TPM SLM 9670", "13.11.4555.0", 138 },
    { "SLI9670-13.11", "OPTIGA TPM SLI 9670", "13.11.4555.0", 138 },
    { "SLB9672-15.23", "OPTIGA TPM SLB 9672", "15.23.17664.0", 159 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (chips); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *rules = g_strconcat ("identity ", chips[i].identity, NULL);
      g_autofree char *firmware = NULL;
      g_autofree char *model = NULL;
      FixedProperties fixed;
      VariableProperties variable;

      test_proxy_set_rules (fixture->proxy, rules);
      g_assert_true (properties_read_fixed (fixture->tpm, &fixed, &error));
      g_assert_no_error (error);
      g_assert_true (properties_read_variable (fixture->tpm, &variable, &error));
      g_assert_no_error (error);
      model = vendor_get_model (&fixed);
      firmware = vendor_format_firmware (fixed.manufacturer_id, fixed.firmware_1, fixed.firmware_2);
      g_assert_cmpstr (fixed.manufacturer, ==, "IFX");
      g_assert_cmpstr (model, ==, chips[i].model);
      g_assert_cmpstr (firmware, ==, chips[i].firmware);
      g_assert_cmpuint (fixed.revision, ==, chips[i].revision);
      g_assert_cmpuint (variable.max_auth_fail, ==, 32);
    }
}

/* Texts go to the bus, which ends a connection that sends what is not UTF-8, and to terminals. */
static void
test_strange_text (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  FixedProperties fixed;

  test_proxy_set_rules (fixture->proxy, "property 106 20fffe41\nproperty 107 1b5b3142\n"
                                        "property 108 00004300\nproperty 109 44202020");
  g_assert_true (properties_read_fixed (fixture->tpm, &fixed, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (fixed.vendor_string, ==, "??A?[1BCD");
}

/* @rest: what follows the header: moreData, capability, count, properties */
static void
assert_variable_fails (Fixture *fixture, const char *rest, const char *action)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *rules = NULL;
  VariableProperties variable = { .max_auth_fail = 77 };

  if (rest != NULL)
    rules = g_strdup_printf ("17a raw 8001%08x00000000%s", (guint)(10 + strlen (rest) / 2), rest);
  else
    rules = g_strconcat ("17a ", action, NULL);
  g_test_message ("%s", rules);
  test_proxy_set_rules (fixture->proxy, rules);
  g_assert_false (properties_read_variable (fixture->tpm, &variable, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE);
  g_assert_cmpuint (variable.max_auth_fail, ==, 77); /* written only on success */
  tpm_disconnect (fixture->tpm);
}

static void
test_nonsense (Fixture *fixture, gconstpointer data)
{
  assert_variable_fails (fixture, NULL, "noise");
  assert_variable_fails (fixture, NULL, "garbage");
  assert_variable_fails (fixture, NULL, "size 4000000");
  assert_variable_fails (fixture, NULL, "size 3");
  /* nothing, and no more to come: what is mandatory is missing */
  assert_variable_fails (fixture, "00" CAP_HEAD "00000000", NULL);
  /* more to come, again and again, without an end */
  assert_variable_fails (fixture, "01" CAP_HEAD "00000000", NULL);
  assert_variable_fails (fixture,
                         "01" CAP_HEAD "00000001"
                         "0000020100000000",
                         NULL);
  /* another capability */
  assert_variable_fails (fixture,
                         "00"
                         "00000001"
                         "00000001"
                         "00000200",
                         NULL);
  /* a list of handles that, taken for properties, would be all that we want */
  assert_variable_fails (fixture,
                         "00"
                         "00000001"
                         "0000000c"
                         "0000020000000000"
                         "0000020100000007"
                         "0000020e00000000"
                         "0000020f00000020"
                         "0000021000000000"
                         "0000021100000000",
                         NULL);
  /* another group */
  assert_variable_fails (fixture,
                         "00" CAP_HEAD "00000001"
                         "0000010000000000",
                         NULL);
  assert_variable_fails (fixture,
                         "00" CAP_HEAD "00000001"
                         "ffffffff00000000",
                         NULL);
  /* more properties than there are bytes, than there may be */
  assert_variable_fails (fixture,
                         "00" CAP_HEAD "00000002"
                         "0000020000000000",
                         NULL);
  assert_variable_fails (fixture, "00" CAP_HEAD "7fffffff", NULL);
}

/* A chip that sends one property at a time is slow, not wrong. */
static void
test_in_parts (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) rules = g_string_new (NULL);
  static const guint32 properties[][2] = { { 0x200, 0x00000001 }, { 0x201, 0x80000007 },
                                           { 0x20e, 1 },          { 0x20f, 32 },
                                           { 0x210, 7200 },       { 0x211, 86400 } };
  VariableProperties variable;

  for (gsize i = 0; i < G_N_ELEMENTS (properties); i++)
    g_string_append_printf (rules,
                            "17a raw 80010000001b00000000%02x" CAP_HEAD "00000001%08x%08x 1\n",
                            i + 1 < G_N_ELEMENTS (properties), properties[i][0], properties[i][1]);
  test_proxy_set_rules (fixture->proxy, rules->str);
  g_assert_true (properties_read_variable (fixture->tpm, &variable, &error));
  g_assert_no_error (error);
  g_assert_cmphex (variable.permanent, ==, TPMA_PERMANENT_OWNERAUTHSET);
  g_assert_cmpuint (variable.lockout_counter, ==, 1);
  g_assert_cmpuint (variable.lockout_recovery, ==, 86400);
  g_assert_cmpuint (test_swtpm_count (fixture->swtpm, 0), ==, 0);
}

static void
test_failure_mode (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  TPM2_RC result = 0;

  /* as the command's own code, and as its result */
  test_proxy_set_rules (fixture->proxy, "17c rc 101");
  g_assert_true (diagnosis_read_test_result (fixture->tpm, &result, NULL, &error));
  g_assert_cmphex (result, ==, TPM2_RC_FAILURE);
  result = 0;
  test_proxy_set_rules (fixture->proxy, "17c raw 8001000000120000000000021234"
                                        "00000101");
  g_assert_true (diagnosis_read_test_result (fixture->tpm, &result, NULL, &error));
  g_assert_cmphex (result, ==, TPM2_RC_FAILURE);
  g_assert_no_error (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  test_swtpm_require ();
  g_test_add ("/properties/fixed", Fixture, NULL, set_up, test_swtpm_fixed, tear_down);
  g_test_add ("/properties/variable", Fixture, NULL, set_up, test_swtpm_variable, tear_down);
  g_test_add ("/properties/identities", Fixture, NULL, set_up, test_identities, tear_down);
  g_test_add ("/properties/strange-text", Fixture, NULL, set_up, test_strange_text, tear_down);
  g_test_add ("/properties/nonsense", Fixture, NULL, set_up, test_nonsense, tear_down);
  g_test_add ("/properties/in-parts", Fixture, NULL, set_up, test_in_parts, tear_down);
  g_test_add ("/properties/failure-mode", Fixture, NULL, set_up, test_failure_mode, tear_down);
  return g_test_run ();
}
