/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "output.h"

#include "dbus/error.h"

#include <json-c/json.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define COLUMN_GAP 2

struct _OutputTable
{
  guint n_columns;
  gboolean has_header;
  GPtrArray *cells; /* of char *, row by row, the header first */
};

void
output_text (const char *format, ...)
{
  va_list arguments;
  g_autofree char *text = NULL;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  fputs (text, stdout);
}

void
output_bytes (const void *data, gsize len)
{
  if (fwrite (data, 1, len, stdout) != len)
    g_debug ("standard output does not take all: output_finish() tells");
}

gboolean
output_finish (GError **error)
{
  if (fflush (stdout) == 0 && ferror (stdout) == 0)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "standard output could not be written: %s",
               g_strerror (errno));
  return FALSE;
}

static gboolean
shows_colours (void)
{
  const char *no_color = g_getenv ("NO_COLOR");

  if (no_color != NULL && no_color[0] != '\0')
    return FALSE;
  return isatty (STDOUT_FILENO) == 1 && g_strcmp0 (g_getenv ("TERM"), "dumb") != 0;
}

char *
output_coloured (OutputColour colour, const char *text)
{
  static const char *const codes[] = {
    [OUTPUT_PLAIN] = NULL,   [OUTPUT_BOLD] = "1", [OUTPUT_GOOD] = "32",
    [OUTPUT_WARNING] = "33", [OUTPUT_BAD] = "31",
  };

  if (codes[colour] == NULL || !shows_colours ())
    return g_strdup (text);
  return g_strdup_printf ("\033[%sm%s\033[0m", codes[colour], text);
}

char *
output_clean (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text != NULL ? text : "", -1);
  GString *clean = g_string_new (NULL);

  for (const char *at = valid; *at != '\0'; at = g_utf8_next_char (at))
    {
      gunichar c = g_utf8_get_char (at);

      g_string_append_unichar (clean, g_unichar_isprint (c) ? c : 0xfffd);
    }
  return g_string_free (clean, FALSE);
}

gsize
output_width (const char *text)
{
  gsize width = 0;

  for (const char *at = text; *at != '\0'; at = g_utf8_next_char (at))
    {
      gunichar c = g_utf8_get_char (at);

      if (!g_unichar_iszerowidth (c))
        width += g_unichar_iswide (c) ? 2 : 1;
    }
  return width;
}

char *
output_time (guint64 seconds)
{
  g_autoptr (GDateTime) time = NULL;

  if (seconds == 0)
    return g_strdup ("never");
  if (seconds <= G_MAXINT64)
    time = g_date_time_new_from_unix_local ((gint64)seconds);
  if (time == NULL)
    return g_strdup_printf ("%" G_GUINT64_FORMAT, seconds);
  return g_date_time_format (time, "%Y-%m-%d %H:%M:%S");
}

/* JSON */

static json_object *json_from_variant (GVariant *value);

static json_object *
json_from_dictionary (GVariant *value)
{
  json_object *object = json_object_new_object ();

  for (gsize i = 0; i < g_variant_n_children (value); i++)
    {
      g_autoptr (GVariant) entry = g_variant_get_child_value (value, i);
      g_autoptr (GVariant) key = g_variant_get_child_value (entry, 0);
      g_autoptr (GVariant) member = g_variant_get_child_value (entry, 1);

      json_object_object_add (object, g_variant_get_string (key, NULL), json_from_variant (member));
    }
  return object;
}

static json_object *
json_from_container (GVariant *value)
{
  json_object *array = NULL;

  if (g_variant_is_of_type (value, G_VARIANT_TYPE ("a{s*}")))
    return json_from_dictionary (value);

  array = json_object_new_array ();
  for (gsize i = 0; i < g_variant_n_children (value); i++)
    {
      g_autoptr (GVariant) member = g_variant_get_child_value (value, i);

      json_object_array_add (array, json_from_variant (member));
    }
  return array;
}

static json_object *
json_from_bytes (GVariant *value)
{
  gsize len = 0;
  const guint8 *bytes = g_variant_get_fixed_array (value, &len, 1);
  g_autofree char *text = g_base64_encode (bytes, len);

  return json_object_new_string (text);
}

static json_object *
json_from_variant (GVariant *value)
{
  g_autoptr (GVariant) inner = NULL;

  switch (g_variant_classify (value))
    {
    case G_VARIANT_CLASS_BOOLEAN:
      return json_object_new_boolean (g_variant_get_boolean (value));
    case G_VARIANT_CLASS_BYTE:
      return json_object_new_int (g_variant_get_byte (value));
    case G_VARIANT_CLASS_INT16:
      return json_object_new_int (g_variant_get_int16 (value));
    case G_VARIANT_CLASS_UINT16:
      return json_object_new_int (g_variant_get_uint16 (value));
    case G_VARIANT_CLASS_INT32:
      return json_object_new_int (g_variant_get_int32 (value));
    case G_VARIANT_CLASS_UINT32:
      return json_object_new_int64 (g_variant_get_uint32 (value));
    case G_VARIANT_CLASS_INT64:
      return json_object_new_int64 (g_variant_get_int64 (value));
    case G_VARIANT_CLASS_UINT64:
      return json_object_new_uint64 (g_variant_get_uint64 (value));
    case G_VARIANT_CLASS_DOUBLE:
      return json_object_new_double (g_variant_get_double (value));
    case G_VARIANT_CLASS_STRING:
    case G_VARIANT_CLASS_OBJECT_PATH:
    case G_VARIANT_CLASS_SIGNATURE:
      return json_object_new_string (g_variant_get_string (value, NULL));
    case G_VARIANT_CLASS_VARIANT:
      inner = g_variant_get_variant (value);
      return json_from_variant (inner);
    case G_VARIANT_CLASS_ARRAY:
    case G_VARIANT_CLASS_TUPLE:
    case G_VARIANT_CLASS_DICT_ENTRY:
      if (g_variant_is_of_type (value, G_VARIANT_TYPE_BYTESTRING))
        return json_from_bytes (value);
      return json_from_container (value);
    case G_VARIANT_CLASS_HANDLE:
    case G_VARIANT_CLASS_MAYBE:
    default:
      return NULL;
    }
}

void
output_add (GVariantBuilder *object, const char *name, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  g_variant_builder_add (object, "{sv}", name, g_variant_new_va (format, NULL, &arguments));
  va_end (arguments);
}

static void
print_json (GVariant *value, int flags)
{
  g_autoptr (GVariant) sunk = g_variant_ref_sink (value);
  json_object *members = json_from_variant (sunk);
  json_object *document = json_object_new_object ();

  json_object_object_add (document, "version", json_object_new_int (OUTPUT_JSON_VERSION));
  json_object_object_foreach (members, name, member)
    json_object_object_add (document, name, json_object_get (member));

  fputs (json_object_to_json_string_ext (document, flags | JSON_C_TO_STRING_NOSLASHESCAPE), stdout);
  fputc ('\n', stdout);
  json_object_put (members);
  json_object_put (document);
}

void
output_json (GVariant *value)
{
  print_json (value, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
}

void
output_json_line (GVariant *value)
{
  print_json (value, JSON_C_TO_STRING_PLAIN);
}

void
output_json_error (const GError *error)
{
  GVariantBuilder inner = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  GVariantBuilder outer = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *message = g_utf8_make_valid (error->message, -1);

  output_add (&inner, "name", "s", ggtpm_error_nick ((GgtpmError)error->code));
  output_add (&inner, "message", "s", message);
  g_variant_builder_add (&outer, "{sv}", "error", g_variant_builder_end (&inner));
  output_json (g_variant_builder_end (&outer));
}

/* Tables */

OutputTable *
output_table_new (guint n_columns, const char *const *header)
{
  OutputTable *table = g_new0 (OutputTable, 1);

  table->n_columns = n_columns;
  table->has_header = header != NULL;
  table->cells = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; header != NULL && i < n_columns; i++)
    g_ptr_array_add (table->cells, g_strdup (header[i]));
  return table;
}

void
output_table_free (OutputTable *table)
{
  if (table == NULL)
    return;
  g_ptr_array_unref (table->cells);
  g_free (table);
}

void
output_table_add (OutputTable *table, ...)
{
  va_list cells;

  va_start (cells, table);
  for (guint i = 0; i < table->n_columns; i++)
    g_ptr_array_add (table->cells, output_clean (va_arg (cells, const char *)));
  va_end (cells);
}

static gsize
get_column_width (const OutputTable *table, guint column)
{
  gsize width = 0;

  for (guint i = column; i < table->cells->len; i += table->n_columns)
    width = MAX (width, output_width (g_ptr_array_index (table->cells, i)));
  return width;
}

char *
output_table_to_string (OutputTable *table)
{
  GString *text = g_string_new (NULL);
  g_autofree gsize *widths = g_new0 (gsize, table->n_columns);

  if (table->has_header && table->cells->len == table->n_columns)
    return g_string_free (text, FALSE);

  for (guint i = 0; i < table->n_columns; i++)
    widths[i] = get_column_width (table, i);
  for (guint i = 0; i < table->cells->len; i++)
    {
      guint column = i % table->n_columns;
      const char *cell = g_ptr_array_index (table->cells, i);

      g_string_append (text, cell);
      if (column + 1 < table->n_columns)
        {
          for (gsize n = widths[column] + COLUMN_GAP - output_width (cell); n > 0; n--)
            g_string_append_c (text, ' ');
          continue;
        }
      while (g_str_has_suffix (text->str, " "))
        g_string_truncate (text, text->len - 1);
      g_string_append_c (text, '\n');
    }
  return g_string_free (text, FALSE);
}
