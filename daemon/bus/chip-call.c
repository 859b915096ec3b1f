/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "chip-call.h"

#include "bus/reply.h"
#include "dbus/error.h"

typedef struct
{
  ChipCallRun run;
  GVariant *parameters;
} ChipCall;

static void
chip_call_free (gpointer data)
{
  ChipCall *call = data;

  g_variant_unref (call->parameters);
  g_free (call);
}

static gpointer
op_run (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  ChipCall *call = data;
  GVariant *body = call->run (tpm, call->parameters, error);

  return body != NULL ? g_variant_ref_sink (body) : NULL;
}

static void
run_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GDBusMethodInvocation *invocation = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) body = worker_run_finish (result, &error);

  if (body == NULL)
    reply_error (invocation, error);
  else
    g_dbus_method_invocation_return_value (invocation, body);
}

void
chip_call_start (const Context *context, GDBusMethodInvocation *invocation, ChipCallRun run)
{
  ChipCall *call;

  if (context->unavailable != NULL)
    {
      reply_error (invocation, g_error_new (GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE,
                                            "the TPM cannot be used: %s", context->unavailable));
      return;
    }
  call = g_new0 (ChipCall, 1);
  call->run = run;
  call->parameters = g_variant_ref (g_dbus_method_invocation_get_parameters (invocation));
  worker_run_async (context->chip, op_run, call, chip_call_free, (GDestroyNotify)g_variant_unref,
                    NULL, run_done, invocation);
}
