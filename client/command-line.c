/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "command-line.h"

#include "client/output.h"
#include "client/suggest.h"
#include "dbus/error.h"

#define DEFAULT_NOUN "status"

/* ---- errors ---- */

static gboolean
fail_unknown (const char *what, const char *word, GPtrArray *candidates, GError **error)
{
  const char *near = NULL;
  g_autofree char *clean = output_clean (word);

  g_ptr_array_add (candidates, NULL);
  near = suggest_nearest (word, (const char *const *)candidates->pdata);
  if (near != NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "unknown %s '%s': did you mean '%s'?", what, clean, near);
  else
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "unknown %s '%s': see --help", what,
                 clean);
  return FALSE;
}

/* @message: GOption's, which ends in the option as it was typed */
static gboolean
fail_unknown_option (const char *message, GArray *entries, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *space = strrchr (message, ' ');

  for (guint i = 0; i < entries->len; i++)
    g_ptr_array_add (names,
                     g_strconcat ("--", g_array_index (entries, GOptionEntry, i).long_name, NULL));
  return fail_unknown ("option", space != NULL ? space + 1 : message, names, error);
}

static gboolean
fail_missing_verb (const char *noun, GPtrArray *verbs, GError **error)
{
  g_autofree char *list = NULL;

  g_ptr_array_add (verbs, NULL);
  list = g_strjoinv (", ", (char **)verbs->pdata);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "'%s' needs a verb: %s", noun, list);
  return FALSE;
}

/* ---- parsing ---- */

/*
 * Takes the options out of *argv (owned by the caller; elements are moved).
 * @strict: stop at the first argument that is no option
 */
static gboolean
parse_options (const Command *command,
               Options *options,
               gboolean strict,
               char ***argv,
               GError **error)
{
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GArray) entries = commands_make_entries (command, options);
  g_autoptr (GError) local_error = NULL;

  g_option_context_set_help_enabled (context, FALSE);
  g_option_context_set_strict_posix (context, strict);
  g_option_context_add_main_entries (context, (const GOptionEntry *)(gpointer)entries->data, NULL);
  if (!g_option_context_parse_strv (context, argv, &local_error))
    {
      if (g_error_matches (local_error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION))
        return fail_unknown_option (local_error->message, entries, error);
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, local_error->message);
      return FALSE;
    }
  if (options->timeout_s < 0)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "--timeout %d: not a number of seconds", options->timeout_s);
      return FALSE;
    }
  return TRUE;
}

static gboolean
is_help (const char *word)
{
  return word != NULL && (g_str_equal (word, "--help") || g_str_equal (word, "-h"));
}

/*
 * @words: what is left behind the global options; may be empty
 * @help: they had --help among them
 * Sets *out_command, or *out_noun where only help for the noun can be meant.
 */
static gboolean
parse_command (char **words,
               gboolean help,
               const Command **out_command,
               const char **out_noun,
               GError **error)
{
  const char *noun = words[0] != NULL ? words[0] : DEFAULT_NOUN;
  const char *verb = words[0] != NULL ? words[1] : NULL;
  const Command *command = commands_find (noun, verb);
  g_autoptr (GPtrArray) names = NULL;

  if (command != NULL)
    {
      *out_command = command;
      return TRUE;
    }

  names = commands_list_names (noun);
  if (names->len == 0)
    {
      g_autoptr (GPtrArray) nouns = commands_list_names (NULL);

      return fail_unknown ("command", noun, nouns, error);
    }
  if (is_help (verb) || (help && verb == NULL))
    {
      *out_noun = commands_find_noun (noun);
      return TRUE;
    }
  if (verb == NULL || verb[0] == '-')
    return fail_missing_verb (noun, names, error);
  return fail_unknown ("verb", verb, names, error);
}

static gboolean
check_arguments (const Command *command, char **arguments, GError **error)
{
  guint n_arguments = g_strv_length (arguments);

  if (n_arguments > command->n_max_arguments)
    {
      g_autofree char *clean = output_clean (arguments[command->n_max_arguments]);

      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "'%s' is one argument too many: see --help", clean);
      return FALSE;
    }
  if (n_arguments < command->n_min_arguments)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "arguments are missing: %s%s%s needs %s", command->noun,
                   command->verb != NULL ? " " : "", command->verb != NULL ? command->verb : "",
                   command->arguments);
      return FALSE;
    }
  return TRUE;
}

/* What goes over the bus or into JSON must be UTF-8; names of files need not be. */
static gboolean
check_encoding (const char *what, const char *value, GError **error)
{
  if (value == NULL || g_utf8_validate (value, -1, NULL))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s: not valid UTF-8", what);
  return FALSE;
}

static gboolean
check_encodings (const Command *command, Options *options, GError **error)
{
  g_autoptr (GArray) entries = commands_make_entries (command, options);

  for (guint i = 0; i < entries->len; i++)
    {
      const GOptionEntry *entry = &g_array_index (entries, GOptionEntry, i);

      if (g_strcmp0 (entry->arg_description, "FILE") == 0 || entry->arg != G_OPTION_ARG_FILENAME)
        continue;
      if (!check_encoding (entry->long_name, *(char **)entry->arg_data, error))
        return FALSE;
    }
  return check_encoding ("argument", options->arguments[0], error);
}

static gboolean
parse_rest (const Command *command, char ***words, Options *options, GError **error)
{
  guint skip = 1;

  if ((*words)[1] != NULL)
    skip = command->verb != NULL ? 3 : 2;
  if (!parse_options (command, options, FALSE, words, error))
    return FALSE;
  /* GOption leaves it where an option could be meant by what is behind it. */
  if (g_strcmp0 ((*words)[skip - 1], "--") != 0 && g_strcmp0 ((*words)[skip], "--") == 0)
    skip++;
  options->arguments = g_strdupv (*words + skip);
  if (options->help || options->version)
    return TRUE;
  return check_arguments (command, options->arguments, error) &&
         check_encodings (command, options, error);
}

gboolean
command_line_parse (char **argv,
                    const Command **out_command,
                    const char **out_noun,
                    Options **out_options,
                    GError **error)
{
  g_autoptr (Options) options = g_new0 (Options, 1);
  g_auto (GStrv) words = g_strdupv (argv);
  const Command *command = NULL;
  const char *noun = NULL;
  gboolean general = FALSE;

  if (!parse_options (NULL, options, TRUE, &words, error))
    return FALSE;
  general = options->version || (options->help && words[1] == NULL);
  if (!general && !parse_command (words + 1, options->help, &command, &noun, error))
    return FALSE;
  if (command != NULL && !parse_rest (command, &words, options, error))
    return FALSE;

  options->help = options->help || noun != NULL;
  *out_command = command;
  *out_noun = noun;
  *out_options = g_steal_pointer (&options);
  return TRUE;
}

/* ---- help ---- */

static void
append_commands (GString *text, const char *noun)
{
  g_autoptr (OutputTable) table = output_table_new (2, NULL);
  g_autofree char *rows = NULL;
  gsize n_commands = 0;
  const Command *commands = commands_get_table (&n_commands);

  for (gsize i = 0; i < n_commands; i++)
    {
      const Command *command = &commands[i];
      g_autofree char *name =
          g_strdup_printf ("  %s%s%s %s", command->noun, command->verb != NULL ? " " : "",
                           command->verb != NULL ? command->verb : "", command->arguments);

      if (noun == NULL || g_str_equal (command->noun, noun))
        output_table_add (table, name, command->summary);
    }
  rows = output_table_to_string (table);
  g_string_append (text, rows);
}

static void
append_options (GString *text, const Command *command)
{
  g_autoptr (Options) options = g_new0 (Options, 1);
  g_autoptr (GArray) entries = commands_make_entries (command, options);
  g_autoptr (OutputTable) table = output_table_new (2, NULL);
  g_autofree char *rows = NULL;

  for (guint i = 0; i < entries->len; i++)
    {
      const GOptionEntry *entry = &g_array_index (entries, GOptionEntry, i);
      g_autofree char *name =
          g_strdup_printf ("  %s--%s%s%s", entry->short_name == 'h' ? "-h, " : "", entry->long_name,
                           entry->arg_description != NULL ? " " : "",
                           entry->arg_description != NULL ? entry->arg_description : "");

      output_table_add (table, name, entry->description);
    }
  rows = output_table_to_string (table);
  g_string_append_printf (text, "\nOptions:\n%s", rows);
}

char *
command_line_get_help (const Command *command, const char *noun)
{
  GString *text = g_string_new ("Usage: ggtpmctl [OPTION...] ");

  if (command != NULL)
    g_string_append_printf (text, "%s%s%s %s", command->noun, command->verb != NULL ? " " : "",
                            command->verb != NULL ? command->verb : "", command->arguments);
  else
    g_string_append_printf (text, "%s%s [ARGUMENT...]", noun != NULL ? noun : "[COMMAND]",
                            noun != NULL ? " VERB" : "");
  while (g_str_has_suffix (text->str, " "))
    g_string_truncate (text, text->len - 1);

  if (command != NULL)
    {
      g_string_append_printf (text, "\n\n%s.\n", command->summary);
      if (command->details != NULL)
        g_string_append_printf (text, "%s\n", command->details);
    }
  else
    {
      g_string_append (text, "\n\nCommands:\n");
      append_commands (text, noun);
    }
  append_options (text, command);
  if (command == NULL)
    g_string_append (
        text,
        "\nOptions of one command: ggtpmctl COMMAND --help. KEY is a key's label or id, or "
        "TOKEN/LABEL.\nExit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 not authorised, 5 busy "
        "or locked out,\n6 TPM or daemon unavailable. Without a command: status.\n");
  return g_string_free (text, FALSE);
}
