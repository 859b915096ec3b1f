/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "flavours.h"
#include "token/uri.h"
#include "yaml-writer.h"

/*
 * config.yaml of the Java nucleus (Greengrass V2) with its PKCS#11 provider, after AWS' developer guide, "Hardware
 * security integration" and "PKCS#11 provider". The provider reads no more than `object` and `type` from a URI, and
 * wants one label for key and certificate.
 */
static const char comment[] =
    "# Written by ggtpmd (ggtpmctl config write v2). Once it is edited, only slot, PIN, URIs and what provision.conf\n"
    "# states are kept current.\n"
    "# The file has the token's PIN in it; `slot` changes when tokens are removed and made anew.\n";

static void
add_system (YamlWriter *writer, const GreengrassParams *params)
{
  g_autofree char *key = uri_for_object (NULL, params->key, NULL, "private", NULL);
  g_autofree char *certificate = uri_for_object (NULL, params->key, NULL, "cert", NULL);

  yaml_writer_begin (writer, "system");
  yaml_writer_add_string (writer, "certificateFilePath",
                          params->certificate_path != NULL ? params->certificate_path
                                                           : certificate);
  yaml_writer_add_string (writer, "privateKeyPath", key);
  yaml_writer_add_string (writer, "rootCaPath", params->root_ca_path);
  yaml_writer_add_string (writer, "rootpath", params->root_path);
  yaml_writer_add_string (writer, "thingName", params->thing_name);
  yaml_writer_end (writer);
}

static void
add_nucleus (YamlWriter *writer, const GreengrassParams *params)
{
  yaml_writer_begin (writer, "aws.greengrass.Nucleus");
  yaml_writer_add_string (writer, "componentType", "NUCLEUS");
  if (params->nucleus_version != NULL)
    yaml_writer_add_string (writer, "version", params->nucleus_version);
  yaml_writer_begin (writer, "configuration");
  yaml_writer_add_string (writer, "awsRegion", params->region);
  yaml_writer_add_string (writer, "iotRoleAlias", params->role_alias);
  yaml_writer_add_string (writer, "iotDataEndpoint", params->iot_data_endpoint);
  yaml_writer_add_string (writer, "iotCredEndpoint", params->iot_cred_endpoint);
  yaml_writer_end (writer);
  yaml_writer_end (writer);
}

static void
add_pkcs11_provider (YamlWriter *writer, const GreengrassParams *params)
{
  yaml_writer_begin (writer, "aws.greengrass.crypto.Pkcs11Provider");
  yaml_writer_begin (writer, "configuration");
  /* Goes into the name of a Java security provider, so it is not the token's label, which may have any character. */
  yaml_writer_add_string (writer, "name", "ggtpm");
  yaml_writer_add_string (writer, "library", params->pkcs11_module);
  yaml_writer_add_number (writer, "slot", params->slot);
  yaml_writer_add_string (writer, "userPin", params->pin);
  yaml_writer_end (writer);
  yaml_writer_end (writer);
}

char *
v2_render (const GreengrassParams *params, GError **error)
{
  g_autoptr (YamlWriter) writer = yaml_writer_new (comment);

  add_system (writer, params);
  yaml_writer_begin (writer, "services");
  add_nucleus (writer, params);
  add_pkcs11_provider (writer, params);
  yaml_writer_end (writer);
  return yaml_writer_finish (writer, error);
}
