/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "abilities.h"

#include "capabilities.h"
#include "vendor.h"

/* Vendor properties of SLB 9672 and 9673, see vendor-properties.c */
#define IFX_FU_COUNTER        0x80000003u
#define IFX_FU_OPERATION_MODE 0x80000007u

void
abilities_free (Abilities *abilities)
{
  g_strfreev (abilities->algorithms);
  g_strfreev (abilities->curves);
  g_strfreev (abilities->pcr_banks);
  g_free (abilities);
}

const char *
abilities_describe_mode (guint32 mode)
{
  if (mode == 0)
    return "normal";
  return (mode & 0x80) != 0 ? "recovery" : "update";
}

static char **
list_names (const GPtrArray *lines, gboolean with_value)
{
  GPtrArray *names = g_ptr_array_new ();

  for (guint i = 0; i < lines->len; i++)
    {
      const Capability *line = lines->pdata[i];

      if (with_value && line->value == 0)
        continue;
      g_ptr_array_add (names, line->name[0] != '\0' ? g_strdup (line->name)
                                                    : g_strdup_printf ("0x%04x", line->number));
    }
  g_ptr_array_add (names, NULL);
  return (char **)g_ptr_array_free (names, FALSE);
}

static char **
read_names (Tpm *tpm, const char *group, gboolean with_value, GError **error)
{
  g_autoptr (GPtrArray) lines = capabilities_read (tpm, group, error);

  return lines != NULL ? list_names (lines, with_value) : NULL;
}

static guint32
find_value (const GPtrArray *lines, guint32 number, guint32 otherwise)
{
  for (guint i = 0; i < lines->len; i++)
    {
      const Capability *line = lines->pdata[i];

      if (line->number == number)
        return line->value;
    }
  return otherwise;
}

static gboolean
read_vendor (Tpm *tpm, Abilities *abilities, GError **error)
{
  g_autoptr (GPtrArray) lines = capabilities_read (tpm, "vendor", error);
  guint32 mode;

  if (lines == NULL)
    return FALSE;
  mode = find_value (lines, IFX_FU_OPERATION_MODE, G_MAXUINT32);
  if (mode != G_MAXUINT32)
    abilities->update_mode = abilities_describe_mode (mode);
  abilities->updates_remaining = find_value (lines, IFX_FU_COUNTER, ABILITIES_UPDATES_UNKNOWN);
  return TRUE;
}

Abilities *
abilities_read (Tpm *tpm, GError **error)
{
  g_autoptr (Abilities) abilities = g_new0 (Abilities, 1);
  g_autoptr (GPtrArray) fixed = capabilities_read (tpm, "fixed", error);

  if (fixed == NULL)
    return NULL;
  abilities->max_command = find_value (fixed, TPM2_PT_MAX_COMMAND_SIZE, 0);
  abilities->max_response = find_value (fixed, TPM2_PT_MAX_RESPONSE_SIZE, 0);
  abilities->update_mode = "";
  abilities->updates_remaining = ABILITIES_UPDATES_UNKNOWN;
  abilities->algorithms = read_names (tpm, "algorithms", FALSE, error);
  if (abilities->algorithms == NULL)
    return NULL;
  abilities->curves = read_names (tpm, "curves", FALSE, error);
  if (abilities->curves == NULL)
    return NULL;
  abilities->pcr_banks = read_names (tpm, "pcr-banks", TRUE, error);
  if (abilities->pcr_banks == NULL)
    return NULL;
  if (find_value (fixed, TPM2_PT_MANUFACTURER, 0) == VENDOR_INFINEON &&
      !read_vendor (tpm, abilities, error))
    return NULL;
  return g_steal_pointer (&abilities);
}
