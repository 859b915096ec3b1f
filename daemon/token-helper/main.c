/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "common/secret.h"
#include "common/write.h"
#include "dbus/error.h"
#include "token-helper/jobs.h"
#include "token/protocol.h"
#include "token/unsynced.h"

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

/* @text has a NUL behind its @len bytes. */
static json_object *
handle_text (Pkcs11 *pkcs11, const char *text, gsize len, Secret *const pins[PROTOCOL_N_PINS])
{
  json_tokener *tokener = json_tokener_new ();
  json_object *request;
  json_object *answer;

  json_tokener_set_flags (tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  /* With the NUL: only then does the tokener take a number or literal for complete. */
  request = json_tokener_parse_ex (tokener, text, (int)len + 1);
  if (request == NULL)
    {
      g_autoptr (GError) error =
          g_error_new (GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "the request is not JSON: %s",
                       json_tokener_error_desc (json_tokener_get_error (tokener)));

      answer = jobs_answer_error (error);
    }
  else
    answer = jobs_run (pkcs11, request, pins);
  json_tokener_free (tokener);
  json_object_put (request);
  return answer;
}

/* One request of the second socket; FALSE when that has ended. */
static gboolean
handle_message (Pkcs11 *pkcs11, int line)
{
  Secret *const no_pins[PROTOCOL_N_PINS] = { NULL };
  char message[PROTOCOL_MAX_MESSAGE + 1];
  json_object *answer;
  const char *text;
  gsize len = 0;
  ssize_t n = recv (line, message, PROTOCOL_MAX_MESSAGE, 0);

  if (n <= 0)
    return n < 0 && errno == EINTR;
  message[n] = '\0';
  answer = handle_text (pkcs11, message, (gsize)n, no_pins);
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
handle_input (Pkcs11 *pkcs11)
{
  g_auto (ProtocolRequest) request = { NULL };
  g_autoptr (GError) error = NULL;
  json_object *answer;
  gboolean sent;

  if (!protocol_read_request (STDIN_FILENO, &request, &error))
    {
      if (error != NULL)
        g_printerr ("%s\n", error->message);
      return error != NULL ? INPUT_BROKEN : INPUT_ENDED;
    }
  answer = handle_text (pkcs11, request.text, request.len, request.pins);
  sent = send_answer (answer);
  json_object_put (answer);
  return sent ? INPUT_GOES_ON : INPUT_BROKEN;
}

/* The store is closed after a while without any request. */
static int
serve (Pkcs11 *pkcs11, int idle_close_s, int line)
{
  struct pollfd fds[] = { { STDIN_FILENO, POLLIN, 0 }, { line, POLLIN, 0 } };
  Input state = INPUT_GOES_ON;

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
        state = handle_input (pkcs11);
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

  if (argc < 3 || argc > 5 ||
      !g_ascii_string_to_unsigned (argv[2], 10, 1, 3600, &idle_close_s, NULL) ||
      (argc > 3 && !g_ascii_string_to_unsigned (argv[3], 10, 3, 255, &line, NULL)) ||
      (argc > 4 && strcmp (argv[4], PROTOCOL_COPY) != 0))
    {
      g_printerr ("usage: %s PKCS11-MODULE SECONDS [DESCRIPTOR [" PROTOCOL_COPY "]]\n"
                  "This program is started by ggtpmd.\n",
                  argv[0]);
      return 2;
    }
  if (!secret_protect_process ())
    {
      g_printerr ("cannot protect the process: %s\n", g_strerror (errno));
      return 1;
    }
  if (argc > 4 && !unsynced_set_all ())
    {
      g_printerr ("cannot set SQLite up\n");
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
  status = serve (pkcs11, (int)idle_close_s, argc > 3 ? (int)line : -1);
  pkcs11_free (pkcs11);
  /* Without exit handlers: the module's own would run after its C_Finalize. */
  _exit (status);
}
