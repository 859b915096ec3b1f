/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "token-removal.h"

#include "bus/operation.h"
#include "provision/removal.h"

typedef struct
{
  const Config *config;
  Tokens *tokens;
  char *token;
  gboolean dry_run;
} RemovalArgs;

static void
removal_args_free (gpointer data)
{
  RemovalArgs *args = data;

  g_free (args->token);
  g_free (args);
}

static gpointer
op_remove_token (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  RemovalArgs *args = data;

  return removal_run (args->tokens, tpm, args->config, args->token, args->dry_run, cancellable,
                      error);
}

static void
answer_remove_token (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  ggtpm_provisioning_complete_remove_token (skeleton, invocation, result);
}

static gboolean
handle_remove_token (GgtpmProvisioning *skeleton,
                     GDBusMethodInvocation *invocation,
                     const char *token,
                     GVariant *options,
                     gpointer user_data)
{
  static const OperationType type = { .run = op_remove_token,
                                      .args_free = removal_args_free,
                                      .result_free = (GDestroyNotify)g_strfreev,
                                      .changes_store = TRUE,
                                      .answer = answer_remove_token };
  const Context *context = user_data;
  RemovalArgs *args = g_new0 (RemovalArgs, 1);
  Operation *operation = operation_new (context, &type, skeleton, invocation, args);
  GError *error = NULL;
  const Option table[] = { { "dry-run", "b", &args->dry_run }, { NULL, NULL, NULL } };

  args->config = context->config;
  args->tokens = context->tokens;
  args->token = g_strdup (token);
  if (!options_parse (options, NULL, table, &error))
    operation_refuse (operation, error);
  else
    operation_start (operation);
  return TRUE;
}

void
token_removal_connect (GgtpmProvisioning *skeleton, const Context *context)
{
  g_signal_connect (skeleton, "handle-remove-token", G_CALLBACK (handle_remove_token),
                    (gpointer)context);
}
