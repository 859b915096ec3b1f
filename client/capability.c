/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "capability.h"

#define N_BITS 32

typedef struct
{
  guint bit;
  const char *word;
} BitRow;

/* TPM 2.0 Library Part 2, 8 */
static const BitRow permanent_bits[] = {
  { 0, "ownerAuthSet" }, { 1, "endorsementAuthSet" }, { 2, "lockoutAuthSet" },
  { 8, "disableClear" }, { 9, "inLockout" },          { 10, "tpmGeneratedEPS" },
};

static const BitRow startup_clear_bits[] = {
  { 0, "phEnable" }, { 1, "shEnable" }, { 2, "ehEnable" }, { 3, "phEnableNV" }, { 31, "orderly" },
};

static const BitRow memory_bits[] = {
  { 0, "sharedRAM" },
  { 1, "sharedNV" },
  { 2, "objectCopiedToRam" },
};

static const BitRow modes_bits[] = {
  { 0, "FIPS_140_2" },
};

static const BitRow algorithm_bits[] = {
  { 0, "asymmetric" }, { 1, "symmetric" },  { 2, "hash" },    { 3, "object" },
  { 8, "signing" },    { 9, "encrypting" }, { 10, "method" },
};

static const BitRow command_bits[] = {
  { 22, "nv" }, { 23, "extensive" }, { 24, "flushed" }, { 28, "rHandle" }, { 29, "V" },
};

static char *
list_bits (const BitRow *rows, gsize n_rows, guint32 value)
{
  GString *text = g_string_new (NULL);

  for (gsize i = 0; i < n_rows; i++)
    if ((value >> rows[i].bit & 1) != 0)
      g_string_append_printf (text, "%s%s", text->len > 0 ? ", " : "", rows[i].word);
  return g_string_free (text, FALSE);
}

#define LIST_BITS(rows, value) list_bits (rows, G_N_ELEMENTS (rows), value)

/* `0-7, 16, 23`, `none` */
static char *
list_pcrs (guint32 bits)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < N_BITS; i++)
    {
      guint first = i;

      if ((bits >> i & 1) == 0)
        continue;
      while (i + 1 < N_BITS && (bits >> (i + 1) & 1) != 0)
        i++;
      g_string_append_printf (text, "%s%u", text->len > 0 ? ", " : "", first);
      if (i > first)
        g_string_append_printf (text, "-%u", i);
    }
  if (text->len == 0)
    g_string_append (text, "none");
  return g_string_free (text, FALSE);
}

static char *
explain_property (guint32 property, guint32 value)
{
  switch (property)
    {
    case 0x118:
      return LIST_BITS (memory_bits, value);
    case 0x12d:
      return LIST_BITS (modes_bits, value);
    case 0x200:
      return LIST_BITS (permanent_bits, value);
    case 0x201:
      return LIST_BITS (startup_clear_bits, value);
    default:
      return g_strdup_printf ("%u", value);
    }
}

char *
capability_explain (const char *group, guint32 number, guint32 value)
{
  if (g_str_equal (group, "fixed") || g_str_equal (group, "variable"))
    return explain_property (number, value);
  if (g_str_equal (group, "algorithms"))
    return LIST_BITS (algorithm_bits, value);
  if (g_str_equal (group, "commands"))
    return LIST_BITS (command_bits, value);
  if (g_str_has_prefix (group, "pcr-"))
    return list_pcrs (value);
  if (g_str_equal (group, "acts"))
    return g_strdup_printf ("%u s", value);
  if (g_str_equal (group, "vendor"))
    return g_strdup_printf ("%u", value);
  return g_strdup ("");
}
