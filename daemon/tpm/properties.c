/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "properties.h"

#include "dbus/error.h"
#include "rc.h"

/* Commands for one group: a chip that gives one property a command would need some thirty. */
#define MAX_COMMANDS 64

/* The lowest 32 bits of a group's 256 properties are all that we know of. */
#define N_VALUES 32

/* What a group has told so far, by the property's distance from the group's first. */
typedef struct
{
  TPM2_PT first;
  guint32 value[N_VALUES];
  guint32 known; /* bit n: value[n] was in an answer */
} Group;

static gboolean
nonsense (const char *text, GError **error)
{
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE, "reading the TPM's properties: %s",
               text);
  return FALSE;
}

/*
 * Takes over one answer; what was not asked for is passed over.
 * @inout_next: the property that was asked for; then the one to ask for next
 */
static gboolean
take_answer (Group *group, const TPMS_CAPABILITY_DATA *data, TPM2_PT *inout_next, GError **error)
{
  const TPML_TAGGED_TPM_PROPERTY *list = &data->data.tpmProperties;

  if (data->capability != TPM2_CAP_TPM_PROPERTIES)
    return nonsense ("the TPM sent another capability than was asked for", error);
  for (guint32 i = 0; i < list->count; i++)
    {
      TPM2_PT property = list->tpmProperty[i].property;

      if (property < group->first)
        continue;
      if (property - group->first < N_VALUES)
        {
          group->value[property - group->first] = list->tpmProperty[i].value;
          group->known |= 1u << (property - group->first);
        }
      *inout_next = MAX (*inout_next, MIN (property, group->first + N_VALUES) + 1);
    }
  return TRUE;
}

/*
 * Reads from the group's first property to @last. Chips since revision 1.38 end an answer at the group's last property,
 * older ones go on into the next group: both are right (Part 3, 30.2).
 */
static gboolean
read_group (Tpm *tpm, TPM2_PT first, TPM2_PT last, Group *group, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  TPM2_PT next = first;

  if (esys == NULL)
    return FALSE;

  *group = (Group){ .first = first };
  for (guint i = 0; i < MAX_COMMANDS; i++)
    {
      g_autoptr (TPMS_CAPABILITY_DATA) data = NULL;
      TPMI_YES_NO more = TPM2_NO;
      TPM2_PT asked = next;

      if (!rc_check (Esys_GetCapability (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                         TPM2_CAP_TPM_PROPERTIES, next, last - next + 1, &more,
                                         &data),
                     "reading the TPM's properties", error) ||
          !take_answer (group, data, &next, error))
        return FALSE;
      if (more == TPM2_NO || next > last)
        return TRUE;
      if (next == asked)
        return nonsense ("the TPM says that there are more and sends none", error);
    }
  return nonsense ("the TPM does not come to an end", error);
}

static guint32
get (const Group *group, TPM2_PT property)
{
  return group->value[property - group->first];
}

/* As get(), for a property that a chip may leave out. */
static guint32
get_optional (const Group *group, TPM2_PT property)
{
  return (group->known & 1u << (property - group->first)) != 0 ? get (group, property)
                                                               : PROPERTY_UNKNOWN;
}

/*
 * Four characters of each value, without NULs, without spaces at the ends; what is not printable ASCII becomes '?': the
 * text goes to the bus and to terminals.
 */
static void
get_text (const Group *group, TPM2_PT property, guint n_values, char *out)
{
  gsize len = 0;

  for (guint i = 0; i < n_values * 4; i++)
    {
      guint8 c = (guint8)(get (group, property + i / 4) >> (24 - 8 * (i % 4)));

      if (c != 0)
        out[len++] = g_ascii_isprint (c) ? (char)c : '?';
    }
  out[len] = '\0';
  g_strstrip (out);
}

gboolean
properties_read_fixed (Tpm *tpm, FixedProperties *out, GError **error)
{
  Group group;
  FixedProperties fixed;

  if (!read_group (tpm, TPM2_PT_FIXED, TPM2_PT_MEMORY, &group, error))
    return FALSE;
  if ((group.known & 1u << (TPM2_PT_FAMILY_INDICATOR - TPM2_PT_FIXED)) == 0 ||
      (group.known & 1u << (TPM2_PT_MANUFACTURER - TPM2_PT_FIXED)) == 0)
    return nonsense ("the TPM does not say what it is", error);

  memset (&fixed, 0, sizeof (fixed)); /* padding too: snapshots are compared */
  get_text (&group, TPM2_PT_FAMILY_INDICATOR, 1, fixed.family);
  fixed.level = get (&group, TPM2_PT_LEVEL);
  fixed.revision = get (&group, TPM2_PT_REVISION);
  fixed.year = get (&group, TPM2_PT_YEAR);
  fixed.day_of_year = get (&group, TPM2_PT_DAY_OF_YEAR);
  fixed.manufacturer_id = get (&group, TPM2_PT_MANUFACTURER);
  get_text (&group, TPM2_PT_MANUFACTURER, 1, fixed.manufacturer);
  get_text (&group, TPM2_PT_VENDOR_STRING_1, 4, fixed.vendor_string);
  fixed.tpm_type = get (&group, TPM2_PT_VENDOR_TPM_TYPE);
  fixed.firmware_1 = get (&group, TPM2_PT_FIRMWARE_VERSION_1);
  fixed.firmware_2 = get (&group, TPM2_PT_FIRMWARE_VERSION_2);
  fixed.memory = get (&group, TPM2_PT_MEMORY);
  *out = fixed;
  return TRUE;
}

gboolean
properties_read_variable (Tpm *tpm, VariableProperties *out, GError **error)
{
  static const TPM2_PT mandatory[] = { TPM2_PT_PERMANENT,        TPM2_PT_STARTUP_CLEAR,
                                       TPM2_PT_LOCKOUT_COUNTER,  TPM2_PT_MAX_AUTH_FAIL,
                                       TPM2_PT_LOCKOUT_INTERVAL, TPM2_PT_LOCKOUT_RECOVERY };
  Group group;

  if (!read_group (tpm, TPM2_PT_VAR, TPM2_PT_LOCKOUT_RECOVERY, &group, error))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (mandatory); i++)
    if ((group.known & 1u << (mandatory[i] - TPM2_PT_VAR)) == 0)
      return nonsense ("the TPM leaves out the lockout state", error);

  *out = (VariableProperties){
    .permanent = get (&group, TPM2_PT_PERMANENT),
    .startup_clear = get (&group, TPM2_PT_STARTUP_CLEAR),
    .lockout_counter = get (&group, TPM2_PT_LOCKOUT_COUNTER),
    .max_auth_fail = get (&group, TPM2_PT_MAX_AUTH_FAIL),
    .lockout_interval = get (&group, TPM2_PT_LOCKOUT_INTERVAL),
    .lockout_recovery = get (&group, TPM2_PT_LOCKOUT_RECOVERY),
    .nv_indices = get_optional (&group, TPM2_PT_HR_NV_INDEX),
    .persistent = get_optional (&group, TPM2_PT_HR_PERSISTENT),
    .persistent_available = get_optional (&group, TPM2_PT_HR_PERSISTENT_AVAIL),
    .transient_available = get_optional (&group, TPM2_PT_HR_TRANSIENT_AVAIL),
    .loaded_available = get_optional (&group, TPM2_PT_HR_LOADED_AVAIL),
    .active_available = get_optional (&group, TPM2_PT_HR_ACTIVE_AVAIL),
    .nv_counters_available = get_optional (&group, TPM2_PT_NV_COUNTERS_AVAIL),
  };
  return TRUE;
}
