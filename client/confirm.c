/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "confirm.h"

#include "dbus/error.h"

#include <stdio.h>
#include <string.h>

#define MAX_LINE 256

/* Ctrl-C ends the program, before anything was done. */
static gboolean
ask (FILE *terminal, const char *text, const char *what, const char *word)
{
  char line[MAX_LINE] = "";

  if (text != NULL)
    fputs (text, terminal);
  else
    fprintf (terminal, "%c%s.\n", g_ascii_toupper (what[0]), what + 1);
  fprintf (terminal, "Type '%s' to go on: ", word);
  fflush (terminal);
  if (fgets (line, sizeof line, terminal) == NULL)
    return FALSE;
  line[strcspn (line, "\n")] = '\0';
  return strcmp (line, word) == 0;
}

gboolean
confirm_word (Client *client, const char *text, const char *word, const char *what, GError **error)
{
  FILE *terminal = client->no_ask_password ? NULL : fopen ("/dev/tty", "r+e");
  gboolean is_meant;

  if (terminal == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "%s: --yes says that this is wanted", what);
      return FALSE;
    }
  is_meant = ask (terminal, text, what, word);
  fclose (terminal);
  if (!is_meant)
    g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED, "nothing was done");
  return is_meant;
}
