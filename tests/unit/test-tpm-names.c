/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* tpm/names.c: numbers of the specification and their names; tpm/abilities.c: words. */

#include "dbus/error.h"
#include "tpm/abilities.h"
#include "tpm/names.h"

/* By the numbers, not by the constants that the table is made with. */
static void
test_names (void)
{
  g_assert_cmpstr (names_get_property (0x100), ==, "TPM_PT_FAMILY_INDICATOR");
  g_assert_cmpstr (names_get_property (0x118), ==, "TPM_PT_MEMORY");
  g_assert_cmpstr (names_get_property (0x12e), ==, "TPM_PT_MAX_CAP_BUFFER");
  g_assert_cmpstr (names_get_property (0x200), ==, "TPM_PT_PERMANENT");
  g_assert_cmpstr (names_get_property (0x20e), ==, "TPM_PT_LOCKOUT_COUNTER");
  g_assert_cmpstr (names_get_property (0x214), ==, "TPM_PT_AUDIT_COUNTER_1");
  g_assert_null (names_get_property (0x80000001));
  g_assert_null (names_get_property (0));
  g_assert_cmpstr (names_get_pcr_property (0), ==, "TPM_PT_PCR_SAVE");
  g_assert_cmpstr (names_get_pcr_property (0x12), ==, "TPM_PT_PCR_DRTM_RESET");
  g_assert_null (names_get_pcr_property (0x100));
  g_assert_cmpstr (names_get_algorithm (0x0001), ==, "rsa");
  g_assert_cmpstr (names_get_algorithm (0x0004), ==, "sha1");
  g_assert_cmpstr (names_get_algorithm (0x000b), ==, "sha256");
  g_assert_cmpstr (names_get_algorithm (0x0018), ==, "ecdsa");
  g_assert_null (names_get_algorithm (0x7fff));
  g_assert_cmpstr (names_get_curve (0x0003), ==, "nist_p256");
  g_assert_null (names_get_curve (0));
  g_assert_cmpstr (names_get_command (0x11f), ==, "TPM2_NV_UndefineSpaceSpecial");
  g_assert_cmpstr (names_get_command (0x144), ==, "TPM2_Startup");
  g_assert_cmpstr (names_get_command (0x17a), ==, "TPM2_GetCapability");
  g_assert_null (names_get_command (0x20000001));
}

static void
test_describe (void)
{
  g_autofree char *known = names_describe_algorithm (0x000c);
  g_autofree char *unknown = names_describe_algorithm (0x7fff);

  g_assert_cmpstr (known, ==, "sha384");
  g_assert_cmpstr (unknown, ==, "0x7fff");
}

static void
test_hashes (void)
{
  static const struct
  {
    const char *name;
    TPM2_ALG_ID algorithm;
    guint size;
  } rows[] = { { "sha1", 0x0004, 20 },
               { "sha256", 0x000b, 32 },
               { "sha384", 0x000c, 48 },
               { "sha512", 0x000d, 64 },
               { "sm3_256", 0x0012, 32 } };
  static const char *const others[] = { "", "md5", "SHA256", "sha", "null", "rsa", "hmac" };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      TPM2_ALG_ID algorithm = 0;
      g_autoptr (GError) error = NULL;

      g_assert_true (names_parse_hash (rows[i].name, &algorithm, &error));
      g_assert_no_error (error);
      g_assert_cmphex (algorithm, ==, rows[i].algorithm);
      g_assert_cmpuint (names_get_digest_size (algorithm), ==, rows[i].size);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    {
      TPM2_ALG_ID algorithm = 0x7777;
      g_autoptr (GError) error = NULL;

      g_assert_false (names_parse_hash (others[i], &algorithm, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
      g_assert_cmphex (algorithm, ==, 0x7777);
    }
  g_assert_cmpuint (names_get_digest_size (0x0001), ==, 0);
}

/* Infineon's OPERATION_MODE: 1 to 4 update, 0x81 to 0x84 recovery. */
static void
test_update_modes (void)
{
  g_assert_cmpstr (abilities_describe_mode (0), ==, "normal");
  for (guint32 mode = 1; mode <= 4; mode++)
    {
      g_assert_cmpstr (abilities_describe_mode (mode), ==, "update");
      g_assert_cmpstr (abilities_describe_mode (0x80 | mode), ==, "recovery");
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/names/names", test_names);
  g_test_add_func ("/names/describe", test_describe);
  g_test_add_func ("/names/hashes", test_hashes);
  g_test_add_func ("/names/update-modes", test_update_modes);
  return g_test_run ();
}
