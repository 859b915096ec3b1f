/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "key-object.h"

#include "bus/key-object-private.h"
#include "bus/object-path.h"
#include "bus/reply.h"
#include "common/certificate.h"
#include "dbus/error.h"

/* TPMA_OBJECT ("TPM 2.0 Library", part 2, 8.3): not protected against dictionary attacks */
#define ATTRIBUTE_NO_DA 0x400u

Operation *
key_object_new_operation (KeyObject *object,
                          const OperationType *type,
                          GDBusMethodInvocation *invocation,
                          TokenArgs **out_args)
{
  TokenArgs *args = token_args_new (object->context, object->token, object->id);

  *out_args = args;
  return operation_new (object->context, type, object->skeleton, invocation, args);
}

/* ---- the certificate ---- */

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
  g_autoptr (GBytes) none = g_bytes_new (NULL, 0);

  g_clear_pointer (&object->spki, g_bytes_unref);
  object->spki = g_bytes_ref (key->spki);
  g_clear_pointer (&object->certificate, g_bytes_unref);
  object->certificate = key->certificate != NULL ? g_bytes_ref (key->certificate) : NULL;
  ggtpm_key_set_label (skeleton, key->label);
  ggtpm_key_set_id (skeleton, new_bytes (key->id));
  ggtpm_key_set_algorithm (skeleton, key->algorithm);
  ggtpm_key_set_public_key (skeleton, new_bytes (key->spki));
  ggtpm_key_set_uri (skeleton, key->uri);
  ggtpm_key_set_name (skeleton, new_bytes (key->name != NULL ? key->name : none));
  ggtpm_key_set_attributes (skeleton, key->attributes);
  ggtpm_key_set_no_da (skeleton, (key->attributes & ATTRIBUTE_NO_DA) != 0);
  ggtpm_key_set_curve (skeleton, key->curve);
  ggtpm_key_set_handle (skeleton, 0);
  ggtpm_key_set_openssl_uri (skeleton, "");
  ggtpm_key_set_parent (skeleton, key->parent);
  ggtpm_key_set_created (skeleton, (guint64)key->created);
  ggtpm_key_set_roca (skeleton, key->is_roca);
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
  g_signal_connect (object->skeleton, "handle-get-certificate", G_CALLBACK (handle_get_certificate),
                    object);
  key_use_connect (object);
  key_change_connect (object);
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
  g_bytes_unref (object->spki);
  g_free (object->token);
  g_free (object->path);
  g_free (object);
}
