/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "config-patch.h"

#include "common/secret.h"
#include "common/yaml-values.h"
#include "dbus/error.h"
#include "dbus/names.h"

#include <json-c/json.h>
#include <json-c/json_visit.h>
#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"
#define JSON_MAX_DEPTH  32

typedef struct
{
  const char *name;
  const char *option;  /* of RenderConfig, that states it; NULL: the token decides it */
  gboolean is_uri;     /* of the token's; unless it is stated only where the file has one, too */
  gboolean is_secret;  /* as everything that may have a PIN in it */
  const char *follows; /* only where the file has the same for this one; NULL: nothing */
} Row;

/* Those that follow another come before it. */
#define V1_KEY(principal) "crypto/principals/" principal "/privateKeyPath"
static const Row v1_rows[] = {
  { .name = "crypto/PKCS11/slotLabel" },
  { .name = "crypto/PKCS11/slotUserPin", .is_secret = TRUE },
  { .name = V1_KEY ("MQTTServerCertificate"),
    .is_uri = TRUE,
    .follows = V1_KEY ("IoTCertificate") },
  { .name = V1_KEY ("SecretsManager"), .is_uri = TRUE, .follows = V1_KEY ("IoTCertificate") },
  { .name = V1_KEY ("IoTCertificate"), .is_uri = TRUE },
  { "crypto/principals/IoTCertificate/certificatePath", GGTPM_RENDER_CERTIFICATE_PATH },
  { "crypto/caPath", GGTPM_RENDER_ROOT_CA_PATH },
  { "coreThing/thingArn", GGTPM_RENDER_THING_ARN },
  { "coreThing/iotHost", GGTPM_RENDER_IOT_DATA_ENDPOINT },
  { "coreThing/ggHost", GGTPM_RENDER_REGION },
};

#define V2_PROVIDER "services/aws.greengrass.crypto.Pkcs11Provider/configuration/"
#define V2_NUCLEUS  "services/aws.greengrass.Nucleus/"
static const Row v2_rows[] = {
  { .name = V2_PROVIDER "slot" },
  { .name = V2_PROVIDER "userPin", .is_secret = TRUE },
  { .name = "system/privateKeyPath", .is_uri = TRUE },
  { "system/certificateFilePath", GGTPM_RENDER_CERTIFICATE_PATH, .is_uri = TRUE },
  { "system/rootCaPath", GGTPM_RENDER_ROOT_CA_PATH },
  { "system/rootpath", GGTPM_RENDER_ROOT_PATH },
  { "system/thingName", GGTPM_RENDER_THING_NAME },
  { V2_NUCLEUS "version", GGTPM_RENDER_NUCLEUS_VERSION },
  { V2_NUCLEUS "configuration/awsRegion", GGTPM_RENDER_REGION },
  { V2_NUCLEUS "configuration/iotRoleAlias", GGTPM_RENDER_ROLE_ALIAS },
  { V2_NUCLEUS "configuration/iotDataEndpoint", GGTPM_RENDER_IOT_DATA_ENDPOINT },
  { V2_NUCLEUS "configuration/iotCredEndpoint", GGTPM_RENDER_IOT_CRED_ENDPOINT },
};

#define LITE_NUCLEUS "services/aws.greengrass.NucleusLite/configuration/"
static const Row lite_rows[] = {
  { .name = "system/privateKeyPath", .is_uri = TRUE },
  { "system/certificateFilePath", GGTPM_RENDER_CERTIFICATE_PATH, .is_uri = TRUE },
  { "system/rootCaPath", GGTPM_RENDER_ROOT_CA_PATH },
  { "system/rootPath", GGTPM_RENDER_ROOT_PATH },
  { "system/thingName", GGTPM_RENDER_THING_NAME },
  { LITE_NUCLEUS "awsRegion", GGTPM_RENDER_REGION },
  { LITE_NUCLEUS "iotRoleAlias", GGTPM_RENDER_ROLE_ALIAS },
  { LITE_NUCLEUS "iotDataEndpoint", GGTPM_RENDER_IOT_DATA_ENDPOINT },
  { LITE_NUCLEUS "iotCredEndpoint", GGTPM_RENDER_IOT_CRED_ENDPOINT },
};

typedef struct
{
  const char *flavour;
  const Row *rows;
  gsize n_rows;
  gboolean is_json;
} Table;

static const Table tables[] = {
  { "v1", v1_rows, G_N_ELEMENTS (v1_rows), TRUE },
  { "v2", v2_rows, G_N_ELEMENTS (v2_rows), FALSE },
  { "lite", lite_rows, G_N_ELEMENTS (lite_rows), FALSE },
};

/* A value that is out of date. */
typedef struct
{
  const Row *row;
  const YamlValue *fresh;
  const YamlValue *found;
} Change;

static const Table *
find_table (const char *flavour)
{
  for (gsize i = 0; i < G_N_ELEMENTS (tables); i++)
    if (g_str_equal (tables[i].flavour, flavour))
      return &tables[i];
  return NULL;
}

gboolean
config_patch_supports (const char *flavour)
{
  return find_table (flavour) != NULL;
}

/* ---- which values ---- */

static gboolean
is_uri (const YamlValue *value)
{
  return value != NULL &&
         (g_str_has_prefix (value->text, "pkcs11:") || g_str_has_prefix (value->text, "handle:"));
}

static gboolean
is_same (const YamlValue *a, const YamlValue *b)
{
  return a != NULL && b != NULL && g_str_equal (a->text, b->text);
}

static gboolean
is_wanted (const Row *row, GVariant *stated, const Change *change, GHashTable *values)
{
  g_autoptr (GVariant) statement =
      stated != NULL && row->option != NULL
          ? g_variant_lookup_value (stated, row->option, G_VARIANT_TYPE_STRING)
          : NULL;

  if (change->fresh == NULL || statement != NULL)
    return change->fresh != NULL;
  if (row->follows != NULL && !is_same (change->found, g_hash_table_lookup (values, row->follows)))
    return FALSE;
  if (row->is_uri)
    return is_uri (change->fresh) && is_uri (change->found);
  return row->option == NULL;
}

static gboolean
check_replaceable (const Change *change, GError **error)
{
  if (change->found != NULL && change->found->replaceable)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               change->found == NULL
                   ? "%s is not in it"
                   : "%s is out of date, and there more than once, or not a plain or quoted value "
                     "on one line",
               change->row->name);
  return FALSE;
}

/* Of Change; NULL with @error */
static GArray *
find_changes (const Table *table,
              GHashTable *fresh,
              GVariant *stated,
              GHashTable *values,
              GError **error)
{
  g_autoptr (GArray) changes = g_array_new (FALSE, FALSE, sizeof (Change));

  for (gsize i = 0; i < table->n_rows; i++)
    {
      const Row *row = &table->rows[i];
      Change change = { row, g_hash_table_lookup (fresh, row->name),
                        g_hash_table_lookup (values, row->name) };

      if (!is_wanted (row, stated, &change, values) || is_same (change.fresh, change.found))
        continue;
      if (!check_replaceable (&change, error))
        return NULL;
      g_array_append_val (changes, change);
    }
  return g_steal_pointer (&changes);
}

/* ---- in words ---- */

/* A URI may have a PIN in it. */
static char *
describe (const Row *row, const YamlValue *fresh, const YamlValue *found)
{
  if (row->is_secret || row->is_uri || fresh == NULL || found == NULL)
    return g_strdup (row->name);
  return g_strdup_printf ("%s: '%s' becomes '%s'", row->name, found->text, fresh->text);
}

void
config_patch_compare (const char *flavour,
                      const char *fresh,
                      const char *text,
                      gsize len,
                      GPtrArray *changes)
{
  const Table *table = find_table (flavour);
  g_autoptr (GHashTable) wanted = yaml_values_read (fresh, strlen (fresh), NULL);
  g_autoptr (GHashTable) values = yaml_values_read (text, len, NULL);

  for (gsize i = 0; table != NULL && wanted != NULL && values != NULL && i < table->n_rows; i++)
    {
      const Row *row = &table->rows[i];
      const YamlValue *value = g_hash_table_lookup (wanted, row->name);
      const YamlValue *found = g_hash_table_lookup (values, row->name);

      if (value != found && !is_same (value, found))
        g_ptr_array_add (changes, describe (row, value, found));
    }
}

/* ---- the text ---- */

/* json_c_visit_userfunc: json-c does not wipe what it frees. */
static int
wipe_string (json_object *value,
             int flags,
             json_object *parent,
             const char *key,
             size_t *index,
             void *data)
{
  if (json_object_is_type (value, json_type_string))
    secret_wipe ((char *)json_object_get_string (value), (gsize)json_object_get_string_len (value));
  return JSON_C_VISIT_RETURN_CONTINUE;
}

/* Not all that libyaml reads is JSON. */
static gboolean
check_json (const char *text, GError **error)
{
  json_tokener *tokener = json_tokener_new_ex (JSON_MAX_DEPTH);
  json_object *root = NULL;
  enum json_tokener_error problem;

  json_tokener_set_flags (tokener, JSON_TOKENER_STRICT);
  root = json_tokener_parse_ex (tokener, text, (int)strlen (text) + 1);
  problem = json_tokener_get_error (tokener);
  json_tokener_free (tokener);
  if (root != NULL)
    json_c_visit (root, 0, wipe_string, NULL);
  json_object_put (root);
  if (problem == json_tokener_success)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "no JSON: %s",
               json_tokener_error_desc (problem));
  return FALSE;
}

static GHashTable *
read_values (const Table *table, const char *text, GError **error)
{
  if (table->is_json && !check_json (text, error))
    return NULL;
  return yaml_values_read (text, strlen (text), error);
}

static int
compare_places (gconstpointer a, gconstpointer b)
{
  const Change *left = a;
  const Change *right = b;

  return left->found->start < right->found->start ? -1 : 1;
}

/* @text with each of @changes as @fresh has written it, quotes and all. */
static char *
replace_all (const char *fresh, GArray *changes, const char *text)
{
  /* never moved: what it leaves behind would have a PIN in it */
  GString *patched = g_string_sized_new (strlen (text) + strlen (fresh) + 1);
  const char *rest = text;

  g_array_sort (changes, compare_places);
  for (guint i = 0; i < changes->len; i++)
    {
      const Change *change = &g_array_index (changes, Change, i);
      const char *start = g_utf8_offset_to_pointer (text, (glong)change->found->start);
      const char *value = g_utf8_offset_to_pointer (fresh, (glong)change->fresh->start);
      const char *end = g_utf8_offset_to_pointer (fresh, (glong)change->fresh->end);

      g_string_append_len (patched, rest, start - rest);
      g_string_append_len (patched, value, end - value);
      rest = g_utf8_offset_to_pointer (text, (glong)change->found->end);
    }
  g_string_append (patched, rest);
  return g_string_free (patched, FALSE);
}

/* @text: without a byte order mark */
static char *
patch (const Table *table,
       const char *fresh,
       GVariant *stated,
       const char *text,
       GPtrArray *in_words,
       GError **error)
{
  g_autoptr (GHashTable) wanted = read_values (table, fresh, error);
  g_autoptr (GHashTable) values = wanted != NULL ? read_values (table, text, error) : NULL;
  g_autoptr (GArray) changes =
      values != NULL ? find_changes (table, wanted, stated, values, error) : NULL;
  g_autoptr (GHashTable) check = NULL;
  char *patched;

  if (changes == NULL)
    return NULL;
  patched = replace_all (fresh, changes, text);
  check = read_values (table, patched, error);
  if (check == NULL)
    {
      secret_wipe (patched, strlen (patched));
      g_free (patched);
      return NULL;
    }
  for (guint i = 0; i < changes->len && in_words != NULL; i++)
    {
      const Change *change = &g_array_index (changes, Change, i);

      g_ptr_array_add (in_words, describe (change->row, change->fresh, change->found));
    }
  return patched;
}

char *
config_patch_apply (const char *flavour,
                    const char *fresh,
                    GVariant *stated,
                    const char *text,
                    gsize len,
                    GPtrArray *changes,
                    GError **error)
{
  const Table *table = find_table (flavour);
  gboolean marked = g_str_has_prefix (text, BYTE_ORDER_MARK);
  g_autofree char *patched = NULL;
  char *complete;

  g_return_val_if_fail (table != NULL, NULL);
  if (len >= G_MAXINT || !g_utf8_validate_len (text, len, NULL))
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "it is not UTF-8");
      return NULL;
    }
  patched =
      patch (table, fresh, stated, marked ? text + strlen (BYTE_ORDER_MARK) : text, changes, error);
  if (patched == NULL || !marked)
    return g_steal_pointer (&patched);
  complete = g_strconcat (BYTE_ORDER_MARK, patched, NULL);
  secret_wipe (patched, strlen (patched));
  return complete;
}
