/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* The command line of ggtpmctl, as far as the daemon has no part in it. */

#include "client/command-line.h"
#include "client/suggest.h"
#include "dbus/error.h"

typedef struct
{
  const char *line;
  const char *noun; /* NULL: refused */
  const char *verb;
  const char *what; /* --token, or part of the error */
} Row;

static const Row rows[] = {
  { "ggtpmctl", "status", NULL, NULL },
  { "ggtpmctl --json", "status", NULL, NULL },
  { "ggtpmctl status", "status", NULL, NULL },
  { "ggtpmctl --json key list --token a", "key", "list", "a" },
  { "ggtpmctl key list --token=a --json", "key", "list", "a" },
  { "ggtpmctl --timeout 3 key uri --token a k", "key", "uri", "a" },
  { "ggtpmctl key uri -- -k", "key", "uri", NULL },
  { "ggtpmctl key csr k --token \303\244", "key", "csr", "\303\244" },
  { "ggtpmctl config write v1 --token t", "config", "write", "t" },
  { "ggtpmctl key sign k --help", "key", "sign", NULL },
  { "ggtpmctl key sign --help", "key", "sign", NULL },
  { "ggtpmctl frobnicate", NULL, NULL, "unknown command 'frobnicate'" },
  { "ggtpmctl stauts", NULL, NULL, "did you mean 'status'?" },
  { "ggtpmctl key", NULL, NULL,
    "'key' needs a verb: list, show, create, csr, self-sign, rotate, public-key, uri, "
    "install-cert, sign, verify, decrypt, delete" },
  { "ggtpmctl key --json", NULL, NULL, "'key' needs a verb" },
  { "ggtpmctl key sing k", NULL, NULL, "unknown verb 'sing': did you mean 'sign'?" },
  { "ggtpmctl key list --tokne a", NULL, NULL,
    "unknown option '--tokne': did you mean '--token'?" },
  { "ggtpmctl key list --subject a", NULL, NULL, "unknown option '--subject'" },
  { "ggtpmctl --frob key list", NULL, NULL, "unknown option '--frob'" },
  { "ggtpmctl key list -x", NULL, NULL, "unknown option '-x': see" },
  { "ggtpmctl key csr", NULL, NULL, "key csr needs KEY" },
  { "ggtpmctl key csr a b", NULL, NULL, "'b' is one argument too many" },
  { "ggtpmctl status now", NULL, NULL, "'now' is one argument too many" },
  { "ggtpmctl key csr k --subject", NULL, NULL, "--subject" },
  { "ggtpmctl --timeout soon status", NULL, NULL, "--timeout" },
  { "ggtpmctl --timeout -1 status", NULL, NULL, "--timeout" },
  { "ggtpmctl key csr \377", NULL, NULL, "not valid UTF-8" },
  { "ggtpmctl key csr k --subject \377", NULL, NULL, "subject: not valid UTF-8" },
};

static void
check_refused (const Row *row, char **argv)
{
  const Command *command = NULL;
  const char *noun = NULL;
  g_autoptr (Options) options = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_false (command_line_parse (argv, &command, &noun, &options, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_assert_cmpint (ggtpm_error_exit_code (error), ==, 2);
  if (strstr (error->message, row->what) == NULL)
    g_error ("%s: %s", row->line, error->message);
}

static void
test_rows (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_auto (GStrv) argv = g_strsplit (rows[i].line, " ", -1);
      const Command *command = NULL;
      const char *noun = NULL;
      g_autoptr (Options) options = NULL;
      g_autoptr (GError) error = NULL;

      if (rows[i].noun == NULL)
        {
          check_refused (&rows[i], argv);
          continue;
        }
      g_assert_true (command_line_parse (argv, &command, &noun, &options, &error));
      g_assert_no_error (error);
      g_assert_cmpstr (command->noun, ==, rows[i].noun);
      g_assert_cmpstr (command->verb, ==, rows[i].verb);
      g_assert_cmpstr (options_get (options, "token"), ==, rows[i].what);
      g_assert_true (options->json == (strstr (rows[i].line, "--json") != NULL));
      g_assert_true (options->help == (strstr (rows[i].line, "--help") != NULL));
    }
}

static void
test_arguments (void)
{
  const char *argv[] = { "ggtpmctl", "--timeout", "7",  "key",    "install-cert",
                         "k",        "--force",   "--", "a\377b", NULL };
  const Command *command = NULL;
  const char *noun = NULL;
  g_autoptr (Options) options = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (command_line_parse ((char **)argv, &command, &noun, &options, &error));
  g_assert_no_error (error);
  g_assert_true (options->force);
  g_assert_cmpint (options->timeout_s, ==, 7);
  g_assert_cmpuint (g_strv_length (options->arguments), ==, 2);
  g_assert_cmpstr (options->arguments[0], ==, "k");
  /* the name of a file need not be UTF-8 */
  g_assert_cmpstr (options->arguments[1], ==, "a\377b");
}

static void
test_help (void)
{
  const char *argv[] = { "ggtpmctl", "key", "--help", NULL };
  const Command *command = NULL;
  const char *noun = NULL;
  g_autoptr (Options) options = NULL;
  g_autofree char *of_noun = NULL;
  g_autofree char *of_all = command_line_get_help (NULL, NULL);

  g_assert_true (command_line_parse ((char **)argv, &command, &noun, &options, NULL));
  g_assert_null (command);
  g_assert_true (options->help);
  of_noun = command_line_get_help (command, noun);
  g_assert_nonnull (strstr (of_noun, "  key install-cert KEY FILE  "));
  g_assert_null (strstr (of_noun, "token list"));
  g_assert_nonnull (strstr (of_all, "token list"));
  g_assert_nonnull (strstr (of_all, "--no-ask-password"));
}

static void
test_suggest (void)
{
  const char *const words[] = { "list", "create", "csr", "uri", NULL };

  g_assert_cmpstr (suggest_nearest ("lists", words), ==, "list");
  g_assert_cmpstr (suggest_nearest ("crate", words), ==, "create");
  g_assert_cmpstr (suggest_nearest ("url", words), ==, "uri");
  g_assert_null (suggest_nearest ("x", words));
  g_assert_null (suggest_nearest ("", words));
  g_assert_null (suggest_nearest ("something-else", words));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/commands/rows", test_rows);
  g_test_add_func ("/commands/arguments", test_arguments);
  g_test_add_func ("/commands/help", test_help);
  g_test_add_func ("/commands/suggest", test_suggest);
  return g_test_run ();
}
