/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* tpm/vendor.c: firmware words of real chips, as their data sheets, certificates and bug reports give them. */

#include "tpm/vendor.h"

#define VENDOR_IBM 0x49424d00u

static void
test_firmware (void)
{
  static const struct
  {
    guint32 manufacturer_id;
    guint32 firmware_1;
    guint32 firmware_2;
    const char *text;
  } vectors[] = {
    { VENDOR_INFINEON, 0x000d000b, 0x0011cb00, "13.11.4555.0" },
    { VENDOR_INFINEON, 0x00070055, 0x0011cb02, "7.85.4555.2" },
    { VENDOR_INFINEON, 0x00050000, 0x00044102, "5.0.1089.2" },
    { VENDOR_INFINEON, 0x0007003e, 0x000c3600, "7.62.3126.0" },
    { VENDOR_INFINEON, 0x00070028, 0x00083200, "7.40.2098.0" },
    { VENDOR_INFINEON, 0x000f0017, 0x00450000, "15.23.17664.0" },
    /* a build below 0x200, where eltt2 prints the raw word */
    { VENDOR_INFINEON, 0x00050000, 0x00010100, "5.0.257.0" },
    /* eltt2 prints 8217.4131.5686.54 */
    { VENDOR_IBM, 0x20191023, 0x00163636, "0x20191023 0x00163636" },
    { 0, 0, 0, "0x00000000 0x00000000" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (vectors); i++)
    {
      g_autofree char *text = vendor_format_firmware (vectors[i].manufacturer_id,
                                                      vectors[i].firmware_1, vectors[i].firmware_2);

      g_assert_cmpstr (text, ==, vectors[i].text);
    }
}

static void
test_model (void)
{
  static const struct
  {
    guint32 manufacturer_id;
    const char *vendor_string;
    const char *model;
  } models[] = {
    { VENDOR_INFINEON, "SLM9670", "OPTIGA TPM SLM 9670" },
    { VENDOR_INFINEON, "SLB9670", "OPTIGA TPM SLB 9670" },
    { VENDOR_INFINEON, "SLI9670", "OPTIGA TPM SLI 9670" },
    { VENDOR_INFINEON, "SLB9672", "OPTIGA TPM SLB 9672" },
    { VENDOR_INFINEON, "SLB 9665", "OPTIGA TPM SLB 9665" },
    { VENDOR_INFINEON, "SLB967", "SLB967" },
    { VENDOR_INFINEON, "SLB96701", "SLB96701" },
    { VENDOR_INFINEON, "SL", "SL" },
    { VENDOR_INFINEON, "", "" },
    { VENDOR_IBM, "SLB9670", "SLB9670" },
    { VENDOR_IBM, "SW   TPM", "SW   TPM" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (models); i++)
    {
      FixedProperties fixed = { .manufacturer_id = models[i].manufacturer_id };
      g_autofree char *model = NULL;

      g_strlcpy (fixed.vendor_string, models[i].vendor_string, sizeof (fixed.vendor_string));
      model = vendor_get_model (&fixed);
      g_assert_cmpstr (model, ==, models[i].model);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vendor/firmware", test_firmware);
  g_test_add_func ("/vendor/model", test_model);
  return g_test_run ();
}
