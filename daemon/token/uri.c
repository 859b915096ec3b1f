/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "uri.h"

#include "common/secret.h"
#include "dbus/error.h"

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC (P11KitUri, p11_kit_uri_free)

static P11KitUri *
new_for_token (const char *token)
{
  P11KitUri *uri = p11_kit_uri_new ();
  CK_TOKEN_INFO *info = p11_kit_uri_get_token_info (uri);

  /* A new URI matches any token. */
  if (token == NULL)
    return uri;
  memset (info->label, ' ', sizeof info->label);
  memcpy (info->label, token, MIN (strlen (token), sizeof info->label));
  return uri;
}

static char *
format_uri (P11KitUri *uri, P11KitUriType type)
{
  g_autofree char *text = NULL;
  char *made = NULL;

  /* Fails only without memory. */
  if (p11_kit_uri_format (uri, type, &made) != P11_KIT_URI_OK)
    g_error ("p11-kit cannot format a URI");
  text = g_strdup (made);
  free (made);
  return g_steal_pointer (&text);
}

static void
set_attribute (P11KitUri *uri, CK_ATTRIBUTE_TYPE type, const void *value, gsize len)
{
  CK_ATTRIBUTE attribute = { type, (void *)value, len };

  if (p11_kit_uri_set_attribute (uri, &attribute) != P11_KIT_URI_OK)
    g_error ("p11-kit refuses attribute 0x%lx", type);
}

static CK_OBJECT_CLASS
class_of_type (const char *type)
{
  if (strcmp (type, "cert") == 0)
    return CKO_CERTIFICATE;
  return strcmp (type, "public") == 0 ? CKO_PUBLIC_KEY : CKO_PRIVATE_KEY;
}

char *
uri_for_token (const char *token)
{
  g_autoptr (P11KitUri) uri = new_for_token (token);

  return format_uri (uri, P11_KIT_URI_FOR_TOKEN);
}

char *
uri_for_object (const char *token,
                const char *label,
                GBytes *id,
                const char *type,
                const char *pin_source)
{
  g_autoptr (P11KitUri) uri = new_for_token (token);
  CK_OBJECT_CLASS object_class = class_of_type (type);

  set_attribute (uri, CKA_CLASS, &object_class, sizeof object_class);
  if (label != NULL)
    set_attribute (uri, CKA_LABEL, label, strlen (label));
  if (id != NULL)
    set_attribute (uri, CKA_ID, g_bytes_get_data (id, NULL), g_bytes_get_size (id));
  p11_kit_uri_set_pin_source (uri, pin_source);
  return format_uri (uri, P11_KIT_URI_FOR_OBJECT_ON_TOKEN);
}

void
uri_object_free (UriObject *object)
{
  if (object == NULL)
    return;
  g_free (object->token);
  g_free (object->label);
  g_clear_pointer (&object->id, g_bytes_unref);
  g_free (object->pin_source);
  if (object->pin != NULL)
    secret_wipe (object->pin, strlen (object->pin));
  g_free (object->pin);
  g_free (object);
}

static char *
get_token (P11KitUri *uri)
{
  const CK_TOKEN_INFO *info = p11_kit_uri_get_token_info (uri);
  gsize len = sizeof info->label;

  /* p11-kit fills with spaces what a URI says, and leaves NULs where it says nothing. */
  if (info->label[0] == '\0')
    return NULL;
  while (len > 0 && info->label[len - 1] == ' ')
    len--;
  return g_strndup ((const char *)info->label, len);
}

/* Some write file:/PATH or file:///PATH, which RFC 7512 allows. */
static char *
get_pin_source (P11KitUri *uri)
{
  const char *source = p11_kit_uri_get_pin_source (uri);
  const char *path = source;

  if (source == NULL || !g_str_has_prefix (source, "file:"))
    return g_strdup (source);
  path += strlen ("file:");
  while (path[0] == '/' && path[1] == '/')
    path++;
  return g_strdup (path);
}

UriObject *
uri_parse_object (const char *text, GError **error)
{
  g_autoptr (P11KitUri) uri = p11_kit_uri_new ();
  g_autoptr (UriObject) object = g_new0 (UriObject, 1);
  const CK_ATTRIBUTE *attribute;
  int result = p11_kit_uri_parse (text, P11_KIT_URI_FOR_OBJECT_ON_TOKEN, uri);

  if (result != P11_KIT_URI_OK)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "no PKCS#11 URI of an object: %s",
                   p11_kit_uri_message (result));
      return NULL;
    }
  object->token = get_token (uri);
  attribute = p11_kit_uri_get_attribute (uri, CKA_LABEL);
  if (attribute != NULL)
    object->label = g_strndup (attribute->pValue, attribute->ulValueLen);
  attribute = p11_kit_uri_get_attribute (uri, CKA_ID);
  if (attribute != NULL)
    object->id = g_bytes_new (attribute->pValue, attribute->ulValueLen);
  attribute = p11_kit_uri_get_attribute (uri, CKA_CLASS);
  object->is_certificate =
      attribute != NULL && *(const CK_OBJECT_CLASS *)attribute->pValue == CKO_CERTIFICATE;
  object->pin_source = get_pin_source (uri);
  object->pin = g_strdup (p11_kit_uri_get_pin_value (uri));
  return g_steal_pointer (&object);
}
