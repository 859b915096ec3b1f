/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "greengrass.h"

#include "build-config.h"
#include "common/secret.h"
#include "dbus/error.h"
#include "dbus/names.h"
#include "flavours.h"

#include <string.h>

/* What is the same for all of a flavour's files. */
static const struct
{
  const char *name;
  const char *path;
  const char *root_path;
  const char *root_ca_path;
  gboolean needs_key;
  gboolean needs_pin;
  char *(*render) (const GreengrassParams *params, GError **error);
} flavours[] = {
  [GREENGRASS_V1] = { "v1", "/greengrass/config/config.json", "/greengrass",
                      "/greengrass/certs/root.ca.pem", TRUE, TRUE, v1_render },
  [GREENGRASS_V2] = { "v2", "/greengrass/v2/config/config.yaml", "/greengrass/v2",
                      "/greengrass/v2/AmazonRootCA1.pem", TRUE, TRUE, v2_render },
  [GREENGRASS_LITE] = { "lite", "/etc/greengrass/config.yaml", "/var/lib/greengrass",
                        "/etc/greengrass/AmazonRootCA1.pem", TRUE, FALSE, lite_render },
  /* of %s, the unit */
  [GREENGRASS_DROP_IN] = { "drop-in", "/etc/systemd/system/%s.d/ggtpm.conf", NULL, NULL, FALSE,
                           FALSE, drop_in_render },
  /* The name under which tpm2-pkcs11 installs its own below /usr/share, which this one overrides. */
  [GREENGRASS_P11_KIT] = { "p11-kit", "/etc/pkcs11/modules/tpm2_pkcs11.module", NULL, NULL, FALSE,
                           FALSE, module_file_render },
};

/* Members of GreengrassParams that are text, under the names that people know them by. */
static const struct
{
  const char *name;
  gsize offset;
  gboolean is_path;
} texts[] = {
  { GGTPM_RENDER_TOKEN, G_STRUCT_OFFSET (GreengrassParams, token), FALSE },
  { GGTPM_RENDER_KEY, G_STRUCT_OFFSET (GreengrassParams, key), FALSE },
  { GGTPM_RENDER_THING_NAME, G_STRUCT_OFFSET (GreengrassParams, thing_name), FALSE },
  { GGTPM_RENDER_THING_ARN, G_STRUCT_OFFSET (GreengrassParams, thing_arn), FALSE },
  { GGTPM_RENDER_REGION, G_STRUCT_OFFSET (GreengrassParams, region), FALSE },
  { GGTPM_RENDER_IOT_DATA_ENDPOINT, G_STRUCT_OFFSET (GreengrassParams, iot_data_endpoint), FALSE },
  { GGTPM_RENDER_IOT_CRED_ENDPOINT, G_STRUCT_OFFSET (GreengrassParams, iot_cred_endpoint), FALSE },
  { GGTPM_RENDER_ROLE_ALIAS, G_STRUCT_OFFSET (GreengrassParams, role_alias), FALSE },
  { GGTPM_RENDER_ROOT_CA_PATH, G_STRUCT_OFFSET (GreengrassParams, root_ca_path), TRUE },
  { GGTPM_RENDER_CERTIFICATE_PATH, G_STRUCT_OFFSET (GreengrassParams, certificate_path), TRUE },
  { GGTPM_RENDER_ROOT_PATH, G_STRUCT_OFFSET (GreengrassParams, root_path), TRUE },
  { GGTPM_RENDER_NUCLEUS_VERSION, G_STRUCT_OFFSET (GreengrassParams, nucleus_version), FALSE },
  { GGTPM_RENDER_HANDLE, G_STRUCT_OFFSET (GreengrassParams, handle), FALSE },
  { GGTPM_RENDER_UNIT, G_STRUCT_OFFSET (GreengrassParams, unit), FALSE },
  { "pin-source", G_STRUCT_OFFSET (GreengrassParams, pin_source), TRUE },
  { "pkcs11-module", G_STRUCT_OFFSET (GreengrassParams, pkcs11_module), TRUE },
  { "pkcs11-engine", G_STRUCT_OFFSET (GreengrassParams, pkcs11_engine), TRUE },
  { "store", G_STRUCT_OFFSET (GreengrassParams, store_dir), TRUE },
  { "tcti", G_STRUCT_OFFSET (GreengrassParams, tcti), FALSE },
};

static const char *const names[] = { GGTPM_RENDER_OPTIONS, GGTPM_RENDER_UNIT, NULL };

#define TEXT(params, i) G_STRUCT_MEMBER (char *, (params), texts[(i)].offset)

static void
free_pin (char *pin)
{
  if (pin != NULL)
    secret_wipe (pin, strlen (pin));
  g_free (pin);
}

void
greengrass_params_free (GreengrassParams *params)
{
  if (params == NULL)
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    g_free (TEXT (params, i));
  free_pin (params->pin);
  g_free (params);
}

const char *const *
greengrass_params_get_names (void)
{
  return names;
}

char **
greengrass_params_find (GreengrassParams *params, const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    if (g_str_equal (name, texts[i].name) && g_strv_contains (names, name))
      return &TEXT (params, i);
  return NULL;
}

gboolean
greengrass_flavour_from_string (const char *text, GreengrassFlavour *out_flavour, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (flavours); i++)
    if (g_str_equal (text, flavours[i].name))
      {
        *out_flavour = (GreengrassFlavour)i;
        return TRUE;
      }
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "unknown flavour '%s': it is one of v1, v2, lite, drop-in, p11-kit", text);
  return FALSE;
}

const char *
greengrass_flavour_to_string (GreengrassFlavour flavour)
{
  return flavours[flavour].name;
}

char *
greengrass_make_default_path (GreengrassFlavour flavour, const char *unit)
{
  g_auto (GStrv) parts = g_strsplit (flavours[flavour].path, "%s", 2);

  return g_strjoinv (unit, parts);
}

gboolean
greengrass_needs_key (GreengrassFlavour flavour, const GreengrassParams *params)
{
  return flavours[flavour].needs_key && params->handle == NULL;
}

gboolean
greengrass_needs_pin (GreengrassFlavour flavour)
{
  return flavours[flavour].needs_pin;
}

const char *
greengrass_get_domain (const char *region)
{
  return g_str_has_prefix (region, "cn-") ? "amazonaws.com.cn" : "amazonaws.com";
}

/* Of ARNs. */
static const char *
get_partition (const char *region)
{
  if (g_str_has_prefix (region, "cn-"))
    return "aws-cn";
  return g_str_has_prefix (region, "us-gov-") ? "aws-us-gov" : "aws";
}

static gboolean
has_control_character (const char *text)
{
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    if (g_unichar_iscntrl (g_utf8_get_char (p)))
      return TRUE;
  return FALSE;
}

static gboolean
check_text (const char *name, const char *text, gboolean is_path, GError **error)
{
  const char *problem = NULL;

  if (*text == '\0')
    problem = "is empty";
  else if (!g_utf8_validate (text, -1, NULL))
    problem = "is not UTF-8";
  else if (has_control_character (text))
    problem = "has a control character";
  else if (is_path && !g_path_is_absolute (text))
    problem = "is not an absolute path";
  if (problem != NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s %s", name, problem);
  return problem == NULL;
}

static gboolean
check_pin (GreengrassFlavour flavour, const char *pin, GError **error)
{
  if (!greengrass_needs_pin (flavour))
    return TRUE;
  if (pin == NULL)
    {
      g_set_error (
          error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED,
          "the configuration of Greengrass %s has the token's PIN in it, and there is none",
          flavours[flavour].name);
      return FALSE;
    }
  if (!g_utf8_validate (pin, -1, NULL))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "the PIN is not UTF-8: the configuration of Greengrass %s cannot hold it",
                   flavours[flavour].name);
      return FALSE;
    }
  return TRUE;
}

/* The Java nucleus cuts its URIs at `;` and `=` after decoding them, and trims what is left. */
static gboolean
check_for_v2 (const GreengrassParams *params, GError **error)
{
  g_autofree char *trimmed = NULL;

  if (params->slot == 0)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "slot is missing");
      return FALSE;
    }
  if (params->key == NULL)
    return TRUE;
  trimmed = g_strstrip (g_strdup (params->key));
  if (strpbrk (params->key, ";=%") == NULL && g_str_equal (trimmed, params->key))
    return TRUE;
  g_set_error (
      error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
      "Greengrass V2 cannot have the key '%s': its label must be without ';', '=' and '%%' and "
      "without a space at either end",
      params->key);
  return FALSE;
}

/* It becomes part of a path. */
static gboolean
check_unit (const char *unit, GError **error)
{
  if (unit != NULL && g_regex_match_simple ("^[A-Za-z0-9:_.\\\\@-]{1,200}\\.service$", unit,
                                            G_REGEX_DOLLAR_ENDONLY, 0))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "'%s' is no service unit of systemd",
               unit != NULL ? unit : "");
  return FALSE;
}

static gboolean
check_handle (GreengrassFlavour flavour, const GreengrassParams *params, GError **error)
{
  const char *problem = NULL;

  if (params->handle == NULL)
    return TRUE;
  if (flavour != GREENGRASS_LITE)
    problem = "a handle is for lite alone: the others use PKCS#11";
  else if (!g_regex_match_simple ("^0x81[0-9a-f]{6}$", params->handle, G_REGEX_DOLLAR_ENDONLY, 0))
    problem = "the handle is not one of a persistent object, as 0x81008001";
  else if (params->token != NULL || params->key != NULL)
    problem = "a handle stands in the place of a token and its key";
  else if (params->certificate_path == NULL)
    problem = "a key at a handle has its certificate in a file: certificate-path is missing";
  if (problem != NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s", problem);
  return problem == NULL;
}

static gboolean
check (GreengrassFlavour flavour, const GreengrassParams *params, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      const char *text = TEXT (params, i);

      if (text != NULL && !check_text (texts[i].name, text, texts[i].is_path, error))
        return FALSE;
    }
  if (!check_handle (flavour, params, error) || !check_pin (flavour, params->pin, error))
    return FALSE;
  if (flavour == GREENGRASS_DROP_IN)
    return check_unit (params->unit, error);
  return flavour != GREENGRASS_V2 || check_for_v2 (params, error);
}

static void
set_default (char **text, const char *value)
{
  if (*text == NULL)
    *text = g_strdup (value);
}

/* Debian and its relatives: LIBDIR/pkcs11/libtpm2_pkcs11.so and LIBDIR/engines-3/pkcs11.so. */
static char *
guess_engine (const char *module)
{
  g_autofree char *module_dir = g_path_get_dirname (module);
  g_autofree char *libdir = g_path_get_dirname (module_dir);

  return g_build_filename (libdir, "engines-3", "pkcs11.so", NULL);
}

static void
complete_endpoints (GreengrassParams *params)
{
  const char *domain = greengrass_get_domain (params->region);

  if (params->iot_data_endpoint == NULL)
    params->iot_data_endpoint =
        g_strdup_printf ("DATA-PREFIX-ats.iot.%s.%s", params->region, domain);
  if (params->iot_cred_endpoint == NULL)
    params->iot_cred_endpoint =
        g_strdup_printf ("CREDENTIALS-PREFIX.credentials.iot.%s.%s", params->region, domain);
  if (params->thing_arn == NULL)
    params->thing_arn =
        g_strdup_printf ("arn:%s:iot:%s:ACCOUNT-ID:thing/%s", get_partition (params->region),
                         params->region, params->thing_name);
}

/* A copy of @params with every default. */
static GreengrassParams *
complete (GreengrassFlavour flavour, const GreengrassParams *params)
{
  GreengrassParams *full = g_new0 (GreengrassParams, 1);

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    TEXT (full, i) = g_strdup (TEXT (params, i));
  full->slot = params->slot;
  full->rsa = params->rsa;
  full->pin = g_strdup (params->pin);

  set_default (&full->token, "greengrass");
  set_default (&full->key, "greenkey");
  set_default (&full->pkcs11_module, GGTPM_PKCS11_MODULE);
  if (full->pkcs11_engine == NULL)
    full->pkcs11_engine = guess_engine (full->pkcs11_module);
  set_default (&full->thing_name, "THING-NAME");
  set_default (&full->region, "REGION");
  set_default (&full->role_alias, "GreengrassV2TokenExchangeRoleAlias");
  set_default (&full->store_dir, "/var/lib/ggtpm/pkcs11");
  set_default (&full->tcti, "ggtpm");
  set_default (&full->root_path, flavours[flavour].root_path);
  set_default (&full->root_ca_path, flavours[flavour].root_ca_path);
  complete_endpoints (full);
  return full;
}

char *
greengrass_render (GreengrassFlavour flavour, const GreengrassParams *params, GError **error)
{
  g_autoptr (GreengrassParams) full = NULL;

  if (!check (flavour, params, error))
    return NULL;
  full = complete (flavour, params);
  return flavours[flavour].render (full, error);
}
