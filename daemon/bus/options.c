/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "options.h"

#include "dbus/error.h"

#include <string.h>

static const Option *
find_option (const Option *table, const char *name)
{
  for (const Option *option = table; option->name != NULL; option++)
    if (g_str_equal (option->name, name))
      return option;
  return NULL;
}

static void
set_unknown (GError **error, const char *name, const Option *table)
{
  g_autoptr (GString) known = g_string_new (NULL);

  for (const Option *option = table; option->name != NULL; option++)
    g_string_append_printf (known, "%s%s", known->len == 0 ? "" : ", ", option->name);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "unknown option '%s' (%s%s)", name,
               known->len == 0 ? "this method knows none" : "known: ", known->str);
}

static gboolean
check_array (GVariant *value)
{
  g_autofree const char **strings = g_variant_get_strv (value, NULL);
  gsize n = 0;

  while (strings[n] != NULL && strlen (strings[n]) <= OPTIONS_STRING_MAX)
    n++;
  return strings[n] == NULL && n <= OPTIONS_ARRAY_MAX;
}

static gboolean
check_value (const Option *option, GVariant *value, GUnixFDList *fds, GError **error)
{
  gsize len;

  if (!g_variant_is_of_type (value, G_VARIANT_TYPE (option->type)))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "option '%s' is of type '%s', not '%s'", option->name, option->type,
                 g_variant_get_type_string (value));
  else if (g_str_equal (option->type, "s") &&
           (g_variant_get_string (value, &len), len > OPTIONS_STRING_MAX))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "option '%s' is longer than %d bytes", option->name, OPTIONS_STRING_MAX);
  else if (g_str_equal (option->type, "as") && !check_array (value))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "option '%s' has more than %d strings, or one that is longer than %d bytes",
                 option->name, OPTIONS_ARRAY_MAX, OPTIONS_STRING_MAX);
  else if (g_str_equal (option->type, "h") &&
           (fds == NULL || g_variant_get_handle (value) < 0 ||
            g_variant_get_handle (value) >= g_unix_fd_list_get_length (fds)))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "option '%s' names a descriptor that did not come with the message", option->name);
  else
    return TRUE;
  return FALSE;
}

static gboolean
check_all (GVariant *options, GUnixFDList *fds, const Option *table, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  GVariantIter iter;
  const char *name;
  GVariant *value;

  g_variant_iter_init (&iter, options);
  while (g_variant_iter_loop (&iter, "{&sv}", &name, &value))
    {
      const Option *option = find_option (table, name);

      if (option == NULL)
        set_unknown (error, name, table);
      else if (!g_hash_table_add (seen, (gpointer)option))
        g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "option '%s' is given twice",
                     name);
      else if (check_value (option, value, fds, error))
        continue;
      g_variant_unref (value);
      return FALSE;
    }
  return TRUE;
}

static void
store_value (const Option *option, GVariant *value, GUnixFDList *fds)
{
  if (g_str_equal (option->type, "s"))
    {
      g_free (*(char **)option->location);
      *(char **)option->location = g_variant_dup_string (value, NULL);
    }
  else if (g_str_equal (option->type, "b"))
    *(gboolean *)option->location = g_variant_get_boolean (value);
  else if (g_str_equal (option->type, "u"))
    *(guint *)option->location = g_variant_get_uint32 (value);
  else if (g_str_equal (option->type, "as"))
    {
      g_strfreev (*(char ***)option->location);
      *(char ***)option->location = g_variant_dup_strv (value, NULL);
    }
  else if (g_str_equal (option->type, "ay"))
    {
      g_clear_pointer ((GBytes **)option->location, g_bytes_unref);
      *(GBytes **)option->location = g_variant_get_data_as_bytes (value);
    }
  else
    *(int *)option->location = g_unix_fd_list_peek_fds (fds, NULL)[g_variant_get_handle (value)];
}

gboolean
options_parse (GVariant *options, GUnixFDList *fds, const Option *table, GError **error)
{
  GVariantIter iter;
  const char *name;
  GVariant *value;

  if (!check_all (options, fds, table, error))
    return FALSE;
  g_variant_iter_init (&iter, options);
  while (g_variant_iter_loop (&iter, "{&sv}", &name, &value))
    {
      const Option *option = find_option (table, name);

      if (option != NULL)
        store_value (option, value, fds);
    }
  return TRUE;
}

gboolean
options_check_empty (GVariant *options, GError **error)
{
  static const Option none[] = { { NULL, NULL, NULL } };

  return options_parse (options, NULL, none, error);
}

gboolean
options_check_choice (const char *name,
                      const char *value,
                      const char *const *choices,
                      GError **error)
{
  g_autofree char *list = NULL;

  if (value == NULL || g_strv_contains (choices, value))
    return TRUE;
  list = g_strjoinv (", ", (char **)choices);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "'%s' is no %s (%s)", value, name,
               list);
  return FALSE;
}
