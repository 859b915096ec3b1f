/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "vendor.h"

/*
 * Infineon's words (confirmed by SLM 9670 "13.11.4555.0", SLB 9670 "7.85.4555.2", SLB 9665 "5.0.1089.2"):
 * FIRMWARE_VERSION_1 is major << 16 | minor; of FIRMWARE_VERSION_2 the first byte is reserved, the next two are the
 * build, and the last is 0 for a Common Criteria certified build and 2 for another. eltt2 decodes every vendor's words
 * like that.
 */
static char *
format_infineon (guint32 firmware_1, guint32 firmware_2)
{
  return g_strdup_printf ("%u.%u.%u.%u", firmware_1 >> 16, firmware_1 & 0xffff,
                          (firmware_2 >> 8) & 0xffff, firmware_2 & 0xff);
}

char *
vendor_format_firmware (guint32 manufacturer_id, guint32 firmware_1, guint32 firmware_2)
{
  if (manufacturer_id == VENDOR_INFINEON)
    return format_infineon (firmware_1, firmware_2);
  return g_strdup_printf ("0x%08x 0x%08x", firmware_1, firmware_2);
}

/* `SLM9670`, as the chips say, or `SLM 9670`: B is for computers, I for industry, M for machines that last. */
static gboolean
is_optiga (const char *text)
{
  const char *number = text + 3;

  if (!g_str_has_prefix (text, "SLB") && !g_str_has_prefix (text, "SLI") &&
      !g_str_has_prefix (text, "SLM"))
    return FALSE;
  if (*number == ' ')
    number++;
  for (guint i = 0; i < 4; i++)
    if (!g_ascii_isdigit (number[i]))
      return FALSE;
  return number[4] == '\0' && number[0] == '9' && number[1] == '6';
}

char *
vendor_get_model (const FixedProperties *fixed)
{
  if (fixed->manufacturer_id == VENDOR_INFINEON && is_optiga (fixed->vendor_string))
    return g_strdup_printf ("OPTIGA TPM %.3s %s", fixed->vendor_string,
                            fixed->vendor_string + strlen (fixed->vendor_string) - 4);
  return g_strdup (fixed->vendor_string);
}

/* What TCG's reference code calls itself; AMD's and Intel's firmware TPMs have manufacturers of their own. */
gboolean
vendor_is_software (const FixedProperties *fixed)
{
  return g_str_equal (fixed->manufacturer, "IBM") || g_str_equal (fixed->manufacturer, "XYZ") ||
         g_str_has_prefix (fixed->vendor_string, "xCG");
}
