/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* tpm/rc.c: every row of the table, in numbers, as they come from the wire and from the layers above. */

#include "tpm/rc.h"

#include "dbus/error.h"

#include <string.h>
#include <tss2/tss2_tpm2_types.h>

static const struct
{
  TSS2_RC rc;
  TSS2_RC base;
  GgtpmError error;
} codes[] = {
  /* format 1: bare, with session, parameter and handle numbers, through both resource-manager layers */
  { 0x0000008e, 0x8e, GGTPM_ERROR_AUTH_FAILED },
  { 0x0000098e, 0x8e, GGTPM_ERROR_AUTH_FAILED },
  { 0x00000a8e, 0x8e, GGTPM_ERROR_AUTH_FAILED },
  { 0x000b098e, 0x8e, GGTPM_ERROR_AUTH_FAILED },
  { 0x000c098e, 0x8e, GGTPM_ERROR_AUTH_FAILED },
  { 0x000009a2, 0xa2, GGTPM_ERROR_AUTH_FAILED },
  { 0x0000018b, 0x8b, GGTPM_ERROR_NOT_FOUND },
  { 0x000b01cb, 0x8b, GGTPM_ERROR_NOT_FOUND },
  { 0x000001df, 0x9f, GGTPM_ERROR_STORE },
  { 0x000002a5, 0xa5, GGTPM_ERROR_STORE },
  { 0x000001c1, 0x81, GGTPM_ERROR_NOT_SUPPORTED },
  { 0x000002c3, 0x83, GGTPM_ERROR_NOT_SUPPORTED },
  { 0x00000185, 0x85, GGTPM_ERROR_NOT_SUPPORTED },
  { 0x000001c7, 0x87, GGTPM_ERROR_NOT_SUPPORTED },
  { 0x000001c8, 0x88, GGTPM_ERROR_NOT_SUPPORTED },
  { 0x000001c9, 0x89, GGTPM_ERROR_NOT_SUPPORTED },
  { 0x000001cc, 0x8c, GGTPM_ERROR_NOT_SUPPORTED },
  { 0x000002d2, 0x92, GGTPM_ERROR_NOT_SUPPORTED },
  { 0x000002d6, 0x96, GGTPM_ERROR_NOT_SUPPORTED },
  { 0x000002e6, 0xa6, GGTPM_ERROR_NOT_SUPPORTED },
  { 0x00000190, 0x90, GGTPM_ERROR_NOT_AUTHORIZED },
  { 0x0000099d, 0x9d, GGTPM_ERROR_NOT_AUTHORIZED },
  { 0x000009a3, 0xa3, GGTPM_ERROR_NOT_AUTHORIZED },
  { 0x000009a4, 0xa4, GGTPM_ERROR_NOT_AUTHORIZED },
  { 0x000001c4, 0x84, GGTPM_ERROR_FAILED },
  { 0x000001d5, 0x95, GGTPM_ERROR_FAILED },
  { 0x000b009a, 0x9a, GGTPM_ERROR_FAILED },
  /* format 0, version 1 */
  { 0x00000100, 0x100, GGTPM_ERROR_UNAVAILABLE },
  { 0x00000101, 0x101, GGTPM_ERROR_TPM_FAILURE },
  { 0x00000120, 0x120, GGTPM_ERROR_NOT_SUPPORTED },
  { 0x00000121, 0x121, GGTPM_ERROR_BUSY },
  { 0x00000125, 0x125, GGTPM_ERROR_AUTH_REQUIRED },
  { 0x0000012d, 0x12d, GGTPM_ERROR_UNAVAILABLE },
  { 0x0000012e, 0x12e, GGTPM_ERROR_NO_RESOURCES },
  { 0x0000012f, 0x12f, GGTPM_ERROR_AUTH_REQUIRED },
  { 0x00000130, 0x130, GGTPM_ERROR_UNAVAILABLE },
  { 0x00000143, 0x143, GGTPM_ERROR_NOT_SUPPORTED },
  { 0x00000148, 0x148, GGTPM_ERROR_NOT_AUTHORIZED },
  { 0x00000149, 0x149, GGTPM_ERROR_NOT_AUTHORIZED },
  { 0x0000014a, 0x14a, GGTPM_ERROR_NOT_FOUND },
  { 0x0000014b, 0x14b, GGTPM_ERROR_NO_RESOURCES },
  { 0x0000014c, 0x14c, GGTPM_ERROR_EXISTS },
  { 0x00000153, 0x153, GGTPM_ERROR_BUSY },
  { 0x00000144, 0x144, GGTPM_ERROR_FAILED },
  /* warnings */
  { 0x00000901, 0x901, GGTPM_ERROR_NO_RESOURCES },
  { 0x00000902, 0x902, GGTPM_ERROR_NO_RESOURCES },
  { 0x000b0902, 0x902, GGTPM_ERROR_NO_RESOURCES },
  { 0x00000903, 0x903, GGTPM_ERROR_NO_RESOURCES },
  { 0x00000904, 0x904, GGTPM_ERROR_NO_RESOURCES },
  { 0x00000905, 0x905, GGTPM_ERROR_NO_RESOURCES },
  { 0x00000906, 0x906, GGTPM_ERROR_NO_RESOURCES },
  { 0x00000907, 0x907, GGTPM_ERROR_NOT_AUTHORIZED },
  { 0x00000908, 0x908, GGTPM_ERROR_BUSY },
  { 0x00000909, 0x909, GGTPM_ERROR_CANCELLED },
  { 0x0000090a, 0x90a, GGTPM_ERROR_BUSY },
  { 0x00000910, 0x910, GGTPM_ERROR_NOT_FOUND },
  { 0x00000911, 0x911, GGTPM_ERROR_NOT_FOUND },
  { 0x00000912, 0x912, GGTPM_ERROR_NOT_FOUND },
  { 0x00000913, 0x913, GGTPM_ERROR_NOT_FOUND },
  { 0x00000914, 0x914, GGTPM_ERROR_NOT_FOUND },
  { 0x00000915, 0x915, GGTPM_ERROR_NOT_FOUND },
  { 0x00000916, 0x916, GGTPM_ERROR_NOT_FOUND },
  { 0x00000918, 0x918, GGTPM_ERROR_NOT_FOUND },
  { 0x00000919, 0x919, GGTPM_ERROR_NOT_FOUND },
  { 0x0000091a, 0x91a, GGTPM_ERROR_NOT_FOUND },
  { 0x0000091b, 0x91b, GGTPM_ERROR_NOT_FOUND },
  { 0x0000091c, 0x91c, GGTPM_ERROR_NOT_FOUND },
  { 0x0000091d, 0x91d, GGTPM_ERROR_NOT_FOUND },
  { 0x0000091e, 0x91e, GGTPM_ERROR_NOT_FOUND },
  { 0x00000920, 0x920, GGTPM_ERROR_BUSY },
  { 0x00000921, 0x921, GGTPM_ERROR_LOCKED_OUT },
  { 0x000b0921, 0x921, GGTPM_ERROR_LOCKED_OUT },
  { 0x00000922, 0x922, GGTPM_ERROR_BUSY },
  { 0x00000923, 0x923, GGTPM_ERROR_BUSY },
  { 0x0000093f, 0x93f, GGTPM_ERROR_FAILED },
  /* a TPM 1.2 */
  { 0x0000001e, 0x1e, GGTPM_ERROR_NOT_SUPPORTED },
  /* not the chip's: the resource manager's own, TCTI, MU, SYS, ESYS */
  { 0x000b0001, 0x000b0001, GGTPM_ERROR_FAILED },
  { 0x000b000c, 0x000b000c, GGTPM_ERROR_FAILED },
  { 0x000b001e, 0x000b001e, GGTPM_ERROR_FAILED },
  { 0x000a0006, 0x000a0006, GGTPM_ERROR_TPM_FAILURE },
  { 0x000a0008, 0x000a0008, GGTPM_ERROR_UNAVAILABLE },
  { 0x000a0009, 0x000a0009, GGTPM_ERROR_TIMEOUT },
  { 0x000a000a, 0x000a000a, GGTPM_ERROR_UNAVAILABLE },
  { 0x000a0011, 0x000a0011, GGTPM_ERROR_TPM_FAILURE },
  { 0x000a0001, 0x000a0001, GGTPM_ERROR_FAILED },
  { 0x00090006, 0x00090006, GGTPM_ERROR_TPM_FAILURE },
  { 0x0009000b, 0x0009000b, GGTPM_ERROR_TPM_FAILURE },
  { 0x00090010, 0x00090010, GGTPM_ERROR_TPM_FAILURE },
  { 0x00080011, 0x00080011, GGTPM_ERROR_TPM_FAILURE },
  { 0x00080013, 0x00080013, GGTPM_ERROR_TPM_FAILURE },
  { 0x00070011, 0x00070011, GGTPM_ERROR_TPM_FAILURE },
  { 0x00070013, 0x00070013, GGTPM_ERROR_TPM_FAILURE },
  { 0x00070007, 0x00070007, GGTPM_ERROR_FAILED },
  { 0x00070018, 0x00070018, GGTPM_ERROR_NOT_FOUND },
};

static void
test_codes (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (codes); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *decoded = rc_to_string (codes[i].rc);
      g_autofree char *end = NULL;

      g_test_message ("0x%08x %s", codes[i].rc, decoded);
      g_assert_cmphex (rc_get_base (codes[i].rc), ==, codes[i].base);
      g_assert_cmpint (rc_to_error_code (codes[i].rc), ==, (int)codes[i].error);
      g_assert_false (rc_check (codes[i].rc, "doing this", &error));
      g_assert_error (error, GGTPM_ERROR, (int)codes[i].error);
      g_assert_true (g_str_has_prefix (error->message, "doing this: "));
      end = g_strdup_printf (" 0x%08x: %s)", codes[i].rc, decoded);
      g_assert_true (g_str_has_suffix (error->message, end));
      g_assert_cmphex (rc_from_error (error), ==, codes[i].rc);
    }
}

static void
test_success (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (rc_check (TSS2_RC_SUCCESS, "doing this", &error));
  g_assert_no_error (error);
}

/* Who reads them has to know what to do, and which software it was. */
static void
test_texts (void)
{
  static const struct
  {
    TSS2_RC rc;
    const char *part;
  } texts[] = {
    { 0x921, "LockoutInterval" },
    { 0x921, "(TPM 0x00000921: " },
    { 0x101, "off and on again" },
    { 0x98e, "do not try again blindly" },
    { 0x1e, "TPM 1.2" },
    { 0xa000a, "(TSS 0x000a000a: " },
    { 0xb000c, "(TSS 0x000b000c: " },
    { 0xb0902, "(TPM 0x000b0902: " },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (rc_check (texts[i].rc, "doing this", &error));
      g_test_message ("%s", error->message);
      g_assert_nonnull (strstr (error->message, texts[i].part));
      g_assert_null (strchr (error->message, '\n'));
    }
}

static void
test_from_error (void)
{
  g_autoptr (GError) plain = g_error_new (GGTPM_ERROR, GGTPM_ERROR_BUSY, "(TPM) busy");
  g_autoptr (GError) foreign = g_error_new (G_IO_ERROR, G_IO_ERROR_FAILED, "(TPM 0x00000101: x)");
  GError *prefixed = NULL;

  g_assert_cmphex (rc_from_error (NULL), ==, 0);
  g_assert_cmphex (rc_from_error (plain), ==, 0);
  g_assert_cmphex (rc_from_error (foreign), ==, 0);
  g_assert_false (rc_check (0x101, "doing this", &prefixed));
  g_prefix_error (&prefixed, "token `(TPM 0x99)`: ");
  g_assert_cmphex (rc_from_error (prefixed), ==, 0x101);
  g_error_free (prefixed);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rc/codes", test_codes);
  g_test_add_func ("/rc/success", test_success);
  g_test_add_func ("/rc/texts", test_texts);
  g_test_add_func ("/rc/from-error", test_from_error);
  return g_test_run ();
}
