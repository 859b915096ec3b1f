/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "flavours.h"

#include "build-config.h"
#include "token/uri.h"
#include "yaml-writer.h"

/*
 * config.yaml of nucleus lite, 2.5 or later, which opens `pkcs11:` URIs with OpenSSL's store and pkcs11-provider. The
 * PIN stays in its own file: `pin-source`.
 */
static const char comment_of_handle[] =
    "# Written by ggtpmd (ggtpmctl config write lite). Once it is edited, only the URIs and what provision.conf\n"
    "# states are kept current.\n"
    "# Needs OpenSSL's provider tpm2 (tpm2-openssl), and the user ggcore in the group " GGTPM_TSS_GROUP
    ".\n";
static const char comment[] =
    "# Written by ggtpmd (ggtpmctl config write lite). Once it is edited, only the URIs and what provision.conf\n"
    "# states are kept current.\n"
    "# Needs OpenSSL's pkcs11-provider, and the user ggcore in the group ggtpm.\n";

static void
add_system (YamlWriter *writer, const GreengrassParams *params)
{
  g_autofree char *key = params->handle != NULL ? g_strconcat ("handle:", params->handle, NULL)
                                                : uri_for_object (params->token, params->key, NULL,
                                                                  "private", params->pin_source);
  g_autofree char *certificate =
      uri_for_object (params->token, params->key, NULL, "cert", params->pin_source);

  yaml_writer_begin (writer, "system");
  yaml_writer_add_string (writer, "privateKeyPath", key);
  yaml_writer_add_string (writer, "certificateFilePath",
                          params->certificate_path != NULL ? params->certificate_path
                                                           : certificate);
  yaml_writer_add_string (writer, "rootCaPath", params->root_ca_path);
  yaml_writer_add_string (writer, "rootPath", params->root_path);
  yaml_writer_add_string (writer, "thingName", params->thing_name);
  yaml_writer_end (writer);
}

static void
add_nucleus (YamlWriter *writer, const GreengrassParams *params)
{
  yaml_writer_begin (writer, "aws.greengrass.NucleusLite");
  yaml_writer_add_string (writer, "componentType", "NUCLEUS");
  yaml_writer_begin (writer, "configuration");
  yaml_writer_add_string (writer, "awsRegion", params->region);
  yaml_writer_add_string (writer, "iotCredEndpoint", params->iot_cred_endpoint);
  yaml_writer_add_string (writer, "iotDataEndpoint", params->iot_data_endpoint);
  yaml_writer_add_string (writer, "iotRoleAlias", params->role_alias);
  yaml_writer_begin (writer, "runWithDefault");
  yaml_writer_add_string (writer, "posixUser", "ggcore:ggcore");
  yaml_writer_end (writer);
  yaml_writer_add_string (writer, "greengrassDataPlanePort", "8443");
  yaml_writer_end (writer);
  yaml_writer_end (writer);
}

char *
lite_render (const GreengrassParams *params, GError **error)
{
  g_autoptr (YamlWriter) writer =
      yaml_writer_new (params->handle != NULL ? comment_of_handle : comment);

  add_system (writer, params);
  yaml_writer_begin (writer, "services");
  add_nucleus (writer, params);
  yaml_writer_end (writer);
  return yaml_writer_finish (writer, error);
}
