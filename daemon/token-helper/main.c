/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "common/secret.h"
#include "common/write.h"
#include "dbus/error.h"
#include "token-helper/jobs.h"
#include "token/protocol.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static gboolean
send_answer (json_object *answer)
{
  gsize len = 0;
  char *text = (char *)json_object_to_json_string_length (answer, JSON_C_TO_STRING_PLAIN, &len);
  gboolean sent;

  /* One write for all: the NUL behind the text is made its newline. */
  text[len] = '\n';
  sent = write_all (STDOUT_FILENO, text, len + 1);
  text[len] = '\0';
  return sent;
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

/* One request of the second socket; FALSE when that has ended. */
static gboolean
handle_message (Pkcs11 *pkcs11, int line)
{
  char message[PROTOCOL_MAX_MESSAGE + 1];
  json_object *answer;
  const char *text;
  gsize len = 0;
  ssize_t n = recv (line, message, PROTOCOL_MAX_MESSAGE, 0);

  if (n <= 0)
    return n < 0 && errno == EINTR;
  message[n] = '\0';
  answer = handle_line (pkcs11, message, (gsize)n);
  text = json_object_to_json_string_length (answer, JSON_C_TO_STRING_PLAIN, &len);
  n = send (line, text, len, MSG_NOSIGNAL);
  json_object_put (answer);
  return n >= 0;
}

typedef enum
{
  INPUT_GOES_ON,
  INPUT_ENDED,
  INPUT_BROKEN,
} Input;

static Input
handle_input (Pkcs11 *pkcs11, char *input, gsize *len)
{
  ssize_t n = read (STDIN_FILENO, input + *len, PROTOCOL_MAX_LINE - *len);

  if (n < 0 && errno == EINTR)
    return INPUT_GOES_ON;
  if (n <= 0)
    return n == 0 && *len == 0 ? INPUT_ENDED : INPUT_BROKEN;
  *len += (gsize)n;
  if (!handle_lines (pkcs11, input, len))
    return INPUT_BROKEN;
  if (*len < PROTOCOL_MAX_LINE)
    return INPUT_GOES_ON;
  g_printerr ("a request is longer than %d bytes\n", PROTOCOL_MAX_LINE);
  return INPUT_BROKEN;
}

/* The store is closed after a while without any request. */
static int
serve (Pkcs11 *pkcs11, int idle_close_s, int line)
{
  g_autofree char *input = g_malloc (PROTOCOL_MAX_LINE);
  struct pollfd fds[] = { { STDIN_FILENO, POLLIN, 0 }, { line, POLLIN, 0 } };
  Input state = INPUT_GOES_ON;
  gsize len = 0;

  while (state == INPUT_GOES_ON)
    {
      int n = poll (fds, G_N_ELEMENTS (fds), idle_close_s * 1000);

      if (n == 0)
        pkcs11_close (pkcs11);
      if (n <= 0)
        continue;
      if (fds[1].revents != 0 && !handle_message (pkcs11, line))
        fds[1].fd = -1;
      if (fds[0].revents != 0)
        state = handle_input (pkcs11, input, &len);
    }
  return state == INPUT_ENDED ? 0 : 1;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  guint64 idle_close_s = 0;
  guint64 line = 0;
  Pkcs11 *pkcs11;
  int status;

  if (argc < 3 || argc > 4 ||
      !g_ascii_string_to_unsigned (argv[2], 10, 1, 3600, &idle_close_s, NULL) ||
      (argc == 4 && !g_ascii_string_to_unsigned (argv[3], 10, 3, 255, &line, NULL)))
    {
      g_printerr (
          "usage: %s PKCS11-MODULE SECONDS [DESCRIPTOR]\nThis program is started by ggtpmd.\n",
          argv[0]);
      return 2;
    }
  if (!secret_protect_process ())
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
  status = serve (pkcs11, (int)idle_close_s, argc == 4 ? (int)line : -1);
  pkcs11_free (pkcs11);
  /* Without exit handlers: the module's own would run after its C_Finalize. */
  _exit (status);
}
