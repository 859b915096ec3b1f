/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "token-removal.h"

#include "bus/options.h"
#include "bus/reply.h"
#include "dbus/error.h"
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
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RemovalArgs, removal_args_free)

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
  static const OperationType type = { op_remove_token, removal_args_free,
                                      (GDestroyNotify)g_strfreev, TRUE };
  const Context *context = user_data;
  g_autoptr (RemovalArgs) args = g_new0 (RemovalArgs, 1);
  GError *error = NULL;
  const Option table[] = { { "dry-run", "b", &args->dry_run }, { NULL, NULL, NULL } };

  if (!options_parse (options, NULL, table, &error))
    {
      reply_error (invocation, error);
      return TRUE;
    }
  args->config = context->config;
  args->tokens = context->tokens;
  args->token = g_strdup (token);
  operation_start (operation_new (context, &type, skeleton, invocation, g_steal_pointer (&args)),
                   answer_remove_token);
  return TRUE;
}

void
token_removal_connect (GgtpmProvisioning *skeleton, const Context *context)
{
  g_signal_connect (skeleton, "handle-remove-token", G_CALLBACK (handle_remove_token),
                    (gpointer)context);
}
