/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "plan.h"

#include "dbus/error.h"
#include "dbus/names.h"
#include "token/csr.h"
#include "token/pin-readers.h"
#include "token/protocol.h"
#include "token/tokens.h"

#include <string.h>

#define DEFAULT_DAYS 3650

static void
plan_key_free (gpointer data)
{
  PlanKey *key = data;

  g_free (key->label);
  g_free (key->algorithm);
  g_free (key->subject);
  extension_params_clear (&key->extensions);
  g_free (key->request_path);
  g_free (key->certificate);
  g_free (key);
}

Plan *
plan_new (void)
{
  Plan *plan = g_new0 (Plan, 1);

  plan->token = g_strdup ("greengrass");
  plan->pin_credential = g_strdup (PLAN_CREDENTIAL_PIN);
  plan->so_pin_credential = g_strdup (PLAN_CREDENTIAL_SO_PIN);
  plan->keys = g_ptr_array_new_with_free_func (plan_key_free);
  plan->exclusive = TRUE;
  plan_add_key (plan, "greenkey");
  return plan;
}

void
plan_free (Plan *plan)
{
  if (plan == NULL)
    return;
  g_free (plan->token);
  g_strfreev (plan->pin_readers);
  g_free (plan->pin_credential);
  g_free (plan->so_pin_credential);
  g_ptr_array_unref (plan->keys);
  plan_greengrass_free (plan->greengrass);
  secret_free (plan->pin);
  secret_free (plan->so_pin);
  g_free (plan);
}

void
plan_greengrass_free (PlanGreengrass *greengrass)
{
  if (greengrass == NULL)
    return;
  g_strfreev (greengrass->flavours);
  g_free (greengrass->key);
  g_free (greengrass->thing_name);
  g_free (greengrass->thing_arn);
  g_free (greengrass->region);
  g_free (greengrass->data_endpoint);
  g_free (greengrass->credentials_endpoint);
  g_free (greengrass->role_alias);
  g_free (greengrass->root_ca_path);
  g_free (greengrass->certificate_path);
  g_free (greengrass->root_path);
  g_free (greengrass->nucleus_version);
  g_free (greengrass->v1_path);
  g_free (greengrass->v2_path);
  g_free (greengrass->lite_path);
  g_free (greengrass->group);
  g_free (greengrass);
}

const char *
plan_greengrass_get_path (const PlanGreengrass *greengrass, const char *flavour)
{
  if (g_str_equal (flavour, "v1"))
    return greengrass->v1_path;
  return g_str_equal (flavour, "v2") ? greengrass->v2_path : greengrass->lite_path;
}

/* ---- keys ---- */

PlanKey *
plan_add_key (Plan *plan, const char *label)
{
  PlanKey *key = g_new0 (PlanKey, 1);

  key->label = g_strdup (label);
  key->algorithm = g_strdup (PROTOCOL_ALGORITHM_ECC_P256);
  key->certificate = g_strdup (PLAN_CERTIFICATE_NONE);
  key->days = DEFAULT_DAYS;
  g_ptr_array_add (plan->keys, key);
  return key;
}

PlanKey *
plan_find_key (const Plan *plan, const char *label)
{
  for (guint i = 0; i < plan->keys->len; i++)
    {
      PlanKey *key = plan->keys->pdata[i];

      if (g_str_equal (key->label, label))
        return key;
    }
  return NULL;
}

char *
plan_key_dup_subject (const PlanKey *key)
{
  return key->subject != NULL ? g_strdup (key->subject) : csr_make_subject (key->label);
}

static void
append_values (GString *text, const char *name, char **values)
{
  g_autofree char *joined = values != NULL ? g_strjoinv (" ", values) : NULL;

  if (joined != NULL && *joined != '\0')
    g_string_append_printf (text, "%s%s=%s", text->len > 0 ? ";" : "", name, joined);
}

char *
plan_key_dup_extensions (const PlanKey *key)
{
  GString *text = g_string_new (NULL);

  append_values (text, "alt-names", key->extensions.alt_names);
  append_values (text, "key-usage", key->extensions.key_usage);
  append_values (text, "ext-key-usage", key->extensions.ext_key_usage);
  return g_string_free (text, text->len == 0);
}

gboolean
plan_key_is_self_signed (const PlanKey *key)
{
  return g_str_equal (key->certificate, PLAN_CERTIFICATE_SELF_SIGNED);
}

const char *
plan_key_get_certificate_path (const PlanKey *key)
{
  return g_path_is_absolute (key->certificate) ? key->certificate : NULL;
}

/* ---- check ---- */

static gboolean
check_pin (const Secret *pin, const char *what, GError **error)
{
  gsize len;

  if (pin == NULL)
    return TRUE;
  len = secret_get_length (pin);
  if (len == 0 || len > GGTPM_PIN_MAX_BYTES)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "the %s has %" G_GSIZE_FORMAT " bytes: 1 to %d are possible", what, len,
                 GGTPM_PIN_MAX_BYTES);
  else if (!g_utf8_validate_len (secret_peek (pin), len, NULL))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "the %s is not UTF-8", what);
  else
    return TRUE;
  return FALSE;
}

static gboolean
check_certificate (const PlanKey *key, GError **error)
{
  if (key->days == 0 || key->days > CSR_MAX_DAYS)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "SelfSignedDays: 1 to %d days",
                 CSR_MAX_DAYS);
  else if (!g_str_equal (key->certificate, PLAN_CERTIFICATE_NONE) &&
           !plan_key_is_self_signed (key) && !g_path_is_absolute (key->certificate))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "Certificate: '%s' is not known: " PLAN_CERTIFICATE_NONE
                 ", " PLAN_CERTIFICATE_SELF_SIGNED
                 " or the absolute path of the file that it comes in",
                 key->certificate);
  else
    return TRUE;
  return FALSE;
}

static gboolean
check_key (const PlanKey *key, GError **error)
{
  g_autofree char *subject = plan_key_dup_subject (key);

  return tokens_check_label (key->label, "key", error) &&
         tokens_check_algorithm (key->algorithm, error) && csr_check_subject (subject, error) &&
         extensions_check (&key->extensions, error) && check_certificate (key, error);
}

static gboolean
check_keys (const Plan *plan, GError **error)
{
  for (guint i = 0; i < plan->keys->len; i++)
    {
      const PlanKey *key = plan->keys->pdata[i];

      if (check_key (key, error))
        continue;
      if (plan->declared)
        g_prefix_error (error, "[Key %s] ", key->label);
      return FALSE;
    }
  return TRUE;
}

static gboolean
check_greengrass (const Plan *plan, GError **error)
{
  static const char *const flavours[] = { "v1", "v2", "lite", NULL };
  const PlanGreengrass *greengrass = plan->greengrass;

  if (greengrass == NULL)
    return TRUE;
  if (greengrass->key != NULL && plan_find_key (plan, greengrass->key) == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "[Greengrass] Key: there is no [Key %s]", greengrass->key);
      return FALSE;
    }
  if (greengrass->flavours == NULL)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                           "[Greengrass] Write is missing: which of v1, v2 and lite");
      return FALSE;
    }
  for (char **name = greengrass->flavours; *name != NULL; name++)
    if (!g_strv_contains (flavours, *name))
      {
        g_set_error (
            error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
            "[Greengrass] Write: '%s' is not known: there are v1, v2 and lite, separated by spaces",
            *name);
        return FALSE;
      }
    else if (g_strv_contains ((const char *const *)name + 1, *name))
      {
        g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                     "[Greengrass] Write: '%s' is there twice", *name);
        return FALSE;
      }
  return TRUE;
}

/* Names of files in one directory. */
static gboolean
check_credential (const char *name, GError **error)
{
  if (strchr (name, '/') == NULL && *name != '.')
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "[Token]: '%s' is not the name of a credential", name);
  return FALSE;
}

static gboolean
check_readers (char **readers, GError **error)
{
  for (; readers != NULL && *readers != NULL; readers++)
    {
      const char *name = strchr (*readers, ':');

      if ((g_str_has_prefix (*readers, PIN_READERS_USER) ||
           g_str_has_prefix (*readers, PIN_READERS_GROUP)) &&
          name[1] != '\0')
        continue;
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "[Token] PinReaders: '%s' is neither " PIN_READERS_USER
                   "NAME nor " PIN_READERS_GROUP "NAME",
                   *readers);
      return FALSE;
    }
  return TRUE;
}

static gboolean
add_path (GHashTable *paths, const char *path, GError **error)
{
  if (path == NULL || g_hash_table_add (paths, g_canonicalize_filename (path, NULL)))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "'%s' is named for two things: each needs a file of its own", path);
  return FALSE;
}

/* Two that are put at one place would take it from each other in every run. */
static gboolean
check_paths (const Plan *plan, GError **error)
{
  g_autoptr (GHashTable) paths = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  char **flavours = plan->greengrass != NULL ? plan->greengrass->flavours : NULL;

  for (guint i = 0; i < plan->keys->len; i++)
    {
      const PlanKey *key = plan->keys->pdata[i];

      if (!add_path (paths, key->request_path, error) ||
          !add_path (paths, plan_key_get_certificate_path (key), error))
        return FALSE;
    }
  for (; flavours != NULL && *flavours != NULL; flavours++)
    if (!add_path (paths, plan_greengrass_get_path (plan->greengrass, *flavours), error))
      return FALSE;
  return TRUE;
}

/* Of a label in the database libtpm2_pkcs11 shows all but the 32nd byte: nobody would find the token by its name. */
static gboolean
check_token (const char *token, GError **error)
{
  if (!tokens_check_label (token, "token", error))
    return FALSE;
  if (strlen (token) <= PLAN_MAX_TOKEN)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "token is longer than %d bytes, of which libtpm2_pkcs11 shows no more",
               PLAN_MAX_TOKEN);
  return FALSE;
}

gboolean
plan_check (const Plan *plan, GError **error)
{
  return check_token (plan->token, error) && check_keys (plan, error) &&
         check_credential (plan->pin_credential, error) &&
         check_credential (plan->so_pin_credential, error) &&
         check_readers (plan->pin_readers, error) && check_greengrass (plan, error) &&
         check_paths (plan, error) && check_pin (plan->pin, "PIN", error) &&
         check_pin (plan->so_pin, "SO PIN", error);
}
