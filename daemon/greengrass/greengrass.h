/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  GREENGRASS_V1,
  GREENGRASS_V2,
  GREENGRASS_LITE,
} GreengrassFlavour;

/* What goes into a configuration. Strings; NULL takes the placeholder or default of the AWS documentation. */
typedef struct
{
  char *token;
  char *key;
  guint64 slot;
  char *pin;        /* for v1, v2; wiped by greengrass_params_free() */
  char *pin_source; /* path, for lite */
  gboolean rsa;     /* the key is RSA: what needs RSA may be offered */
  char *pkcs11_module;
  char *pkcs11_engine;
  char *thing_name;
  char *thing_arn;
  char *region;
  char *iot_data_endpoint;
  char *iot_cred_endpoint;
  char *role_alias;
  char *root_ca_path;
  char *certificate_path;
  char *root_path;
  char *nucleus_version;
} GreengrassParams;

void greengrass_params_free (GreengrassParams *params);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GreengrassParams, greengrass_params_free)

/* `v1`, `v2`, `lite`. Errors: GGTPM_ERROR_INVALID_ARGS with the list. */
gboolean greengrass_flavour_from_string (const char *text,
                                         GreengrassFlavour *out_flavour,
                                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Where the flavour looks for it by default; static. */
const char *greengrass_get_default_path (GreengrassFlavour flavour);
/* Whether the file must contain the PIN. */
gboolean greengrass_needs_pin (GreengrassFlavour flavour);

/* The file's text. The caller wipes it if it has a PIN. Errors: GGTPM_ERROR_INVALID_ARGS. */
char *greengrass_render (GreengrassFlavour flavour,
                         const GreengrassParams *params,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
