/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "plan.h"

#include "common/key-file.h"
#include "dbus/error.h"

#include <string.h>

#define KEY_GROUP "Key"

typedef enum
{
  VALUE_TEXT,
  VALUE_WORDS, /* with spaces between */
  VALUE_PATH,  /* absolute */
  VALUE_NUMBER,
  VALUE_BOOLEAN,
} ValueType;

typedef struct
{
  const char *group; /* [Key LABEL] is Key */
  const char *key;
  ValueType type;
  gsize offset; /* in Plan, PlanKey or PlanGreengrass */
} Row;

#define GREENGRASS(field) G_STRUCT_OFFSET (PlanGreengrass, field)

/* Every key of provision.conf. */
static const Row rows[] = {
  { "Token", "Label", VALUE_TEXT, G_STRUCT_OFFSET (Plan, token) },
  { "Token", "PinReaders", VALUE_WORDS, G_STRUCT_OFFSET (Plan, pin_readers) },
  { "Token", "PinCredential", VALUE_TEXT, G_STRUCT_OFFSET (Plan, pin_credential) },
  { "Token", "SoPinCredential", VALUE_TEXT, G_STRUCT_OFFSET (Plan, so_pin_credential) },
  { "Key", "Algorithm", VALUE_TEXT, G_STRUCT_OFFSET (PlanKey, algorithm) },
  { "Key", "Subject", VALUE_TEXT, G_STRUCT_OFFSET (PlanKey, subject) },
  { "Key", "AltNames", VALUE_WORDS, G_STRUCT_OFFSET (PlanKey, extensions.alt_names) },
  { "Key", "KeyUsage", VALUE_WORDS, G_STRUCT_OFFSET (PlanKey, extensions.key_usage) },
  { "Key", "ExtKeyUsage", VALUE_WORDS, G_STRUCT_OFFSET (PlanKey, extensions.ext_key_usage) },
  { "Key", "Request", VALUE_PATH, G_STRUCT_OFFSET (PlanKey, request_path) },
  { "Key", "Certificate", VALUE_TEXT, G_STRUCT_OFFSET (PlanKey, certificate) },
  { "Key", "SelfSignedDays", VALUE_NUMBER, G_STRUCT_OFFSET (PlanKey, days) },
  { "Greengrass", "Write", VALUE_WORDS, GREENGRASS (flavours) },
  { "Greengrass", "Key", VALUE_TEXT, GREENGRASS (key) },
  { "Greengrass", "ThingName", VALUE_TEXT, GREENGRASS (thing_name) },
  { "Greengrass", "ThingArn", VALUE_TEXT, GREENGRASS (thing_arn) },
  { "Greengrass", "Region", VALUE_TEXT, GREENGRASS (region) },
  { "Greengrass", "DataEndpoint", VALUE_TEXT, GREENGRASS (data_endpoint) },
  { "Greengrass", "CredentialsEndpoint", VALUE_TEXT, GREENGRASS (credentials_endpoint) },
  { "Greengrass", "RoleAlias", VALUE_TEXT, GREENGRASS (role_alias) },
  { "Greengrass", "RootCaPath", VALUE_PATH, GREENGRASS (root_ca_path) },
  { "Greengrass", "CertificatePath", VALUE_PATH, GREENGRASS (certificate_path) },
  { "Greengrass", "RootPath", VALUE_PATH, GREENGRASS (root_path) },
  { "Greengrass", "NucleusVersion", VALUE_TEXT, GREENGRASS (nucleus_version) },
  { "Greengrass", "V1Path", VALUE_PATH, GREENGRASS (v1_path) },
  { "Greengrass", "V2Path", VALUE_PATH, GREENGRASS (v2_path) },
  { "Greengrass", "LitePath", VALUE_PATH, GREENGRASS (lite_path) },
  { "Greengrass", "Group", VALUE_TEXT, GREENGRASS (group) },
  { "Greengrass", "MakeDirectories", VALUE_BOOLEAN, GREENGRASS (directories) },
};

/* ---- names ---- */

static char *
list_keys (const char *group)
{
  GString *list = g_string_new (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    if (g_str_equal (rows[i].group, group))
      g_string_append_printf (list, "%s%s", list->len > 0 ? ", " : "", rows[i].key);
  return g_string_free (list, FALSE);
}

static const Row *
find_row (const char *kind, const char *group, const char *key, GError **error)
{
  g_autofree char *known = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    if (g_str_equal (rows[i].group, kind) && g_str_equal (rows[i].key, key))
      return &rows[i];
  known = list_keys (kind);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "unknown key %s in [%s]: there are %s",
               key, group, known);
  return NULL;
}

/* What @group is about, and in @out_kind its name in the table; NULL with @error. */
static gpointer
find_target (Plan *plan, const char *group, const char **out_kind, GError **error)
{
  static const char prefix[] = KEY_GROUP " ";

  if (g_str_equal (group, "Token"))
    {
      *out_kind = "Token";
      return plan;
    }
  if (g_str_equal (group, "Greengrass"))
    {
      *out_kind = "Greengrass";
      plan->greengrass = g_new0 (PlanGreengrass, 1);
      return plan->greengrass;
    }
  if (g_str_has_prefix (group, prefix))
    {
      *out_kind = KEY_GROUP;
      return plan_add_key (plan, group + strlen (prefix));
    }
  g_set_error (
      error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
      "unknown group [%s]: there are [Token], [Greengrass] and, with the label of a key in "
      "it, [Key LABEL]",
      group);
  return NULL;
}

/* ---- values ---- */

static char **
split_words (const char *value)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) parts = g_strsplit_set (value, " \t", -1);

  for (char **part = parts; *part != NULL; part++)
    if (**part != '\0')
      g_ptr_array_add (words, g_strdup (*part));
  g_ptr_array_add (words, NULL);
  return (char **)g_ptr_array_steal (words, NULL);
}

/* The reason against it, or NULL. */
static const char *
check_text (const Row *row, const char *value)
{
  if (*value == '\0')
    return "is empty";
  if (!g_utf8_validate (value, -1, NULL))
    return "is not UTF-8";
  if (row->type == VALUE_PATH && !g_path_is_absolute (value))
    return "is not an absolute path";
  return NULL;
}

static const char *
set_number (const char *value, guint *field)
{
  guint64 number = 0;

  if (!g_ascii_string_to_unsigned (value, 10, 0, G_MAXUINT, &number, NULL))
    return "is not a number";
  *field = (guint)number;
  return NULL;
}

static const char *
set_boolean (const char *value, gboolean *field)
{
  if (!g_str_equal (value, "yes") && !g_str_equal (value, "no"))
    return "is neither yes nor no";
  *field = g_str_equal (value, "yes");
  return NULL;
}

/* The reason against it, or NULL. */
static const char *
set_value (const Row *row, const char *value, gpointer target)
{
  const char *problem = check_text (row, value);
  gpointer field = G_STRUCT_MEMBER_P (target, row->offset);

  if (problem != NULL)
    return problem;
  if (row->type == VALUE_NUMBER)
    return set_number (value, field);
  if (row->type == VALUE_BOOLEAN)
    return set_boolean (value, field);
  if (row->type == VALUE_WORDS)
    {
      g_strfreev (*(char ***)field);
      *(char ***)field = split_words (value);
      return NULL;
    }
  g_free (*(char **)field);
  *(char **)field = g_strdup (value);
  return NULL;
}

/* ---- the file ---- */

static gboolean
apply_value (GKeyFile *file,
             const char *kind,
             const char *group,
             const char *key,
             gpointer target,
             GError **error)
{
  const Row *row = find_row (kind, group, key, error);
  g_autofree char *value = NULL;
  const char *problem;

  if (row == NULL)
    return FALSE;
  value = g_key_file_get_value (file, group, key, error);
  if (value == NULL)
    return FALSE;
  problem = set_value (row, g_strstrip (value), target);
  if (problem == NULL)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s in [%s] %s", key, group, problem);
  return FALSE;
}

static gboolean
apply_group (GKeyFile *file, const char *group, Plan *plan, GError **error)
{
  g_auto (GStrv) names = g_key_file_get_keys (file, group, NULL, NULL);
  const char *kind = NULL;
  gpointer target = find_target (plan, group, &kind, error);

  if (target == NULL)
    return FALSE;
  for (gsize i = 0; names != NULL && names[i] != NULL; i++)
    if (!apply_value (file, kind, group, names[i], target, error))
      return FALSE;
  return TRUE;
}

static gboolean
apply_file (GKeyFile *file, Plan *plan, GError **error)
{
  g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);
  guint n_defaults = plan->keys->len;

  plan->declared = TRUE;
  for (gsize i = 0; groups[i] != NULL; i++)
    if (!apply_group (file, groups[i], plan, error))
      return FALSE;
  /* The default key is for a file that names none. */
  if (plan->keys->len > n_defaults)
    g_ptr_array_remove_range (plan->keys, 0, n_defaults);
  return plan_check (plan, error);
}

Plan *
plan_load (const char *path, GError **error)
{
  g_autoptr (Plan) plan = plan_new ();
  g_autoptr (GKeyFile) file = key_file_load (path, error);

  if (file == NULL || !apply_file (file, plan, error))
    {
      g_prefix_error (error, "%s: ", path);
      return NULL;
    }
  return g_steal_pointer (&plan);
}

gboolean
plan_read (Plan *plan, const char *text, gsize len, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GKeyFile) file = key_file_parse (text, len, &local_error);

  if (file != NULL)
    return apply_file (file, plan, error);
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, local_error->message);
  return FALSE;
}
