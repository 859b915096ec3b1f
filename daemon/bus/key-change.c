/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "key-object-private.h"

#include "common/certificate.h"

/* ---- InstallCertificate ---- */

static gpointer
op_install_certificate (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  TokenArgs *args = data;

  if (args->dry_run)
    return GINT_TO_POINTER (tokens_check_certificate (args->tokens, args->token, args->id,
                                                      args->pem, args->force, cancellable, error));
  return GINT_TO_POINTER (tokens_install_certificate (args->tokens, tpm, args->token, args->id,
                                                      args->pem, args->force, args->pin,
                                                      cancellable, error));
}

static gboolean
handle_install_certificate (GgtpmKey *skeleton,
                            GDBusMethodInvocation *invocation,
                            GUnixFDList *fds,
                            const char *pem,
                            GVariant *options,
                            gpointer user_data)
{
  static const OperationType type = { .run = op_install_certificate,
                                      .args_free = token_args_free,
                                      .changes_store = TRUE,
                                      .answer = operation_answer_nothing };
  TokenArgs *args = NULL;
  Operation *operation = key_object_new_operation (user_data, &type, invocation, &args);
  const Option table[] = { { "force", "b", &args->force },
                           { "dry-run", "b", &args->dry_run },
                           operation_pin_option (operation, "pin", &args->pin),
                           { NULL, NULL, NULL } };
  g_autoptr (X509) certificate = NULL;
  GError *error = NULL;

  args->pem = g_strdup (pem);
  if (!options_parse (options, fds, table, &error) ||
      (certificate = certificate_parse_pem (pem, &error)) == NULL)
    operation_refuse (operation, error);
  else
    operation_start (operation);
  return TRUE;
}

/* ---- Rotate ---- */

static gpointer
op_rotate (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  TokenArgs *args = data;
  const TokenCsrParams params = { args->subject, args->extensions, 0 };
  char *csr = NULL;
  TokenKey *key;

  job_report (args->job, "making the successor", 0.1);
  key = tokens_rotate_key (args->tokens, tpm, args->token, args->id, args->algorithm, &params,
                           args->pin, &csr, cancellable, error);
  return key != NULL ? new_key_new (args->token, key, csr) : NULL;
}

static gboolean
handle_rotate (GgtpmKey *skeleton,
               GDBusMethodInvocation *invocation,
               GUnixFDList *fds,
               GVariant *options,
               gpointer user_data)
{
  static const OperationType type = { .run = op_rotate,
                                      .args_free = token_args_free,
                                      .result_free = new_key_free,
                                      .changes_store = TRUE,
                                      .job = "rotate-key",
                                      .job_result = new_key_to_variant };
  TokenArgs *args = NULL;
  Operation *operation = key_object_new_operation (user_data, &type, invocation, &args);
  const Option algorithm = { "algorithm", "s", &args->algorithm };
  GError *error = NULL;

  if (!token_args_parse_request (args, operation, options, fds, &algorithm, &error) ||
      (args->algorithm != NULL && !tokens_check_algorithm (args->algorithm, &error)))
    operation_refuse (operation, error);
  else
    operation_start_job (operation, &args->job);
  return TRUE;
}

/* ---- Delete ---- */

static gpointer
op_delete (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  TokenArgs *args = data;

  return GINT_TO_POINTER (
      tokens_delete_key (args->tokens, tpm, args->token, args->id, args->pin, cancellable, error));
}

static gboolean
handle_delete (GgtpmKey *skeleton,
               GDBusMethodInvocation *invocation,
               GUnixFDList *fds,
               GVariant *options,
               gpointer user_data)
{
  static const OperationType type = { .run = op_delete,
                                      .args_free = token_args_free,
                                      .changes_store = TRUE,
                                      .answer = operation_answer_nothing };
  TokenArgs *args = NULL;
  Operation *operation = key_object_new_operation (user_data, &type, invocation, &args);
  const Option table[] = { operation_pin_option (operation, "pin", &args->pin),
                           { NULL, NULL, NULL } };
  GError *error = NULL;

  if (!options_parse (options, fds, table, &error))
    operation_refuse (operation, error);
  else
    operation_start (operation);
  return TRUE;
}

void
key_change_connect (KeyObject *object)
{
  g_object_connect (object->skeleton, "signal::handle-install-certificate",
                    handle_install_certificate, object, "signal::handle-rotate", handle_rotate,
                    object, "signal::handle-delete", handle_delete, object, NULL);
}
