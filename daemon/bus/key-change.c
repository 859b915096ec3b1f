/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "key-object-private.h"

#include "bus/object-path.h"
#include "bus/options.h"
#include "bus/reply.h"
#include "common/certificate.h"
#include "dbus/error.h"
#include "token/csr.h"

#define DEFAULT_DAYS 365

/* ---- what is in a request ---- */

/* @own: one more option, of the method alone; NULL: none */
static gboolean
parse_request (GVariant *options,
               GUnixFDList *fds,
               KeyArgs *args,
               const Option *own,
               int *out_pin_fd,
               GError **error)
{
  const Option table[] = {
    { "subject", "s", &args->subject },
    { "alt-names", "as", &args->extensions.alt_names },
    { "key-usage", "as", &args->extensions.key_usage },
    { "ext-key-usage", "as", &args->extensions.ext_key_usage },
    { "pin", "h", out_pin_fd },
    own != NULL ? *own : (Option){ NULL, NULL, NULL },
    { NULL, NULL, NULL },
  };

  return options_parse (options, fds, table, error) &&
         (args->subject == NULL || csr_check_subject (args->subject, error)) &&
         extensions_check (&args->extensions, error);
}

/* ---- CreateCsr ---- */

static gpointer
op_create_csr (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  KeyArgs *args = data;

  const TokenCsrParams params = { args->subject, args->extensions, args->days };

  return tokens_create_csr (args->tokens, tpm, args->token, args->id, &params, args->pin,
                            cancellable, error);
}

static void
answer_create_csr (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  ggtpm_key_complete_create_csr (skeleton, invocation, NULL, result);
}

static gboolean
handle_create_csr (GgtpmKey *skeleton,
                   GDBusMethodInvocation *invocation,
                   GUnixFDList *fds,
                   GVariant *options,
                   gpointer user_data)
{
  static const OperationType type = { op_create_csr, key_args_free, g_free, FALSE };
  KeyObject *object = user_data;
  g_autoptr (KeyArgs) args = key_args_new (object);
  GError *error = NULL;
  int pin_fd = -1;

  if (!parse_request (options, fds, args, NULL, &pin_fd, &error))
    reply_error (invocation, error);
  else
    key_object_start (object, &type, invocation, g_steal_pointer (&args), pin_fd,
                      answer_create_csr);
  return TRUE;
}

/* ---- CreateSelfSigned ---- */

static void
answer_create_self_signed (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  ggtpm_key_complete_create_self_signed (skeleton, invocation, NULL, result);
}

static gboolean
handle_create_self_signed (GgtpmKey *skeleton,
                           GDBusMethodInvocation *invocation,
                           GUnixFDList *fds,
                           GVariant *options,
                           gpointer user_data)
{
  static const OperationType type = { op_create_csr, key_args_free, g_free, FALSE };
  KeyObject *object = user_data;
  g_autoptr (KeyArgs) args = key_args_new (object);
  const Option days = { "days", "u", &args->days };
  GError *error = NULL;
  int pin_fd = -1;

  args->days = DEFAULT_DAYS;
  if (parse_request (options, fds, args, &days, &pin_fd, &error) &&
      (args->days == 0 || args->days > CSR_MAX_DAYS))
    error = g_error_new (GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "option 'days' is 1 to %d, not %u",
                         CSR_MAX_DAYS, args->days);
  if (error != NULL)
    reply_error (invocation, error);
  else
    key_object_start (object, &type, invocation, g_steal_pointer (&args), pin_fd,
                      answer_create_self_signed);
  return TRUE;
}

/* ---- InstallCertificate ---- */

static gpointer
op_install_certificate (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  KeyArgs *args = data;

  if (!tokens_install_certificate (args->tokens, tpm, args->token, args->id, args->pem, args->force,
                                   args->pin, cancellable, error))
    return NULL;
  return GINT_TO_POINTER (TRUE);
}

static void
answer_install_certificate (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  ggtpm_key_complete_install_certificate (skeleton, invocation, NULL);
}

static gboolean
handle_install_certificate (GgtpmKey *skeleton,
                            GDBusMethodInvocation *invocation,
                            GUnixFDList *fds,
                            const char *pem,
                            GVariant *options,
                            gpointer user_data)
{
  static const OperationType type = { op_install_certificate, key_args_free, NULL, TRUE };
  KeyObject *object = user_data;
  g_autoptr (KeyArgs) args = key_args_new (object);
  g_autoptr (X509) certificate = NULL;
  GError *error = NULL;
  int pin_fd = -1;
  const Option table[] = {
    { "force", "b", &args->force },
    { "pin", "h", &pin_fd },
    { NULL, NULL, NULL },
  };

  args->pem = g_strdup (pem);
  if (!options_parse (options, fds, table, &error) ||
      (certificate = certificate_parse_pem (pem, &error)) == NULL)
    reply_error (invocation, error);
  else
    key_object_start (object, &type, invocation, g_steal_pointer (&args), pin_fd,
                      answer_install_certificate);
  return TRUE;
}

/* ---- Rotate ---- */

typedef struct
{
  char *token;
  TokenKey *key;
  char *csr;
} RotateResult;

static void
rotate_result_free (gpointer data)
{
  RotateResult *result = data;

  token_key_free (result->key);
  g_free (result->token);
  g_free (result->csr);
  g_free (result);
}

static gpointer
op_rotate (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  KeyArgs *args = data;
  const TokenCsrParams params = { args->subject, args->extensions, 0 };
  g_autofree char *csr = NULL;
  RotateResult *result;
  TokenKey *key;

  job_report (args->job, "making the successor", 0.1);
  key = tokens_rotate_key (args->tokens, tpm, args->token, args->id, args->algorithm, &params,
                           args->pin, &csr, cancellable, error);
  if (key == NULL)
    return NULL;
  result = g_new0 (RotateResult, 1);
  result->token = g_strdup (args->token);
  result->key = key;
  result->csr = g_steal_pointer (&csr);
  return result;
}

static GVariant *
make_rotate_result (gpointer data)
{
  RotateResult *result = data;
  g_autofree char *path = object_path_for_key (result->token, result->key->id);
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "key", "o", path);
  g_variant_dict_insert (&dict, "uri", "s", result->key->uri);
  g_variant_dict_insert (&dict, "csr", "s", result->csr);
  return g_variant_dict_end (&dict);
}

static gboolean
handle_rotate (GgtpmKey *skeleton,
               GDBusMethodInvocation *invocation,
               GUnixFDList *fds,
               GVariant *options,
               gpointer user_data)
{
  static const OperationType type = { op_rotate, key_args_free, rotate_result_free, TRUE };
  KeyObject *object = user_data;
  g_autoptr (KeyArgs) args = key_args_new (object);
  const Option algorithm = { "algorithm", "s", &args->algorithm };
  GError *error = NULL;
  int pin_fd = -1;
  Operation *operation;
  KeyArgs *taken;

  if (!parse_request (options, fds, args, &algorithm, &pin_fd, &error) ||
      (args->algorithm != NULL && !tokens_check_algorithm (args->algorithm, &error)))
    {
      reply_error (invocation, error);
      return TRUE;
    }
  taken = g_steal_pointer (&args);
  operation = operation_new (object->context, &type, skeleton, invocation, taken);
  operation_add_pin (operation, pin_fd, &taken->pin);
  operation_start_job (operation, "rotate-key", &taken->job, make_rotate_result);
  return TRUE;
}

/* ---- Delete ---- */

static gpointer
op_delete (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  KeyArgs *args = data;

  return GINT_TO_POINTER (
      tokens_delete_key (args->tokens, tpm, args->token, args->id, args->pin, cancellable, error));
}

static void
answer_delete (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  ggtpm_key_complete_delete (skeleton, invocation, NULL);
}

static gboolean
handle_delete (GgtpmKey *skeleton,
               GDBusMethodInvocation *invocation,
               GUnixFDList *fds,
               GVariant *options,
               gpointer user_data)
{
  static const OperationType type = { op_delete, key_args_free, NULL, TRUE };
  KeyObject *object = user_data;
  g_autoptr (KeyArgs) args = key_args_new (object);
  GError *error = NULL;
  int pin_fd = -1;
  const Option table[] = { { "pin", "h", &pin_fd }, { NULL, NULL, NULL } };

  if (!options_parse (options, fds, table, &error))
    reply_error (invocation, error);
  else
    key_object_start (object, &type, invocation, g_steal_pointer (&args), pin_fd, answer_delete);
  return TRUE;
}

void
key_change_connect (KeyObject *object)
{
  g_object_connect (object->skeleton, "signal::handle-create-csr", handle_create_csr, object,
                    "signal::handle-create-self-signed", handle_create_self_signed, object,
                    "signal::handle-install-certificate", handle_install_certificate, object,
                    "signal::handle-rotate", handle_rotate, object, "signal::handle-delete",
                    handle_delete, object, NULL);
}
