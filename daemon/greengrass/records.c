/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "records.h"

#include "common/atomic-file.h"
#include "dbus/error.h"

#include <json-c/json.h>
#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC (json_object, json_object_put)

#define FILE_NAME "configs.json"
#define VERSION   1

void
record_free (Record *record)
{
  if (record == NULL)
    return;
  g_free (record->path);
  greengrass_params_free (record->params);
  g_free (record);
}

Record *
records_find (GPtrArray *records, const char *path)
{
  for (guint i = 0; i < records->len; i++)
    {
      Record *record = g_ptr_array_index (records, i);

      if (g_str_equal (record->path, path))
        return record;
    }
  return NULL;
}

gboolean
records_remove (GPtrArray *records, const char *path)
{
  Record *record = records_find (records, path);

  return record != NULL && g_ptr_array_remove (records, record);
}

static int
compare_paths (gconstpointer a, gconstpointer b)
{
  const Record *const *left = a;
  const Record *const *right = b;

  return g_strcmp0 ((*left)->path, (*right)->path);
}

gboolean
records_put (GPtrArray *records, Record *record, GError **error)
{
  g_autoptr (Record) owned = record;

  records_remove (records, record->path);
  if (records->len >= RECORDS_MAX)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "there are %d configurations already: `ggtpmctl config remove` takes some away",
                   RECORDS_MAX);
      return FALSE;
    }
  g_ptr_array_add (records, g_steal_pointer (&owned));
  g_ptr_array_sort (records, compare_paths);
  return TRUE;
}

/* ---- the file ---- */

static const char *
get_string (json_object *object, const char *name)
{
  json_object *value = NULL;

  if (!json_object_object_get_ex (object, name, &value) ||
      !json_object_is_type (value, json_type_string))
    return NULL;
  return json_object_get_string (value);
}

static gboolean
read_options (json_object *options, GreengrassParams *params)
{
  json_object_object_foreach (options, name, value)
    {
      char **member = greengrass_params_find (params, name);

      if (member == NULL || !json_object_is_type (value, json_type_string))
        return FALSE;
      g_free (*member);
      *member = g_strdup (json_object_get_string (value));
    }
  return TRUE;
}

/* NULL: it is damaged. */
static Record *
read_record (json_object *object)
{
  g_autoptr (Record) record = g_new0 (Record, 1);
  const char *flavour = get_string (object, "flavour");
  json_object *options = NULL;

  record->path = g_strdup (get_string (object, "path"));
  record->params = g_new0 (GreengrassParams, 1);
  if (record->path == NULL || flavour == NULL ||
      !greengrass_flavour_from_string (flavour, &record->flavour, NULL) ||
      !json_object_object_get_ex (object, "options", &options) ||
      !json_object_is_type (options, json_type_object) || !read_options (options, record->params))
    return NULL;
  return g_steal_pointer (&record);
}

static gboolean
read_records (json_object *root, GPtrArray *records)
{
  json_object *version = NULL;
  json_object *configs = NULL;

  if (!json_object_object_get_ex (root, "version", &version) ||
      json_object_get_int (version) != VERSION ||
      !json_object_object_get_ex (root, "configs", &configs) ||
      !json_object_is_type (configs, json_type_array))
    return FALSE;
  for (size_t i = 0; i < json_object_array_length (configs); i++)
    {
      Record *record = read_record (json_object_array_get_idx (configs, i));

      if (record == NULL || !records_put (records, record, NULL))
        return FALSE;
    }
  return TRUE;
}

GPtrArray *
records_load (const char *state_dir, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, FILE_NAME, NULL);
  g_autoptr (GPtrArray) records = g_ptr_array_new_with_free_func ((GDestroyNotify)record_free);
  g_autofree char *text = NULL;
  g_autoptr (json_object) root = NULL;
  g_autoptr (GError) local_error = NULL;

  if (!g_file_get_contents (path, &text, NULL, &local_error))
    {
      if (g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return g_steal_pointer (&records);
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "what configurations there are: %s",
                   local_error->message);
      return NULL;
    }
  root = json_tokener_parse (text);
  if (json_object_is_type (root, json_type_object) && read_records (root, records))
    return g_steal_pointer (&records);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE,
               "%s is damaged; remove it and write the configurations anew", path);
  return NULL;
}

static json_object *
make_record (const Record *record)
{
  const char *const *names = greengrass_params_get_names ();
  json_object *object = json_object_new_object ();
  json_object *options = json_object_new_object ();

  json_object_object_add (object, "path", json_object_new_string (record->path));
  json_object_object_add (object, "flavour",
                          json_object_new_string (greengrass_flavour_to_string (record->flavour)));
  json_object_object_add (object, "options", options);
  for (guint i = 0; names[i] != NULL; i++)
    {
      const char *value = *greengrass_params_find (record->params, names[i]);

      if (value != NULL)
        json_object_object_add (options, names[i], json_object_new_string (value));
    }
  return object;
}

gboolean
records_save (GPtrArray *records, const char *state_dir, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, FILE_NAME, NULL);
  g_autoptr (json_object) root = json_object_new_object ();
  json_object *configs = json_object_new_array ();
  g_autoptr (GError) local_error = NULL;
  g_autofree char *text = NULL;

  json_object_object_add (root, "version", json_object_new_int (VERSION));
  json_object_object_add (root, "configs", configs);
  for (guint i = 0; i < records->len; i++)
    json_object_array_add (configs, make_record (g_ptr_array_index (records, i)));
  text = g_strconcat (json_object_to_json_string_ext (root, JSON_C_TO_STRING_PRETTY |
                                                                JSON_C_TO_STRING_SPACED |
                                                                JSON_C_TO_STRING_NOSLASHESCAPE),
                      "\n", NULL);
  if (atomic_file_write (path, text, strlen (text), 0600, (gid_t)-1, &local_error))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "what configurations there are: %s",
               local_error->message);
  return FALSE;
}
