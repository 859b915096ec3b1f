/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "capabilities.h"

#include "dbus/error.h"
#include "names.h"
#include "rc.h"
#include "vendor-properties.h"

/* Answers for one group; a chip that gives eight lines an answer needs some twenty. */
#define MAX_COMMANDS 64
/* Lines that one answer may have: what fits into TPM2_MAX_CAP_BUFFER. */
#define LINES_AT_ONCE 128

typedef struct _Group Group;

/* Takes an answer over and returns the number to go on with. */
typedef guint32 (*TakeAnswer) (const Group *group, const TPMU_CAPABILITIES *data, GPtrArray *lines);

struct _Group
{
  const char *name;
  TPM2_CAP capability;
  guint32 first;
  guint32 end; /* lines from this number on belong to another group */
  TakeAnswer take;
};

static void
capability_free (gpointer data)
{
  Capability *capability = data;

  g_free (capability->name);
  g_free (capability);
}

/* @name: taken */
static void
add_line (GPtrArray *lines, guint32 number, guint32 value, char *name)
{
  Capability *capability = g_new0 (Capability, 1);

  capability->number = number;
  capability->value = value;
  capability->name = name;
  g_ptr_array_add (lines, capability);
}

static char *
dup_name (const char *name)
{
  return g_strdup (name != NULL ? name : "");
}

/* ---- what the answers are made of ---- */

static guint32
take_properties (const Group *group, const TPMU_CAPABILITIES *data, GPtrArray *lines)
{
  const TPML_TAGGED_TPM_PROPERTY *list = &data->tpmProperties;
  guint32 next = group->first;

  for (guint32 i = 0; i < list->count; i++)
    {
      TPM2_PT property = list->tpmProperty[i].property;

      next = property + 1;
      if (property >= group->first && property < group->end)
        add_line (lines, property, list->tpmProperty[i].value,
                  dup_name (names_get_property (property)));
    }
  return next;
}

static guint32
take_algorithms (const Group *group, const TPMU_CAPABILITIES *data, GPtrArray *lines)
{
  const TPML_ALG_PROPERTY *list = &data->algorithms;
  guint32 next = group->first;

  for (guint32 i = 0; i < list->count; i++)
    {
      const TPMS_ALG_PROPERTY *algorithm = &list->algProperties[i];

      next = algorithm->alg + 1u;
      add_line (lines, algorithm->alg, algorithm->algProperties,
                dup_name (names_get_algorithm (algorithm->alg)));
    }
  return next;
}

static guint32
take_commands (const Group *group, const TPMU_CAPABILITIES *data, GPtrArray *lines)
{
  const TPML_CCA *list = &data->command;
  guint32 next = group->first;

  for (guint32 i = 0; i < list->count; i++)
    {
      TPMA_CC attributes = list->commandAttributes[i];
      TPM2_CC code = attributes & (TPMA_CC_COMMANDINDEX_MASK | TPMA_CC_V);

      next = code + 1;
      add_line (lines, code, attributes, dup_name (names_get_command (code)));
    }
  return next;
}

static guint32
take_command_codes (const Group *group, const TPMU_CAPABILITIES *data, GPtrArray *lines)
{
  const TPML_CC *list = &data->ppCommands; /* auditCommands is the same */
  guint32 next = group->first;

  for (guint32 i = 0; i < list->count; i++)
    {
      next = list->commandCodes[i] + 1;
      add_line (lines, list->commandCodes[i], 0,
                dup_name (names_get_command (list->commandCodes[i])));
    }
  return next;
}

static guint32
take_curves (const Group *group, const TPMU_CAPABILITIES *data, GPtrArray *lines)
{
  const TPML_ECC_CURVE *list = &data->eccCurves;
  guint32 next = group->first;

  for (guint32 i = 0; i < list->count; i++)
    {
      next = list->eccCurves[i] + 1u;
      add_line (lines, list->eccCurves[i], 0, dup_name (names_get_curve (list->eccCurves[i])));
    }
  return next;
}

static guint32
get_bits (const BYTE *select, guint8 size)
{
  guint32 bits = 0;

  for (guint8 i = 0; i < MIN (size, TPM2_PCR_SELECT_MAX); i++)
    bits |= (guint32)select[i] << (8 * i);
  return bits;
}

static guint32
take_pcr_banks (const Group *group, const TPMU_CAPABILITIES *data, GPtrArray *lines)
{
  const TPML_PCR_SELECTION *list = &data->assignedPCR;

  for (guint32 i = 0; i < list->count; i++)
    {
      const TPMS_PCR_SELECTION *bank = &list->pcrSelections[i];

      add_line (lines, bank->hash, get_bits (bank->pcrSelect, bank->sizeofSelect),
                dup_name (names_get_algorithm (bank->hash)));
    }
  return group->end;
}

static guint32
take_pcr_properties (const Group *group, const TPMU_CAPABILITIES *data, GPtrArray *lines)
{
  const TPML_TAGGED_PCR_PROPERTY *list = &data->pcrProperties;
  guint32 next = group->first;

  for (guint32 i = 0; i < list->count; i++)
    {
      const TPMS_TAGGED_PCR_SELECT *property = &list->pcrProperty[i];

      next = property->tag + 1;
      add_line (lines, property->tag, get_bits (property->pcrSelect, property->sizeofSelect),
                dup_name (names_get_pcr_property (property->tag)));
    }
  return next;
}

/* ---- handles ---- */

static const struct
{
  guint32 first;
  const char *kind;
} handle_kinds[] = {
  { TPM2_PCR_FIRST, "pcr" },
  { TPM2_NV_INDEX_FIRST, "nv-index" },
  { TPM2_LOADED_SESSION_FIRST, "loaded-session" },
  { TPM2_ACTIVE_SESSION_FIRST, "saved-session" },
  { TPM2_PERMANENT_FIRST, "permanent" },
  { TPM2_TRANSIENT_FIRST, "transient" },
  { TPM2_PERSISTENT_FIRST, "persistent" },
};

static const char *
get_kind (guint32 first)
{
  for (gsize i = 0; i < G_N_ELEMENTS (handle_kinds); i++)
    if (handle_kinds[i].first == first)
      return handle_kinds[i].kind;
  return "";
}

static guint32
take_handles (const Group *group, const TPMU_CAPABILITIES *data, GPtrArray *lines)
{
  const TPML_HANDLE *list = &data->handles;
  guint32 next = group->first;

  for (guint32 i = 0; i < list->count; i++)
    {
      next = list->handle[i] + 1;
      add_line (lines, list->handle[i], 0, g_strdup (get_kind (group->first)));
    }
  return next;
}

static char *
describe_policy (const TPMT_HA *policy)
{
  GString *text = g_string_new (names_get_algorithm (policy->hashAlg));

  for (guint i = 0; i < names_get_digest_size (policy->hashAlg); i++)
    g_string_append_printf (text, "%s%02x", i == 0 ? " " : "",
                            ((const guint8 *)&policy->digest)[i]);
  return g_string_free (text, FALSE);
}

static guint32
take_auth_policies (const Group *group, const TPMU_CAPABILITIES *data, GPtrArray *lines)
{
  const TPML_TAGGED_POLICY *list = &data->authPolicies;
  guint32 next = group->first;

  for (guint32 i = 0; i < list->count; i++)
    {
      const TPMS_TAGGED_POLICY *policy = &list->policies[i];

      next = policy->handle + 1;
      add_line (lines, policy->handle, policy->policyHash.hashAlg,
                describe_policy (&policy->policyHash));
    }
  return next;
}

/* Part 2, 8.12 (TPMA_ACT) */
static guint32
take_acts (const Group *group, const TPMU_CAPABILITIES *data, GPtrArray *lines)
{
  const TPML_ACT_DATA *list = &data->actData;
  guint32 next = group->first;

  for (guint32 i = 0; i < list->count; i++)
    {
      const TPMS_ACT_DATA *act = &list->actData[i];

      next = act->handle + 1;
      add_line (lines, act->handle, act->timeout,
                g_strdup_printf (
                    "TPM_RH_ACT_%X%s%s", act->handle - TPM2_RH_ACT_0,
                    (act->attributes & TPMA_ACT_SIGNALED) != 0 ? " signaled" : "",
                    (act->attributes & TPMA_ACT_PRESERVESIGNALED) != 0 ? " preserveSignaled" : ""));
    }
  return next;
}

/* ---- reading ---- */

static const Group groups[] = {
  { "fixed", TPM2_CAP_TPM_PROPERTIES, TPM2_PT_FIXED, TPM2_PT_VAR, take_properties },
  { "variable", TPM2_CAP_TPM_PROPERTIES, TPM2_PT_VAR, TPM2_PT_VAR + TPM2_PT_GROUP,
    take_properties },
  { "algorithms", TPM2_CAP_ALGS, TPM2_ALG_FIRST, G_MAXUINT32, take_algorithms },
  { "commands", TPM2_CAP_COMMANDS, TPM2_CC_FIRST, G_MAXUINT32, take_commands },
  { "pp-commands", TPM2_CAP_PP_COMMANDS, TPM2_CC_FIRST, G_MAXUINT32, take_command_codes },
  { "audit-commands", TPM2_CAP_AUDIT_COMMANDS, TPM2_CC_FIRST, G_MAXUINT32, take_command_codes },
  { "curves", TPM2_CAP_ECC_CURVES, TPM2_ECC_NIST_P192, G_MAXUINT32, take_curves },
  { "pcr-banks", TPM2_CAP_PCRS, 0, G_MAXUINT32, take_pcr_banks },
  { "pcr-properties", TPM2_CAP_PCR_PROPERTIES, TPM2_PT_PCR_SAVE, G_MAXUINT32, take_pcr_properties },
  { "auth-policies", TPM2_CAP_AUTH_POLICIES, TPM2_PERMANENT_FIRST, G_MAXUINT32,
    take_auth_policies },
  { "acts", TPM2_CAP_ACT, TPM2_RH_ACT_0, G_MAXUINT32, take_acts },
};

static gboolean
nonsense (const char *group, const char *text, GError **error)
{
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE,
               "reading the TPM's capabilities (%s): %s", group, text);
  return FALSE;
}

/* A chip older than a capability says that it is no value, or that it is none of the structure's. */
static gboolean
is_absent (TSS2_RC rc)
{
  return rc_get_base (rc) == TPM2_RC_VALUE || rc == TSS2_MU_RC_BAD_VALUE ||
         rc == TSS2_SYS_RC_BAD_VALUE;
}

static gboolean
read_group (Tpm *tpm, const Group *group, GPtrArray *lines, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  guint32 next = group->first;

  for (guint i = 0; esys != NULL && i < MAX_COMMANDS; i++)
    {
      g_autoptr (TPMS_CAPABILITY_DATA) data = NULL;
      TPMI_YES_NO more = TPM2_NO;
      guint32 asked = next;
      TSS2_RC rc = Esys_GetCapability (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                       group->capability, asked, LINES_AT_ONCE, &more, &data);

      if (i == 0 && is_absent (rc))
        return TRUE;
      if (!rc_check (rc, "reading the TPM's capabilities", error))
        return FALSE;
      if (data->capability != group->capability)
        return nonsense (group->name, "the TPM sent another capability than was asked for", error);
      next = group->take (group, &data->data, lines);
      if (more == TPM2_NO || next >= group->end)
        return TRUE;
      if (next <= asked)
        return nonsense (group->name, "the TPM says that there are more and sends none", error);
    }
  return esys != NULL && nonsense (group->name, "the TPM does not come to an end", error);
}

static gboolean
read_handles (Tpm *tpm, GPtrArray *lines, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (handle_kinds); i++)
    {
      const Group group = { "handles", TPM2_CAP_HANDLES, handle_kinds[i].first, G_MAXUINT32,
                            take_handles };

      if (!read_group (tpm, &group, lines, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
read_vendor (Tpm *tpm, GPtrArray *lines, GError **error)
{
  for (guint i = 0; i < vendor_properties_get_count (); i++)
    {
      g_autoptr (GBytes) value = NULL;
      const char *name = NULL;
      guint32 number = 0;
      guint32 word = 0;
      gsize len = 0;
      const guint8 *bytes;
      GString *text;

      if (!vendor_properties_read (tpm, i, &number, &name, &value, error))
        return FALSE;
      if (value == NULL)
        continue;
      bytes = g_bytes_get_data (value, &len);
      for (gsize j = 0; j < MIN (len, sizeof (word)); j++)
        word = word << 8 | bytes[j];
      text = g_string_new (name);
      for (gsize j = 0; len > sizeof (word) && j < len; j++)
        g_string_append_printf (text, "%s%02x", j == 0 ? " " : "", bytes[j]);
      add_line (lines, number, word, g_string_free (text, FALSE));
    }
  return TRUE;
}

const char *const *
capabilities_get_groups (void)
{
  static const char *names[G_N_ELEMENTS (groups) + 3];

  for (gsize i = 0; i < G_N_ELEMENTS (groups); i++)
    names[i] = groups[i].name;
  names[G_N_ELEMENTS (groups)] = "handles";
  names[G_N_ELEMENTS (groups) + 1] = "vendor";
  return names;
}

GPtrArray *
capabilities_read (Tpm *tpm, const char *name, GError **error)
{
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (capability_free);
  gboolean ok = FALSE;

  if (g_str_equal (name, "handles"))
    ok = read_handles (tpm, lines, error);
  else if (g_str_equal (name, "vendor"))
    ok = read_vendor (tpm, lines, error);
  else
    for (gsize i = 0; i < G_N_ELEMENTS (groups); i++)
      if (g_str_equal (groups[i].name, name))
        ok = read_group (tpm, &groups[i], lines, error);
  return ok ? g_steal_pointer (&lines) : NULL;
}
