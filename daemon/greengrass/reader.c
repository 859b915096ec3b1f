/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "reader.h"

#include "common/secret.h"
#include "common/yaml-values.h"
#include "dbus/error.h"

#include <json-c/json.h>
#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC (json_object, json_object_put)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (json_tokener, json_tokener_free)

#define MAX_DEPTH 32
/* tpm2-openssl's */
#define HANDLE_SCHEME "handle:"

typedef struct
{
  const char *name; /* of the value: the keys above it with slashes between */
  ReferenceKind kind;
  gboolean required;
} Row;

/* An object may also be a file, where its value has no `pkcs11:`. */
static const Row v1_rows[] = {
  { "crypto/PKCS11/P11Provider", REFERENCE_FILE, TRUE },
  { "crypto/PKCS11/OpenSSLEngine", REFERENCE_FILE, FALSE },
  { "crypto/PKCS11/slotLabel", REFERENCE_TOKEN, TRUE },
  { "crypto/PKCS11/slotUserPin", REFERENCE_PIN, TRUE },
  { "crypto/principals/IoTCertificate/privateKeyPath", REFERENCE_OBJECT, TRUE },
  { "crypto/principals/IoTCertificate/certificatePath", REFERENCE_OBJECT, TRUE },
  { "crypto/principals/MQTTServerCertificate/privateKeyPath", REFERENCE_OBJECT, FALSE },
  { "crypto/principals/SecretsManager/privateKeyPath", REFERENCE_OBJECT, FALSE },
  { "crypto/caPath", REFERENCE_FILE, TRUE },
};

#define V2_PROVIDER "services/aws.greengrass.crypto.Pkcs11Provider/configuration/"
static const Row v2_rows[] = {
  { V2_PROVIDER "library", REFERENCE_FILE, TRUE },
  { V2_PROVIDER "slot", REFERENCE_SLOT, TRUE },
  { V2_PROVIDER "userPin", REFERENCE_PIN, TRUE },
  { "system/privateKeyPath", REFERENCE_OBJECT, TRUE },
  { "system/certificateFilePath", REFERENCE_OBJECT, TRUE },
  { "system/rootCaPath", REFERENCE_FILE, TRUE },
};

static const Row lite_rows[] = {
  { "system/privateKeyPath", REFERENCE_OBJECT, TRUE },
  { "system/certificateFilePath", REFERENCE_OBJECT, TRUE },
  { "system/rootCaPath", REFERENCE_FILE, TRUE },
};

static const Row environment_rows[] = {
  { "TPM2_PKCS11_STORE", REFERENCE_DIR, TRUE },
  { "remote", REFERENCE_FILE, FALSE },
};

static const struct
{
  const Row *rows;
  gsize n_rows;
} tables[] = {
  [GREENGRASS_V1] = { v1_rows, G_N_ELEMENTS (v1_rows) },
  [GREENGRASS_V2] = { v2_rows, G_N_ELEMENTS (v2_rows) },
  [GREENGRASS_LITE] = { lite_rows, G_N_ELEMENTS (lite_rows) },
  [GREENGRASS_DROP_IN] = { environment_rows, G_N_ELEMENTS (environment_rows) },
  [GREENGRASS_P11_KIT] = { environment_rows, G_N_ELEMENTS (environment_rows) },
};

static void
free_value (gpointer value)
{
  if (value != NULL)
    secret_wipe (value, strlen (value));
  g_free (value);
}

void
reference_free (Reference *reference)
{
  free_value (reference->value);
  g_free (reference->name);
  g_free (reference);
}

static char *
join (const char *above, const char *name)
{
  return *above == '\0' ? g_strdup (name) : g_strconcat (above, "/", name, NULL);
}

/* ---- each kind of file becomes name -> value ---- */

static void
flatten_json (json_object *value, const char *name, GHashTable *values)
{
  if (!json_object_is_type (value, json_type_object))
    {
      g_hash_table_insert (values, g_strdup (name), g_strdup (json_object_get_string (value)));
      return;
    }
  json_object_object_foreach (value, key, member)
    {
      g_autofree char *below = join (name, key);

      flatten_json (member, below, values);
    }
}

static gboolean
read_json (const char *text, gsize len, GHashTable *values, GError **error)
{
  g_autoptr (json_tokener) tokener = json_tokener_new_ex (MAX_DEPTH);
  g_autoptr (json_object) root = NULL;

  json_tokener_set_flags (tokener, JSON_TOKENER_STRICT);
  root = json_tokener_parse_ex (tokener, text, (int)len + 1);
  if (!json_object_is_type (root, json_type_object))
    {
      enum json_tokener_error problem = json_tokener_get_error (tokener);

      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "no JSON object: %s",
                   problem != json_tokener_success ? json_tokener_error_desc (problem)
                                                   : "it is something else");
      return FALSE;
    }
  flatten_json (root, "", values);
  return TRUE;
}

static gboolean
read_yaml (const char *text, gsize len, GHashTable *values, GError **error)
{
  g_autoptr (GHashTable) found = yaml_values_read (text, len, error);
  GHashTableIter iter;
  const char *name;
  const YamlValue *value;

  if (found == NULL)
    return FALSE;
  g_hash_table_iter_init (&iter, found);
  while (g_hash_table_iter_next (&iter, (gpointer *)&name, (gpointer *)&value))
    g_hash_table_insert (values, g_strdup (name), g_strdup (value->text));
  return TRUE;
}

/* systemd's and p11-kit's: what drop-in.c and module-file.c write. */
static void
read_lines (const char *text, GHashTable *values)
{
  static const struct
  {
    const char *name;
    const char *pattern;
  } rows[] = {
    { "TPM2_PKCS11_STORE", "TPM2_PKCS11_STORE:?=([^\"\\s}]+)" },
    { "remote", "^remote:.*p11-kit remote ([^\\s']+)" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GRegex) regex = g_regex_new (rows[i].pattern, G_REGEX_MULTILINE, 0, NULL);
      g_autoptr (GMatchInfo) match = NULL;

      if (g_regex_match (regex, text, 0, &match))
        g_hash_table_insert (values, g_strdup (rows[i].name), g_match_info_fetch (match, 1));
    }
}

/* ---- what of that is a reference ---- */

/* file:///greengrass/... */
static char *
strip_file_uri (const char *value)
{
  const char *path = value;

  if (!g_str_has_prefix (value, "file:"))
    return g_strdup (value);
  path += strlen ("file:");
  while (path[0] == '/' && path[1] == '/')
    path++;
  return g_uri_unescape_string (path, NULL);
}

static Reference *
make_reference (const Row *row, const char *value)
{
  Reference *reference = g_new0 (Reference, 1);

  reference->kind = row->kind;
  reference->name = g_strdup (row->name);
  if (value != NULL && row->kind == REFERENCE_OBJECT && g_str_has_prefix (value, HANDLE_SCHEME))
    {
      reference->kind = REFERENCE_HANDLE;
      reference->value = g_strdup (value + strlen (HANDLE_SCHEME));
      return reference;
    }
  if (value != NULL && row->kind == REFERENCE_OBJECT && !g_str_has_prefix (value, "pkcs11:"))
    reference->kind = REFERENCE_FILE;
  reference->value = value != NULL && reference->kind == REFERENCE_FILE ? strip_file_uri (value)
                                                                        : g_strdup (value);
  return reference;
}

static gboolean
read_values (GreengrassFlavour flavour,
             const char *text,
             gsize len,
             GHashTable *values,
             GError **error)
{
  if (len >= G_MAXINT || !g_utf8_validate_len (text, len, NULL))
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "it is not UTF-8");
      return FALSE;
    }
  if (flavour == GREENGRASS_V1)
    return read_json (text, len, values, error);
  if (flavour == GREENGRASS_V2 || flavour == GREENGRASS_LITE)
    return read_yaml (text, len, values, error);
  read_lines (text, values);
  return TRUE;
}

GPtrArray *
reader_read (GreengrassFlavour flavour, const char *text, gsize len, GError **error)
{
  g_autoptr (GHashTable) values =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_value);
  g_autoptr (GPtrArray) references = NULL;

  if (!read_values (flavour, text, len, values, error))
    return NULL;
  references = g_ptr_array_new_with_free_func ((GDestroyNotify)reference_free);
  for (gsize i = 0; i < tables[flavour].n_rows; i++)
    {
      const Row *row = &tables[flavour].rows[i];
      const char *value = g_hash_table_lookup (values, row->name);

      if (value != NULL || row->required)
        g_ptr_array_add (references, make_reference (row, value));
    }
  return g_steal_pointer (&references);
}
