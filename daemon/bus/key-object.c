/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "key-object.h"

#include "bus/object-path.h"
#include "bus/options.h"
#include "bus/reply.h"
#include "common/certificate.h"
#include "dbus/error.h"
#include "dbus/names.h"
#include "ggtpm-generated.h"
#include "token/csr.h"
#include "token/protocol.h"

struct _KeyObject
{
  const Context *context;
  char *path;
  char *token;
  GBytes *id;
  GBytes *certificate; /* NULL: none */
  GgtpmKey *skeleton;
};

/* Arguments of every operation with a key. */
typedef struct
{
  Tokens *tokens;
  char *token;
  GBytes *id;
  Secret *pin;
  char *subject;
  char *pem;
  gboolean force;
  GBytes *data;
  char *mechanism;
  char *hash;
  gboolean is_digest;
} KeyArgs;

static void
key_args_free (gpointer data)
{
  KeyArgs *args = data;

  g_free (args->token);
  g_bytes_unref (args->id);
  g_clear_pointer (&args->pin, secret_free);
  g_free (args->subject);
  g_free (args->pem);
  g_clear_pointer (&args->data, g_bytes_unref);
  g_free (args->mechanism);
  g_free (args->hash);
  g_free (args);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KeyArgs, key_args_free)

static KeyArgs *
key_args_new (KeyObject *object)
{
  KeyArgs *args = g_new0 (KeyArgs, 1);

  args->tokens = object->context->tokens;
  args->token = g_strdup (object->token);
  args->id = g_bytes_ref (object->id);
  return args;
}

/* Begins the operation, or answers @error. */
static void
start (KeyObject *object,
       const OperationType *type,
       GDBusMethodInvocation *invocation,
       KeyArgs *args,
       int pin_fd,
       OperationAnswer answer)
{
  Operation *operation = operation_new (object->context, type, object->skeleton, invocation, args);

  operation_add_pin (operation, pin_fd, &args->pin);
  operation_start (operation, answer);
}

/* ---- CreateCsr ---- */

static gpointer
op_create_csr (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  KeyArgs *args = data;

  return tokens_create_csr (args->tokens, tpm, args->token, args->id, args->subject, args->pin,
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
  const Option table[] = {
    { "subject", "s", &args->subject },
    { "pin", "h", &pin_fd },
    { NULL, NULL, NULL },
  };

  if (!options_parse (options, fds, table, &error) ||
      (args->subject != NULL && !csr_check_subject (args->subject, &error)))
    reply_error (invocation, error);
  else
    start (object, &type, invocation, g_steal_pointer (&args), pin_fd, answer_create_csr);
  return TRUE;
}

/* ---- Sign ---- */

static gpointer
op_sign (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  KeyArgs *args = data;
  TokenSignParams params = { .mechanism = args->mechanism,
                             .hash = args->hash,
                             .is_digest = args->is_digest };

  return tokens_sign (args->tokens, tpm, args->token, args->id, args->data, &params, args->pin,
                      cancellable, error);
}

static void
answer_sign (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  ggtpm_key_complete_sign (
      skeleton, invocation, NULL,
      g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, (GBytes *)result, TRUE));
}

static gboolean
parse_sign (GVariant *options, GUnixFDList *fds, KeyArgs *args, int *out_pin_fd, GError **error)
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
    { "pin", "h", out_pin_fd },
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
check_data (const KeyArgs *args, GError **error)
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
  static const OperationType type = { op_sign, key_args_free, (GDestroyNotify)g_bytes_unref,
                                      FALSE };
  KeyObject *object = user_data;
  g_autoptr (KeyArgs) args = key_args_new (object);
  GError *error = NULL;
  int pin_fd = -1;

  args->data = g_variant_get_data_as_bytes (data);
  if (!parse_sign (options, fds, args, &pin_fd, &error) || !check_data (args, &error))
    reply_error (invocation, error);
  else
    start (object, &type, invocation, g_steal_pointer (&args), pin_fd, answer_sign);
  return TRUE;
}

/* ---- certificates ---- */

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
    start (object, &type, invocation, g_steal_pointer (&args), pin_fd, answer_install_certificate);
  return TRUE;
}

static X509 *
parse_certificate (KeyObject *object, GError **error)
{
  gsize len;
  const guint8 *der;

  if (object->certificate == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND,
                   "the key '%s' has no certificate in the token '%s'",
                   ggtpm_key_get_label (object->skeleton), object->token);
      return NULL;
    }
  der = g_bytes_get_data (object->certificate, &len);
  return certificate_parse_der (der, len, error);
}

static gboolean
handle_get_certificate (GgtpmKey *skeleton, GDBusMethodInvocation *invocation, gpointer user_data)
{
  GError *error = NULL;
  g_autoptr (X509) certificate = parse_certificate (user_data, &error);
  g_autofree char *pem = certificate != NULL ? certificate_to_pem (certificate) : NULL;

  if (certificate == NULL)
    reply_error (invocation, error);
  else
    ggtpm_key_complete_get_certificate (skeleton, invocation, pem);
  return TRUE;
}

/* ---- the object ---- */

static GVariant *
new_bytes (GBytes *bytes)
{
  return g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
}

/* In seconds since the epoch; 0 for none, or one that others put there and that does not parse. */
static guint64
get_not_after (KeyObject *object)
{
  g_autoptr (X509) certificate = parse_certificate (object, NULL);
  gint64 not_before = 0;
  gint64 not_after = 0;

  if (certificate == NULL)
    return 0;
  certificate_get_validity (certificate, &not_before, &not_after);
  return (guint64)MAX (not_after, 0);
}

void
key_object_update (KeyObject *object, const TokenKey *key)
{
  GgtpmKey *skeleton = object->skeleton;

  g_clear_pointer (&object->certificate, g_bytes_unref);
  object->certificate = key->certificate != NULL ? g_bytes_ref (key->certificate) : NULL;
  gate_set_detail (skeleton, "key", key->label);
  ggtpm_key_set_label (skeleton, key->label);
  ggtpm_key_set_id (skeleton, new_bytes (key->id));
  ggtpm_key_set_algorithm (skeleton, key->algorithm);
  ggtpm_key_set_public_key (skeleton, new_bytes (key->spki));
  ggtpm_key_set_uri (skeleton, key->uri);
  ggtpm_key_set_has_certificate (skeleton, key->certificate != NULL);
  ggtpm_key_set_certificate_not_after (skeleton, get_not_after (object));
}

const char *
key_object_get_path (KeyObject *object)
{
  return object->path;
}

KeyObject *
key_object_new (const Context *context, const TokenInfo *token, const TokenKey *key)
{
  KeyObject *object = g_new0 (KeyObject, 1);
  g_autofree char *token_path = object_path_for_token (token->label);
  g_autoptr (GDBusObjectSkeleton) exported = NULL;

  object->context = context;
  object->path = object_path_for_key (token->label, key->id);
  object->token = g_strdup (token->label);
  object->id = g_bytes_ref (key->id);
  object->skeleton = gate_new_skeleton (context->gate, GGTPM_TYPE_KEY_SKELETON);
  gate_set_detail (object->skeleton, "token", token->label);
  ggtpm_key_set_token (object->skeleton, token_path);
  key_object_update (object, key);
  g_object_connect (object->skeleton, "signal::handle-create-csr", handle_create_csr, object,
                    "signal::handle-sign", handle_sign, object,
                    "signal::handle-install-certificate", handle_install_certificate, object,
                    "signal::handle-get-certificate", handle_get_certificate, object, NULL);
  exported = g_dbus_object_skeleton_new (object->path);
  g_dbus_object_skeleton_add_interface (exported, G_DBUS_INTERFACE_SKELETON (object->skeleton));
  g_dbus_object_manager_server_export (context->objects, exported);
  return object;
}

void
key_object_free (KeyObject *object)
{
  g_dbus_object_manager_server_unexport (object->context->objects, object->path);
  g_object_unref (object->skeleton);
  g_clear_pointer (&object->certificate, g_bytes_unref);
  g_bytes_unref (object->id);
  g_free (object->token);
  g_free (object->path);
  g_free (object);
}
