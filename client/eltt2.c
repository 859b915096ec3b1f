/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "eltt2.h"

#define RULE     "=========================================================\n"
#define INFINEON 0x49465800u

/* TPM 2.0 Library Part 2, 6.13 */
#define PT_FAMILY_INDICATOR 0x100u
#define PT_MANUFACTURER     0x105u
#define PT_VENDOR_STRING_1  0x106u
#define PT_VENDOR_STRING_4  0x109u
#define PT_FIRMWARE_1       0x10bu
#define PT_FIRMWARE_2       0x10cu
#define PT_MEMORY           0x118u
#define PT_PERMANENT        0x200u
#define PT_STARTUP_CLEAR    0x201u

typedef struct
{
  guint32 property;
  const char *title;
} NumberRow;

typedef struct
{
  guint bit;
  const char *title;
} BitRow;

static const BitRow memory_bits[] = {
  { 0, "Shared RAM" },
  { 1, "Shared NV" },
  { 2, "Object Copied To Ram" },
};

static const BitRow permanent_bits[] = {
  { 0, "Owner Auth Set" }, { 1, "Endorsement Auth Set" }, { 2, "Lockout Auth Set" },
  { 8, "Disable Clear" },  { 9, "In Lockout" },           { 10, "TPM Generated EPS" },
};

static const BitRow startup_clear_bits[] = {
  { 0, "Ph Enable" },
  { 1, "Sh Enable" },
  { 2, "Eh Enable" },
  { 31, "Orderly" },
};

static gboolean
find (GVariant *lines, guint32 property, guint32 *out)
{
  for (gsize i = 0; i < g_variant_n_children (lines); i++)
    {
      guint32 number = 0;
      guint32 value = 0;

      g_variant_get_child (lines, i, "(uus)", &number, &value, NULL);
      if (number == property)
        {
          *out = value;
          return TRUE;
        }
    }
  return FALSE;
}

static void
append_title (GString *text, const char *title)
{
  g_autofree char *label = g_strconcat (title, ":", NULL);

  g_string_append_printf (text, "%-32s", label);
}

static void
append_number (GString *text, GVariant *lines, guint32 property, const char *title)
{
  guint32 value = 0;

  if (!find (lines, property, &value))
    return;
  append_title (text, title);
  g_string_append_printf (text, "%u\n", value);
}

/* The characters of @first to @last. */
static void
append_text (GString *text, GVariant *lines, guint32 first, guint32 last, const char *title)
{
  guint32 value = 0;

  if (!find (lines, first, &value))
    return;
  append_title (text, title);
  for (guint32 property = first; property <= last && find (lines, property, &value); property++)
    for (guint shift = 32; shift > 0; shift -= 8)
      {
        char c = (char)(value >> (shift - 8));

        if (c != '\0')
          g_string_append_c (text, g_ascii_isprint (c) ? c : '?');
      }
  g_string_append_c (text, '\n');
}

static void
append_firmware (GString *text, GVariant *lines)
{
  guint32 manufacturer = 0;
  guint32 first = 0;
  guint32 second = 0;

  if (!find (lines, PT_FIRMWARE_1, &first) || !find (lines, PT_FIRMWARE_2, &second))
    return;
  append_title (text, "TPM_PT_FIRMWARE_VERSION");
  if (find (lines, PT_MANUFACTURER, &manufacturer) && manufacturer == INFINEON)
    g_string_append_printf (text, "%u.%u.%u.%u\n", first >> 16, first & 0xffff,
                            second >> 8 & 0xffff, second & 0xff);
  else
    g_string_append_printf (text, "0x%08x 0x%08x\n", first, second);
}

static void
append_bits (GString *text,
             GVariant *lines,
             guint32 property,
             const char *title,
             const BitRow *rows,
             gsize n_rows)
{
  guint32 value = 0;

  if (!find (lines, property, &value))
    return;
  g_string_append_printf (text, "\n%s:\n" RULE, title);
  for (gsize i = 0; i < n_rows; i++)
    {
      gboolean set = (value >> rows[i].bit & 1) != 0;

      append_title (text, rows[i].title);
      g_string_append (text, set ? "1 SET\n" : "0 CLEAR\n");
    }
}

char *
eltt2_format (GVariant *fixed, GVariant *variable)
{
  static const NumberRow specification[] = {
    { 0x101, "TPM_PT_LEVEL" },
    { 0x102, "TPM_PT_REVISION" },
    { 0x103, "TPM_PT_DAY_OF_YEAR" },
    { 0x104, "TPM_PT_YEAR" },
  };
  /* an empty line is around each run, and behind each option's output */
  GString *text = g_string_new ("\n\nTPM capability information of fixed properties:\n" RULE);

  append_text (text, fixed, PT_FAMILY_INDICATOR, PT_FAMILY_INDICATOR, "TPM_PT_FAMILY_INDICATOR");
  for (gsize i = 0; i < G_N_ELEMENTS (specification); i++)
    append_number (text, fixed, specification[i].property, specification[i].title);
  append_text (text, fixed, PT_MANUFACTURER, PT_MANUFACTURER, "TPM_PT_MANUFACTURER");
  append_text (text, fixed, PT_VENDOR_STRING_1, PT_VENDOR_STRING_4, "TPM_PT_VENDOR_STRING");
  append_number (text, fixed, 0x10a, "TPM_PT_VENDOR_TPM_TYPE");
  append_firmware (text, fixed);
  append_bits (text, fixed, PT_MEMORY, "TPM_PT_MEMORY", memory_bits, G_N_ELEMENTS (memory_bits));
  append_bits (text, variable, PT_PERMANENT, "TPM_PT_PERMANENT", permanent_bits,
               G_N_ELEMENTS (permanent_bits));
  g_string_append (text, "\n\nTPM capability information of variable properties:\n");
  append_bits (text, variable, PT_STARTUP_CLEAR, "TPM_PT_STARTUP_CLEAR", startup_clear_bits,
               G_N_ELEMENTS (startup_clear_bits));
  g_string_append (text, "\n\n");
  return g_string_free (text, FALSE);
}
