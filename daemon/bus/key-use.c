/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "key-object-private.h"

#include "bus/reply.h"
#include "dbus/error.h"
#include "dbus/names.h"
#include "token/csr.h"
#include "token/protocol.h"
#include "token/public-key.h"

/* RSA-4096 */
#define MAX_CIPHERTEXT 512
#define MAX_SIGNATURE  1024

#define DEFAULT_DAYS 365

/* As key_object_new_operation(), for what has the chip use the key: how that goes says whether it can be used. */
static Operation *
new_use (KeyObject *object,
         const OperationType *type,
         GDBusMethodInvocation *invocation,
         TokenArgs **out_args)
{
  Operation *operation = key_object_new_operation (object, type, invocation, out_args);
  g_autofree char *name =
      g_strdup_printf ("%s/%s", object->token, ggtpm_key_get_label (object->skeleton));

  operation_set_key (operation, name);
  return operation;
}

/* ---- Sign ---- */

typedef struct
{
  GBytes *signature;
  Signer *signer; /* main thread */
  char *token;
  GBytes *id;
  TokenTicket ticket; /* empty: none */
} Signed;

static void
signed_free (gpointer data)
{
  Signed *result = data;

  g_bytes_unref (result->signature);
  g_free (result->token);
  g_bytes_unref (result->id);
  token_ticket_clear (&result->ticket);
  g_free (result);
}

static gpointer
op_sign (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  TokenArgs *args = data;
  TokenSignParams params = { .mechanism = args->mechanism,
                             .hash = args->hash,
                             .is_digest = args->is_digest };
  g_auto (TokenTicket) ticket = { NULL, NULL };
  GBytes *signature;
  Signed *result;

  if (args->distrusted != NULL)
    tokens_distrust (args->tokens, args->distrusted);
  signature = tokens_sign (args->tokens, tpm, args->token, args->id, args->data, &params, args->pin,
                           &ticket, cancellable, error);
  if (signature == NULL)
    return NULL;
  result = g_new0 (Signed, 1);
  result->signature = signature;
  result->signer = args->signer;
  result->token = g_strdup (args->token);
  result->id = g_bytes_ref (args->id);
  result->ticket = ticket;
  ticket = (TokenTicket){ NULL, NULL };
  return result;
}

static void
answer_signature (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer signature)
{
  ggtpm_key_complete_sign (skeleton, invocation, NULL,
                           g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, signature, TRUE));
}

static void
answer_sign (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer data)
{
  Signed *result = data;

  signer_add (result->signer, result->token, result->id, &result->ticket);
  answer_signature (skeleton, invocation, result->signature);
}

/* A call that is tried at the warm signer; not started on the lane yet. */
typedef struct
{
  Operation *operation;
  TokenArgs *args; /* the operation's */
} WarmCall;

static void
warm_sign_done (GBytes *signature, HelperLine *line, GError *error, gpointer user_data)
{
  g_autofree WarmCall *call = user_data;

  if (!g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_FAILED))
    {
      operation_end (call->operation, answer_signature, signature, error);
      return;
    }
  g_error_free (error);
  call->args->distrusted = helper_line_ref (line);
  operation_start (call->operation);
}

/* FALSE with @error, or without it where the lane has to do it. */
static gboolean
sign_warm (KeyObject *object, WarmCall *call, GError **error)
{
  TokenArgs *args = call->args;
  const TokenSignParams params = { args->mechanism, args->hash, args->is_digest };
  g_autoptr (GBytes) digest = NULL;
  const char *mechanism = NULL;
  const char *hash = NULL;

  return tokens_settle_signing (ggtpm_key_get_algorithm (object->skeleton), &params, args->data,
                                &mechanism, &hash, &digest, error) &&
         object->context->unavailable == NULL &&
         signer_sign (object->context->signer, args->token, args->id, mechanism, hash, digest,
                      warm_sign_done, call);
}

/* Takes @operation; with a PIN of the caller's own it is the lane's. */
static void
begin_sign (KeyObject *object, Operation *operation, TokenArgs *args)
{
  WarmCall *call = g_new (WarmCall, 1);
  GError *error = NULL;

  *call = (WarmCall){ operation, args };
  if (!operation_has_pin (operation) && sign_warm (object, call, &error))
    return;
  g_free (call);
  if (error != NULL)
    operation_end (operation, NULL, NULL, error);
  else
    operation_start (operation);
}

/* @pin: one more option; NULL: there is nothing for which one is needed */
static gboolean
parse_sign (TokenArgs *args, GVariant *options, GUnixFDList *fds, const Option *pin, GError **error)
{
  static const char *const mechanisms[] = { PROTOCOL_MECHANISM_ECDSA, PROTOCOL_MECHANISM_RSA_PKCS,
                                            PROTOCOL_MECHANISM_RSA_PSS, NULL };
  static const char *const hashes[] = { "sha256", "sha384", "sha512", NULL };
  static const char *const inputs[] = { "message", "digest", NULL };
  g_autofree char *input = NULL;
  const Option table[] = {
    { "mechanism", "s", &args->mechanism },
    { "hash", "s", &args->hash },
    { "input", "s", &input },
    pin != NULL ? *pin : (Option){ NULL, NULL, NULL },
    { NULL, NULL, NULL },
  };

  if (!options_parse (options, fds, table, error) ||
      !options_check_choice ("mechanism", args->mechanism, mechanisms, error) ||
      !options_check_choice ("hash", args->hash, hashes, error) ||
      !options_check_choice ("input", input, inputs, error))
    return FALSE;
  args->is_digest = g_strcmp0 (input, "digest") == 0;
  return TRUE;
}

static gboolean
check_data (const TokenArgs *args, GError **error)
{
  static const struct
  {
    const char *hash;
    gsize len;
  } digests[] = { { "sha256", 32 }, { "sha384", 48 }, { "sha512", 64 } };
  const char *hash = args->hash != NULL ? args->hash : "sha256";
  gsize len = g_bytes_get_size (args->data);

  if (len > GGTPM_SIGN_MAX_BYTES)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "%" G_GSIZE_FORMAT " bytes are too many to sign (at most %d): sign their digest",
                   len, GGTPM_SIGN_MAX_BYTES);
      return FALSE;
    }
  for (gsize i = 0; args->is_digest && i < G_N_ELEMENTS (digests); i++)
    if (g_str_equal (hash, digests[i].hash) && len != digests[i].len)
      {
        g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                     "a %s digest has %" G_GSIZE_FORMAT " bytes, not %" G_GSIZE_FORMAT, hash,
                     digests[i].len, len);
        return FALSE;
      }
  return TRUE;
}

static gboolean
handle_sign (GgtpmKey *skeleton,
             GDBusMethodInvocation *invocation,
             GUnixFDList *fds,
             GVariant *data,
             GVariant *options,
             gpointer user_data)
{
  static const OperationType type = {
    .run = op_sign, .args_free = token_args_free, .result_free = signed_free, .answer = answer_sign
  };
  KeyObject *object = user_data;
  TokenArgs *args = NULL;
  Operation *operation = new_use (object, &type, invocation, &args);
  const Option pin = operation_pin_option (operation, "pin", &args->pin);
  GError *error = NULL;

  args->data = g_variant_get_data_as_bytes (data);
  args->signer = object->context->signer;
  if (!parse_sign (args, options, fds, &pin, &error) || !check_data (args, &error))
    operation_refuse (operation, error);
  else
    begin_sign (object, operation, args);
  return TRUE;
}

/* ---- Verify ---- */

/* Needs neither chip nor PIN, and takes less than a millisecond: done at once. */
static gboolean
handle_verify (GgtpmKey *skeleton,
               GDBusMethodInvocation *invocation,
               GVariant *data,
               GVariant *signature,
               GVariant *options,
               gpointer user_data)
{
  KeyObject *object = user_data;
  g_autoptr (TokenArgs) args = token_args_new (object->context, object->token, object->id);
  g_autoptr (GBytes) signature_bytes = g_variant_get_data_as_bytes (signature);
  gboolean valid = FALSE;
  GError *error = NULL;

  args->data = g_variant_get_data_as_bytes (data);
  if (g_bytes_get_size (signature_bytes) > MAX_SIGNATURE)
    error = g_error_new (GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                         "the signature is longer than %d bytes", MAX_SIGNATURE);
  if (error != NULL || !parse_sign (args, options, NULL, NULL, &error) ||
      !check_data (args, &error) ||
      !public_key_verify (object->spki, args->mechanism, args->hash, args->is_digest, args->data,
                          signature_bytes, &valid, &error))
    reply_error (invocation, error);
  else
    ggtpm_key_complete_verify (skeleton, invocation, valid);
  return TRUE;
}

/* ---- Decrypt ---- */

static gpointer
op_decrypt (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  TokenArgs *args = data;

  return tokens_decrypt (args->tokens, tpm, args->token, args->id, args->data, args->pin,
                         cancellable, error);
}

static void
answer_decrypt (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  ggtpm_key_complete_decrypt (
      skeleton, invocation, NULL,
      g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, (GBytes *)result, TRUE));
}

static gboolean
handle_decrypt (GgtpmKey *skeleton,
                GDBusMethodInvocation *invocation,
                GUnixFDList *fds,
                GVariant *data,
                GVariant *options,
                gpointer user_data)
{
  static const OperationType type = { .run = op_decrypt,
                                      .args_free = token_args_free,
                                      .result_free = (GDestroyNotify)g_bytes_unref,
                                      .answer = answer_decrypt };
  TokenArgs *args = NULL;
  Operation *operation = new_use (user_data, &type, invocation, &args);
  const Option table[] = { operation_pin_option (operation, "pin", &args->pin),
                           { NULL, NULL, NULL } };
  gsize len = g_variant_get_size (data);
  GError *error = NULL;

  args->data = g_variant_get_data_as_bytes (data);
  if (len == 0 || len > MAX_CIPHERTEXT)
    error = g_error_new (GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                         "%" G_GSIZE_FORMAT " bytes are no RSA ciphertext", len);
  if (error != NULL || !options_parse (options, fds, table, &error))
    operation_refuse (operation, error);
  else
    operation_start (operation);
  return TRUE;
}

/* ---- CreateCsr, CreateSelfSigned ---- */

static gpointer
op_create_csr (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  TokenArgs *args = data;
  const TokenCsrParams params = { args->subject, args->extensions, args->days };

  return tokens_create_csr (args->tokens, tpm, args->token, args->id, &params, args->pin,
                            cancellable, error);
}

/* The answers of both are the same message. */
static void
answer_create_csr (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(s)", result));
}

static const OperationType create_csr_type = { .run = op_create_csr,
                                               .args_free = token_args_free,
                                               .result_free = g_free,
                                               .answer = answer_create_csr };

static gboolean
handle_create_csr (GgtpmKey *skeleton,
                   GDBusMethodInvocation *invocation,
                   GUnixFDList *fds,
                   GVariant *options,
                   gpointer user_data)
{
  TokenArgs *args = NULL;
  Operation *operation = new_use (user_data, &create_csr_type, invocation, &args);
  GError *error = NULL;

  if (!token_args_parse_request (args, operation, options, fds, NULL, &error))
    operation_refuse (operation, error);
  else
    operation_start (operation);
  return TRUE;
}

static gboolean
handle_create_self_signed (GgtpmKey *skeleton,
                           GDBusMethodInvocation *invocation,
                           GUnixFDList *fds,
                           GVariant *options,
                           gpointer user_data)
{
  TokenArgs *args = NULL;
  Operation *operation = new_use (user_data, &create_csr_type, invocation, &args);
  const Option days = { "days", "u", &args->days };
  GError *error = NULL;

  args->days = DEFAULT_DAYS;
  if (token_args_parse_request (args, operation, options, fds, &days, &error) &&
      (args->days == 0 || args->days > CSR_MAX_DAYS))
    error = g_error_new (GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "option 'days' is 1 to %d, not %u",
                         CSR_MAX_DAYS, args->days);
  if (error != NULL)
    operation_refuse (operation, error);
  else
    operation_start (operation);
  return TRUE;
}

/* ---- ExportPublicKey ---- */

static gboolean
handle_export_public_key (GgtpmKey *skeleton,
                          GDBusMethodInvocation *invocation,
                          const char *format,
                          GVariant *options,
                          gpointer user_data)
{
  static const char *const formats[] = { "pem", "jwk", NULL };
  KeyObject *object = user_data;
  GError *error = NULL;
  g_autofree char *text = NULL;

  if (options_check_choice ("format", format, formats, &error) &&
      options_check_empty (options, &error))
    text = g_str_equal (format, "pem") ? public_key_to_pem (object->spki, &error)
                                       : public_key_to_jwk (object->spki, &error);
  if (text == NULL)
    reply_error (invocation, error);
  else
    ggtpm_key_complete_export_public_key (skeleton, invocation, text);
  return TRUE;
}

void
key_use_connect (KeyObject *object)
{
  g_object_connect (object->skeleton, "signal::handle-sign", handle_sign, object,
                    "signal::handle-verify", handle_verify, object, "signal::handle-decrypt",
                    handle_decrypt, object, "signal::handle-create-csr", handle_create_csr, object,
                    "signal::handle-create-self-signed", handle_create_self_signed, object,
                    "signal::handle-export-public-key", handle_export_public_key, object, NULL);
}
