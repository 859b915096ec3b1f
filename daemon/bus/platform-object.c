/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "platform-object.h"

#include "bus/chip-call.h"
#include "bus/options.h"
#include "bus/reply.h"
#include "dbus/error.h"
#include "ggtpm-generated.h"
#include "tpm/names.h"
#include "tpm/pcr.h"

#define ALL_PCRS ((1u << PCR_COUNT) - 1)

struct _PlatformObject
{
  const Context *context;
  GgtpmPlatform *skeleton;
};

static gboolean
check_pcr (guint32 pcr, GError **error)
{
  if (pcr < PCR_COUNT)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "there is no PCR %u, only 0 to %d",
               pcr, PCR_COUNT - 1);
  return FALSE;
}

/* ---- reading ---- */

static gboolean
parse_pcrs (GVariant *pcrs, guint32 *out_wanted, GError **error)
{
  gsize n = 0;
  const guint32 *numbers = g_variant_get_fixed_array (pcrs, &n, sizeof (guint32));
  guint32 wanted = n == 0 ? ALL_PCRS : 0;

  for (gsize i = 0; i < n; i++)
    {
      if (!check_pcr (numbers[i], error))
        return FALSE;
      wanted |= 1u << numbers[i];
    }
  *out_wanted = wanted;
  return TRUE;
}

static gboolean
parse_read (GVariant *parameters, TPM2_ALG_ID *out_bank, guint32 *out_wanted, GError **error)
{
  g_autoptr (GVariant) pcrs = NULL;
  const char *bank = NULL;

  g_variant_get (parameters, "(&s@au)", &bank, &pcrs);
  return names_parse_hash (bank, out_bank, error) && parse_pcrs (pcrs, out_wanted, error);
}

static GVariant *
run_read_pcrs (Tpm *tpm, GVariant *parameters, GError **error)
{
  g_autoptr (PcrValues) values = NULL;
  GVariantBuilder builder;
  TPM2_ALG_ID bank = TPM2_ALG_NULL;
  guint32 wanted = 0;

  if (!parse_read (parameters, &bank, &wanted, error))
    return NULL;
  values = pcr_read (tpm, bank, wanted, error);
  if (values == NULL)
    return NULL;
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{uay}"));
  for (guint i = 0; i < PCR_COUNT; i++)
    if (values->values[i] != NULL)
      g_variant_builder_add (
          &builder, "{u@ay}", i,
          g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, values->values[i], TRUE));
  return g_variant_new ("(@a{uay})", g_variant_builder_end (&builder));
}

static gboolean
handle_read_pcrs (GgtpmPlatform *skeleton,
                  GDBusMethodInvocation *invocation,
                  const char *name,
                  GVariant *pcrs,
                  gpointer user_data)
{
  PlatformObject *object = user_data;
  GError *error = NULL;
  TPM2_ALG_ID bank = TPM2_ALG_NULL;
  guint32 wanted = 0;

  if (!parse_read (g_dbus_method_invocation_get_parameters (invocation), &bank, &wanted, &error))
    reply_error (invocation, error);
  else
    chip_call_start (object->context, invocation, run_read_pcrs);
  return TRUE;
}

/* ---- extending ---- */

static gboolean
check_digest (const char *name, TPM2_ALG_ID bank, gsize len, GError **error)
{
  if (len == names_get_digest_size (bank))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "a %s digest has %u bytes, not %" G_GSIZE_FORMAT, name, names_get_digest_size (bank),
               len);
  return FALSE;
}

static gboolean
is_known (const GArray *digests, TPM2_ALG_ID bank)
{
  for (guint i = 0; i < digests->len; i++)
    if (g_array_index (digests, PcrDigest, i).bank == bank)
      return TRUE;
  return FALSE;
}

static void
clear_digest (gpointer data)
{
  g_bytes_unref (((PcrDigest *)data)->digest);
}

/* @out_digests: of PcrDigest; g_array_unref() */
static gboolean
parse_extend (GVariant *parameters, guint32 *out_pcr, GArray **out_digests, GError **error)
{
  g_autoptr (GArray) digests = g_array_new (FALSE, FALSE, sizeof (PcrDigest));
  g_autoptr (GVariant) dictionary = g_variant_get_child_value (parameters, 1);
  g_autoptr (GVariant) options = g_variant_get_child_value (parameters, 2);

  g_array_set_clear_func (digests, clear_digest);
  g_variant_get_child (parameters, 0, "u", out_pcr);
  if (!check_pcr (*out_pcr, error) || !options_check_empty (options, error))
    return FALSE;
  for (gsize i = 0; i < g_variant_n_children (dictionary); i++)
    {
      g_autoptr (GVariant) value = NULL;
      const char *name = NULL;
      PcrDigest digest = { TPM2_ALG_NULL, NULL };

      g_variant_get_child (dictionary, i, "{&s@ay}", &name, &value);
      if (!names_parse_hash (name, &digest.bank, error) ||
          !check_digest (name, digest.bank, g_variant_get_size (value), error))
        return FALSE;
      if (is_known (digests, digest.bank))
        {
          g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s is given twice", name);
          return FALSE;
        }
      digest.digest = g_variant_get_data_as_bytes (value);
      g_array_append_val (digests, digest);
    }
  if (digests->len == 0)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "no digest is given");
      return FALSE;
    }
  *out_digests = g_steal_pointer (&digests);
  return TRUE;
}

static GVariant *
run_extend_pcr (Tpm *tpm, GVariant *parameters, GError **error)
{
  g_autoptr (GArray) digests = NULL;
  guint32 pcr = 0;

  if (!parse_extend (parameters, &pcr, &digests, error) ||
      !pcr_extend (tpm, pcr, (const PcrDigest *)(gconstpointer)digests->data, digests->len, error))
    return NULL;
  return g_variant_new ("()");
}

static gboolean
handle_extend_pcr (GgtpmPlatform *skeleton,
                   GDBusMethodInvocation *invocation,
                   guint pcr,
                   GVariant *dictionary,
                   GVariant *options,
                   gpointer user_data)
{
  PlatformObject *object = user_data;
  g_autoptr (GArray) digests = NULL;
  GError *error = NULL;

  if (!parse_extend (g_dbus_method_invocation_get_parameters (invocation), &pcr, &digests, &error))
    reply_error (invocation, error);
  else
    chip_call_start (object->context, invocation, run_extend_pcr);
  return TRUE;
}

/* ---- resetting ---- */

static GVariant *
run_reset_pcr (Tpm *tpm, GVariant *parameters, GError **error)
{
  guint32 pcr = 0;

  g_variant_get_child (parameters, 0, "u", &pcr);
  return pcr_reset (tpm, pcr, error) ? g_variant_new ("()") : NULL;
}

static gboolean
handle_reset_pcr (GgtpmPlatform *skeleton,
                  GDBusMethodInvocation *invocation,
                  guint pcr,
                  GVariant *options,
                  gpointer user_data)
{
  PlatformObject *object = user_data;
  GError *error = NULL;

  if (!check_pcr (pcr, &error) || !options_check_empty (options, &error))
    reply_error (invocation, error);
  else if (pcr != 16 && pcr != 23)
    reply_error (invocation,
                 g_error_new (GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                              "PCR %u cannot be reset but by a TPM reset: only 16 and 23 can",
                              pcr));
  else
    chip_call_start (object->context, invocation, run_reset_pcr);
  return TRUE;
}

/* ---- allocating ---- */

static gboolean
parse_banks (const char *const *names, GArray *banks, GError **error)
{
  for (gsize i = 0; names[i] != NULL; i++)
    {
      TPM2_ALG_ID bank = TPM2_ALG_NULL;

      if (!names_parse_hash (names[i], &bank, error))
        return FALSE;
      for (guint j = 0; j < banks->len; j++)
        if (g_array_index (banks, TPM2_ALG_ID, j) == bank)
          {
            g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s is given twice",
                         names[i]);
            return FALSE;
          }
      g_array_append_val (banks, bank);
    }
  if (banks->len > 0)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "no bank is given: a TPM without any PCR bank is of no use");
  return FALSE;
}

static GVariant *
run_allocate_pcrs (Tpm *tpm, GVariant *parameters, GError **error)
{
  g_autoptr (GArray) banks = g_array_new (FALSE, FALSE, sizeof (TPM2_ALG_ID));
  g_autofree const char **names = NULL;
  guint32 needed = 0;
  guint32 available = 0;

  g_variant_get (parameters, "(^a&sa{sv})", &names, NULL);
  if (!parse_banks (names, banks, error) ||
      !pcr_allocate (tpm, (const TPM2_ALG_ID *)(gconstpointer)banks->data, banks->len, &needed,
                     &available, error))
    return NULL;
  return g_variant_new ("(uu)", needed, available);
}

static gboolean
handle_allocate_pcrs (GgtpmPlatform *skeleton,
                      GDBusMethodInvocation *invocation,
                      const char *const *names,
                      GVariant *options,
                      gpointer user_data)
{
  PlatformObject *object = user_data;
  g_autoptr (GArray) banks = g_array_new (FALSE, FALSE, sizeof (TPM2_ALG_ID));
  GError *error = NULL;

  if (!parse_banks (names, banks, &error) || !options_check_empty (options, &error))
    reply_error (invocation, error);
  else
    chip_call_start (object->context, invocation, run_allocate_pcrs);
  return TRUE;
}

/* ---- the object ---- */

GDBusInterfaceSkeleton *
platform_object_get_skeleton (PlatformObject *object)
{
  return G_DBUS_INTERFACE_SKELETON (object->skeleton);
}

PlatformObject *
platform_object_new (const Context *context)
{
  PlatformObject *object = g_new0 (PlatformObject, 1);

  object->context = context;
  object->skeleton = gate_new_skeleton (context->gate, GGTPM_TYPE_PLATFORM_SKELETON);
  g_object_connect (object->skeleton, "signal::handle-read-pcrs", handle_read_pcrs, object,
                    "signal::handle-extend-pcr", handle_extend_pcr, object,
                    "signal::handle-reset-pcr", handle_reset_pcr, object,
                    "signal::handle-allocate-pcrs", handle_allocate_pcrs, object, NULL);
  return object;
}

void
platform_object_free (PlatformObject *object)
{
  g_object_unref (object->skeleton);
  g_free (object);
}
