/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "device-calls.h"

#include "bus/chip-call.h"
#include "bus/reply.h"
#include "dbus/error.h"
#include "dbus/names.h"
#include "tpm/capabilities.h"
#include "tpm/diagnosis.h"
#include "tpm/names.h"

static GVariant *
run_read_clock (Tpm *tpm, GVariant *parameters, GError **error)
{
  TPMS_TIME_INFO info;

  if (!diagnosis_read_clock (tpm, &info, error))
    return NULL;
  return g_variant_new ("(ttuub)", info.time, info.clockInfo.clock, info.clockInfo.resetCount,
                        info.clockInfo.restartCount, info.clockInfo.safe == TPM2_YES);
}

static gboolean
handle_read_clock (GgtpmDevice *skeleton, GDBusMethodInvocation *invocation, gpointer user_data)
{
  chip_call_start (user_data, invocation, run_read_clock);
  return TRUE;
}

static GVariant *
run_get_random (Tpm *tpm, GVariant *parameters, GError **error)
{
  guint32 n = 0;
  guint8 *bytes;

  g_variant_get (parameters, "(u)", &n);
  bytes = tpm_get_random (tpm, n, error);
  if (bytes == NULL)
    return NULL;
  return g_variant_new (
      "(@ay)", g_variant_new_from_data (G_VARIANT_TYPE_BYTESTRING, bytes, n, TRUE, g_free, bytes));
}

static gboolean
handle_get_random (GgtpmDevice *skeleton,
                   GDBusMethodInvocation *invocation,
                   guint n,
                   gpointer user_data)
{
  if (n == 0 || n > GGTPM_RANDOM_MAX_BYTES)
    reply_error (invocation, g_error_new (GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                                          "%u random bytes: 1 to %d can be had at once", n,
                                          GGTPM_RANDOM_MAX_BYTES));
  else
    chip_call_start (user_data, invocation, run_get_random);
  return TRUE;
}

static GVariant *
run_hash (Tpm *tpm, GVariant *parameters, GError **error)
{
  g_autoptr (GVariant) data = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GBytes) digest = NULL;
  const char *name = NULL;
  TPM2_ALG_ID algorithm = TPM2_ALG_NULL;

  g_variant_get (parameters, "(&s@ay)", &name, &data);
  bytes = g_variant_get_data_as_bytes (data);
  if (!names_parse_hash (name, &algorithm, error))
    return NULL;
  digest = diagnosis_hash (tpm, algorithm, bytes, error);
  if (digest == NULL)
    return NULL;
  return g_variant_new ("(@ay)",
                        g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, digest, TRUE));
}

static gboolean
handle_hash (GgtpmDevice *skeleton,
             GDBusMethodInvocation *invocation,
             const char *name,
             GVariant *data,
             gpointer user_data)
{
  TPM2_ALG_ID algorithm = TPM2_ALG_NULL;
  GError *error = NULL;

  if (g_variant_get_size (data) > GGTPM_HASH_MAX_BYTES)
    reply_error (invocation, g_error_new (GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                                          "%" G_GSIZE_FORMAT " bytes are too many to hash in the "
                                          "chip (at most %d)",
                                          g_variant_get_size (data), GGTPM_HASH_MAX_BYTES));
  else if (!names_parse_hash (name, &algorithm, &error))
    reply_error (invocation, error);
  else
    chip_call_start (user_data, invocation, run_hash);
  return TRUE;
}

static GVariant *
run_get_properties (Tpm *tpm, GVariant *parameters, GError **error)
{
  g_autoptr (GPtrArray) lines = NULL;
  const char *group = NULL;
  GVariantBuilder builder;

  g_variant_get (parameters, "(&s)", &group);
  lines = capabilities_read (tpm, group, error);
  if (lines == NULL)
    return NULL;
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(uus)"));
  for (guint i = 0; i < lines->len; i++)
    {
      const Capability *line = lines->pdata[i];

      g_variant_builder_add (&builder, "(uus)", line->number, line->value, line->name);
    }
  return g_variant_new ("(@a(uus))", g_variant_builder_end (&builder));
}

static gboolean
handle_get_properties (GgtpmDevice *skeleton,
                       GDBusMethodInvocation *invocation,
                       const char *group,
                       gpointer user_data)
{
  GError *error = NULL;

  if (!options_check_choice ("group", group, capabilities_get_groups (), &error))
    reply_error (invocation, error);
  else
    chip_call_start (user_data, invocation, run_get_properties);
  return TRUE;
}

void
device_calls_connect (GgtpmDevice *skeleton, const Context *context)
{
  gpointer data = (gpointer)context;

  g_object_connect (skeleton, "signal::handle-read-clock", handle_read_clock, data,
                    "signal::handle-get-random", handle_get_random, data, "signal::handle-hash",
                    handle_hash, data, "signal::handle-get-properties", handle_get_properties, data,
                    NULL);
}
