/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "dbus/error.h"
#include "token-helper/jobs.h"
#include "token/protocol.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a killed parent or a curious user must not leave or find: PINs are in this process. */
static gboolean
protect_process (void)
{
  const struct rlimit no_core = { 0, 0 };

  return prctl (PR_SET_DUMPABLE, 0) == 0 && prctl (PR_SET_PDEATHSIG, SIGKILL) == 0 &&
         prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && setrlimit (RLIMIT_CORE, &no_core) == 0;
}

static gboolean
write_all (const char *data, gsize len)
{
  while (len > 0)
    {
      ssize_t n = write (STDOUT_FILENO, data, len);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return FALSE;
      data += n;
      len -= (gsize)n;
    }
  return TRUE;
}

static gboolean
send_answer (json_object *answer)
{
  gsize len = 0;
  const char *text = json_object_to_json_string_length (answer, JSON_C_TO_STRING_PLAIN, &len);

  return write_all (text, len) && write_all ("\n", 1);
}

static json_object *
handle_line (Pkcs11 *pkcs11, const char *line, gsize len)
{
  json_tokener *tokener = json_tokener_new ();
  json_object *request;
  json_object *answer;

  json_tokener_set_flags (tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  /* With the line's end in it: only then does the tokener take a number or literal for complete. */
  request = json_tokener_parse_ex (tokener, line, (int)len + 1);
  if (request == NULL)
    {
      g_autoptr (GError) error =
          g_error_new (GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "the request is not JSON: %s",
                       json_tokener_error_desc (json_tokener_get_error (tokener)));

      answer = jobs_answer_error (error);
    }
  else
    answer = jobs_run (pkcs11, request);
  json_tokener_free (tokener);
  json_object_put (request);
  return answer;
}

/* Answers the complete lines of @input and removes them; FALSE when nobody reads the answers. */
static gboolean
handle_lines (Pkcs11 *pkcs11, char *input, gsize *len)
{
  char *end;

  while ((end = memchr (input, '\n', *len)) != NULL)
    {
      gsize n = (gsize)(end - input);
      json_object *answer;
      gboolean sent;

      *end = '\0';
      answer = handle_line (pkcs11, input, n);
      sent = send_answer (answer);
      json_object_put (answer);
      secret_wipe (input, n);
      memmove (input, end + 1, *len - n - 1);
      *len -= n + 1;
      if (!sent)
        return FALSE;
    }
  return TRUE;
}

/* Waits for input; the store is closed after a while without any. */
static void
wait_for_input (Pkcs11 *pkcs11, int idle_close_s)
{
  struct pollfd input = { STDIN_FILENO, POLLIN, 0 };

  if (poll (&input, 1, idle_close_s * 1000) == 0)
    pkcs11_close (pkcs11);
}

static int
serve (Pkcs11 *pkcs11, int idle_close_s)
{
  g_autofree char *input = g_malloc (PROTOCOL_MAX_LINE);
  gsize len = 0;

  while (len < PROTOCOL_MAX_LINE)
    {
      ssize_t n;

      wait_for_input (pkcs11, idle_close_s);
      n = read (STDIN_FILENO, input + len, PROTOCOL_MAX_LINE - len);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return n == 0 && len == 0 ? 0 : 1;
      len += (gsize)n;
      if (!handle_lines (pkcs11, input, &len))
        return 1;
    }
  g_printerr ("a request is longer than %d bytes\n", PROTOCOL_MAX_LINE);
  return 1;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  guint64 idle_close_s = 0;
  Pkcs11 *pkcs11;
  int status;

  if (argc != 3 || !g_ascii_string_to_unsigned (argv[2], 10, 1, 3600, &idle_close_s, NULL))
    {
      g_printerr ("usage: %s PKCS11-MODULE SECONDS\nThis program is started by ggtpmd.\n", argv[0]);
      return 2;
    }
  if (!protect_process ())
    {
      g_printerr ("cannot protect the process: %s\n", g_strerror (errno));
      return 1;
    }
  pkcs11 = pkcs11_new (argv[1], &error);
  if (pkcs11 == NULL)
    {
      json_object *answer = jobs_answer_error (error);

      /* The answer to the first request, which is on its way. */
      send_answer (answer);
      json_object_put (answer);
      return 1;
    }
  status = serve (pkcs11, (int)idle_close_s);
  pkcs11_free (pkcs11);
  /* Without exit handlers: the module's own would run after its C_Finalize. */
  _exit (status);
}
