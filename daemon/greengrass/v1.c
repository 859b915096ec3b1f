/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "common/secret.h"
#include "dbus/error.h"
#include "flavours.h"
#include "token/uri.h"

#include <json-c/json.h>
#include <string.h>

/*
 * config.json of Greengrass V1 in the spelling of AWS' developer guide, "AWS IoT Greengrass core configuration file"
 * and "Hardware security integration". JSON has no comments, so there is nothing in it but what Greengrass knows.
 */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (json_object, json_object_put)

static void
add_string (json_object *object, const char *name, const char *value)
{
  json_object_object_add (object, name, json_object_new_string (value));
}

static json_object *
add_object (json_object *object, const char *name)
{
  json_object *member = json_object_new_object ();

  json_object_object_add (object, name, member);
  return member;
}

static gboolean
add_file_uri (json_object *object, const char *name, const char *path, GError **error)
{
  g_autofree char *uri = g_filename_to_uri (path, NULL, error);

  if (uri == NULL)
    return FALSE;
  add_string (object, name, uri);
  return TRUE;
}

static void
add_pkcs11 (json_object *crypto, const GreengrassParams *params)
{
  json_object *pkcs11 = add_object (crypto, "PKCS11");

  add_string (pkcs11, "OpenSSLEngine", params->pkcs11_engine);
  add_string (pkcs11, "P11Provider", params->pkcs11_module);
  add_string (pkcs11, "slotLabel", params->token);
  add_string (pkcs11, "slotUserPin", params->pin);
}

static gboolean
add_principals (json_object *crypto, const GreengrassParams *params, GError **error)
{
  g_autofree char *key = uri_for_object (params->token, params->key, NULL, "private", NULL);
  g_autofree char *certificate =
      params->certificate_path != NULL
          ? g_strdup (params->certificate_path)
          : g_build_filename (params->root_path, "certs", "CERTIFICATE-ID-certificate.pem.crt",
                              NULL);
  json_object *principals = add_object (crypto, "principals");
  json_object *client = add_object (principals, "IoTCertificate");
  json_object *server = add_object (principals, "MQTTServerCertificate");

  add_string (client, "privateKeyPath", key);
  if (!add_file_uri (client, "certificatePath", certificate, error))
    return FALSE;
  /* With an EC key this needs Greengrass 1.9 or later. */
  add_string (server, "privateKeyPath", key);
  /* The secrets manager encrypts with it: RSA or nothing. */
  if (params->rsa)
    add_string (add_object (principals, "SecretsManager"), "privateKeyPath", key);
  return TRUE;
}

static void
add_core_thing (json_object *root, const GreengrassParams *params)
{
  g_autofree char *host = g_strdup_printf ("greengrass-ats.iot.%s.%s", params->region,
                                           greengrass_get_domain (params->region));
  json_object *thing = add_object (root, "coreThing");

  add_string (thing, "thingArn", params->thing_arn);
  add_string (thing, "iotHost", params->iot_data_endpoint);
  add_string (thing, "ggHost", host);
  json_object_object_add (thing, "keepAlive", json_object_new_int (600));
}

char *
v1_render (const GreengrassParams *params, GError **error)
{
  g_autoptr (json_object) root = json_object_new_object ();
  json_object *crypto = add_object (root, "crypto");
  const char *text;
  char *copy;

  if (!add_file_uri (crypto, "caPath", params->root_ca_path, error))
    return NULL;
  add_pkcs11 (crypto, params);
  if (!add_principals (crypto, params, error))
    return NULL;
  add_core_thing (root, params);
  add_string (add_object (add_object (root, "runtime"), "cgroup"), "useSystemd", "yes");
  json_object_object_add (root, "managedRespawn", json_object_new_boolean (FALSE));

  text = json_object_to_json_string_ext (root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                   JSON_C_TO_STRING_NOSLASHESCAPE);
  if (text == NULL)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                           "cannot write JSON: out of memory");
      return NULL;
    }
  copy = g_strconcat (text, "\n", NULL);
  /* json-c's own buffer has the PIN in it and is freed with the object. */
  secret_wipe ((char *)text, strlen (text));
  return copy;
}
