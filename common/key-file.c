/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "key-file.h"

#include "dbus/error.h"

#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static gboolean
check_encoding (const char *text, gsize len, GError **error)
{
  const char *bad = NULL;
  guint line = 1;

  if (len >= strlen (BYTE_ORDER_MARK) &&
      memcmp (text, BYTE_ORDER_MARK, strlen (BYTE_ORDER_MARK)) == 0)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                           "line 1 begins with a byte order mark: save the file without it");
      return FALSE;
    }
  if (g_utf8_validate_len (text, len, &bad))
    return TRUE;
  for (const char *p = text; p < bad; p++)
    line += *p == '\n';
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "line %u is not UTF-8: save the file in that encoding", line);
  return FALSE;
}

/* What @line names, in @group, which it may change; NULL: nothing. */
static char *
get_name (char *line, char **group)
{
  g_strstrip (line);
  if (*line == '\0' || *line == '#')
    return NULL;
  if (*line == '[')
    {
      g_free (*group);
      *group = g_strdup (line);
      return g_strdup (line);
    }
  line[strcspn (line, "=")] = '\0';
  return g_strdup_printf ("%s in %s", g_strchomp (line), *group);
}

static gboolean
check_unique (const char *text, gsize len, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *copy = g_strndup (text, len);
  g_auto (GStrv) lines = g_strsplit (copy, "\n", -1);
  g_autofree char *group = g_strdup ("");

  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_autofree char *name = get_name (lines[i], &group);
      guint first = name != NULL ? GPOINTER_TO_UINT (g_hash_table_lookup (seen, name)) : 0;

      if (first > 0)
        {
          g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                       "line %u: %s is there already in line %u: leave one of them", i + 1, name,
                       first);
          return FALSE;
        }
      if (name != NULL)
        g_hash_table_insert (seen, g_steal_pointer (&name), GUINT_TO_POINTER (i + 1));
    }
  return TRUE;
}

GKeyFile *
key_file_parse (const char *text, gsize len, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();

  if (!check_encoding (text, len, error) ||
      !g_key_file_load_from_data (file, text, len, G_KEY_FILE_NONE, error) ||
      !check_unique (text, len, error))
    return NULL;
  return g_steal_pointer (&file);
}

GKeyFile *
key_file_load (const char *path, GError **error)
{
  g_autoptr (GKeyFile) unchecked = g_key_file_new ();
  g_autofree char *text = NULL;
  g_autoptr (GError) local_error = NULL;
  gsize len = 0;

  /* it says best why a file cannot be read */
  if (!g_key_file_load_from_file (unchecked, path, G_KEY_FILE_NONE, &local_error) &&
      local_error->domain == G_FILE_ERROR)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return NULL;
    }
  if (!g_file_get_contents (path, &text, &len, error))
    return NULL;
  return key_file_parse (text, len, error);
}
