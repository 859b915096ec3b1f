/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "command-line.h"
#include "output.h"

#include "common/secret.h"
#include "dbus/error.h"

#include "build-config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* The command line may be what is wrong, so it is looked at before it is parsed. */
static gboolean
wants_json (char **argv)
{
  for (guint i = 1; argv[i] != NULL && !g_str_equal (argv[i], "--"); i++)
    if (g_str_equal (argv[i], "--json"))
      return TRUE;
  return FALSE;
}

static int
report (const GError *error, gboolean json)
{
  g_autofree char *message = output_clean (error->message);
  gboolean colours = isatty (STDERR_FILENO) == 1 && g_strcmp0 (g_getenv ("NO_COLOR"), "") <= 0;

  if (json)
    {
      output_json_error (error);
      fflush (stdout);
    }
  else
    {
      fflush (stdout);
      fprintf (stderr, "ggtpmctl: %serror:%s %s\n", colours ? "\033[31m" : "",
               colours ? "\033[0m" : "", message);
    }
  return ggtpm_error_exit_code (error);
}

static gboolean
run (const Command *command, const Options *options, int *out_exit_code, GError **error)
{
  g_autoptr (Client) client =
      client_new (options->json, options->no_ask_password, options->timeout_s);

  if (!command->run (client, options, error))
    return FALSE;
  *out_exit_code = client->exit_code;
  return output_finish (error);
}

int
main (int argc, char **argv)
{
  g_autoptr (Options) options = NULL;
  g_autoptr (GError) error = NULL;
  const Command *command = NULL;
  const char *noun = NULL;
  const struct sigaction ignore = { .sa_handler = SIG_IGN };
  int exit_code = 0;

  /* A reader that has enough is no reason to die half way through a change. */
  sigaction (SIGPIPE, &ignore, NULL);
  if (!secret_forbid_dumps ())
    g_printerr ("ggtpmctl: core dumps cannot be switched off: %s\n", g_strerror (errno));
  g_set_prgname ("ggtpmctl");
  ggtpm_error_quark ();

  if (!command_line_parse (argv, &command, &noun, &options, &error))
    return report (error, wants_json (argv));
  if (options->version)
    {
      output_text ("ggtpmctl %s\n", PACKAGE_VERSION);
      return 0;
    }
  if (options->help)
    {
      g_autofree char *help = command_line_get_help (command, noun);

      output_text ("%s", help);
      return 0;
    }
  if (!run (command, options, &exit_code, &error))
    return report (error, options->json);
  return exit_code;
}
