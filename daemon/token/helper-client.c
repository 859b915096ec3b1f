/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "helper-client.h"

#include "dbus/error.h"
#include "token/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define VERIFIER "ggtpm-token-verifier"

/* For the module to close its sessions and end. */
#define EXIT_TIMEOUT_MS 2000

struct _HelperLine
{
  GSubprocess *process;
  int fd;
};

struct _HelperClient
{
  HelperLine *line;
  GSubprocess *process;
  int socket; /* its standard input and output */
  int log;    /* its standard error */
  gboolean usable;
  GByteArray *received; /* of an answer, up to its newline */
  GString *log_line;    /* begun and not ended yet */
  char *library_error;  /* first one that the module wrote during this call */
};

static void
close_fd (int *fd)
{
  if (*fd >= 0)
    close (*fd);
  *fd = -1;
}

/* ---- the second socket ---- */

static void
clear_line (gpointer data)
{
  HelperLine *line = data;

  g_object_unref (line->process);
  close_fd (&line->fd);
}

HelperLine *
helper_client_get_line (HelperClient *client)
{
  return client->line;
}

HelperLine *
helper_line_ref (HelperLine *line)
{
  return g_atomic_rc_box_acquire (line);
}

void
helper_line_unref (HelperLine *line)
{
  g_atomic_rc_box_release_full (line, clear_line);
}

int
helper_line_get_fd (HelperLine *line)
{
  return line->fd;
}

void
helper_line_kill (HelperLine *line)
{
  g_subprocess_force_exit (line->process);
}

/* ---- starting ---- */

static char **
make_environment (const Config *config, const char *store_dir)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autofree char *store = g_strdup_printf ("TPM2_PKCS11_STORE=%s", store_dir);
  g_autofree char *tcti = g_strdup_printf ("TPM2_PKCS11_TCTI=%s:path=%s/internal.sock",
                                           config->tcti_module, config->runtime_dir);

  g_strv_builder_add (builder, store);
  g_strv_builder_add (builder, tcti);
  /* The module's own messages name the failed command and its code; those of the TSS repeat that. */
  g_strv_builder_add (builder, "TPM2_PKCS11_LOG_LEVEL=0");
  g_strv_builder_add (builder, "TSS2_LOG=all+none");
  return g_strv_builder_end (builder);
}

/* Both ends of what the helper is started with. */
typedef struct
{
  int sockets[2];
  int line[2];
  int log[2];
} Channels;

static void
channels_clear (Channels *channels)
{
  for (int i = 0; i < 2; i++)
    {
      close_fd (&channels->sockets[i]);
      close_fd (&channels->line[i]);
      close_fd (&channels->log[i]);
    }
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Channels, channels_clear)

static gboolean
make_channels (Channels *channels, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channels->sockets) == 0 &&
      socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channels->line) == 0 &&
      g_unix_open_pipe (channels->log, FD_CLOEXEC, &local_error) &&
      g_unix_set_fd_nonblocking (channels->log[0], TRUE, &local_error) &&
      g_unix_set_fd_nonblocking (channels->line[0], TRUE, &local_error) &&
      g_unix_set_fd_nonblocking (channels->sockets[0], TRUE, &local_error))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "cannot start the token helper: %s",
               local_error != NULL ? local_error->message : g_strerror (errno));
  return FALSE;
}

static int
steal_fd (int *fd)
{
  int stolen = *fd;

  *fd = -1;
  return stolen;
}

static HelperClient *
start (const Config *config,
       const char *program,
       const char *store_dir,
       const char *kind,
       GError **error)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  g_auto (GStrv) environment = make_environment (config, store_dir);
  g_autofree char *idle_close = g_strdup_printf ("%d", PROTOCOL_IDLE_CLOSE_S);
  g_auto (Channels) channels = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
  g_autoptr (GSubprocess) process = NULL;
  HelperClient *client;

  if (!make_channels (&channels, error))
    return NULL;
  g_subprocess_launcher_set_environ (launcher, environment);
  g_subprocess_launcher_take_stdin_fd (launcher, fcntl (channels.sockets[1], F_DUPFD_CLOEXEC, 0));
  g_subprocess_launcher_take_stdout_fd (launcher, steal_fd (&channels.sockets[1]));
  g_subprocess_launcher_take_stderr_fd (launcher, steal_fd (&channels.log[1]));
  g_subprocess_launcher_take_fd (launcher, steal_fd (&channels.line[1]), PROTOCOL_LINE_FD);
  process = g_subprocess_launcher_spawn (launcher, error, program, config->pkcs11_module,
                                         idle_close, G_STRINGIFY (PROTOCOL_LINE_FD), kind, NULL);
  if (process == NULL)
    {
      g_prefix_error (error, "cannot start the token helper: ");
      if (error != NULL)
        ggtpm_error_convert (error);
      return NULL;
    }
  client = g_new0 (HelperClient, 1);
  client->line = g_atomic_rc_box_new0 (HelperLine);
  client->line->process = g_object_ref (process);
  client->line->fd = steal_fd (&channels.line[0]);
  client->process = g_steal_pointer (&process);
  client->socket = steal_fd (&channels.sockets[0]);
  client->log = steal_fd (&channels.log[0]);
  client->received = g_byte_array_new ();
  client->log_line = g_string_new (NULL);
  client->usable = TRUE;
  return client;
}

HelperClient *
helper_client_new (const Config *config, const char *store_dir, GError **error)
{
  return start (config, config->token_helper, store_dir, NULL, error);
}

HelperClient *
helper_client_new_writer (const Config *config, const char *copy_dir, GError **error)
{
  return start (config, config->token_helper, copy_dir, PROTOCOL_COPY, error);
}

HelperClient *
helper_client_new_verifier (const Config *config, const char *store_dir, GError **error)
{
  g_autofree char *dir = g_path_get_dirname (config->token_helper);
  g_autofree char *installed = g_build_filename (dir, VERIFIER, NULL);
  g_autofree char *built = g_build_filename (dir, "..", "token-verifier", VERIFIER, NULL);

  /* In a build tree each program has a directory of its own. */
  return start (config, g_file_test (installed, G_FILE_TEST_EXISTS) ? installed : built, store_dir,
                NULL, error);
}

gboolean
helper_client_is_usable (HelperClient *client)
{
  return client->usable;
}

/* ---- what it writes to its standard error ---- */

static void
take_log_line (HelperClient *client, const char *line)
{
  static const char mark[] = "ERROR: ";

  g_debug ("token helper: %s", line);
  if (client->library_error == NULL && g_str_has_prefix (line, mark))
    client->library_error = g_strdup (line + strlen (mark));
}

/* FALSE at its end. */
static gboolean
drain_log (HelperClient *client)
{
  char buffer[1024];
  ssize_t n;

  while ((n = read (client->log, buffer, sizeof buffer)) > 0)
    for (ssize_t i = 0; i < n; i++)
      if (buffer[i] != '\n')
        g_string_append_c (client->log_line, buffer[i]);
      else
        {
          take_log_line (client, client->log_line->str);
          g_string_truncate (client->log_line, 0);
        }
  return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* ---- ending ---- */

static void
kill_helper (HelperClient *client)
{
  client->usable = FALSE;
  g_subprocess_force_exit (client->process);
}

void
helper_client_free (HelperClient *client)
{
  gint64 deadline = g_get_monotonic_time () + EXIT_TIMEOUT_MS * 1000;
  struct pollfd log = { -1, POLLIN, 0 };
  gint64 left;

  if (client == NULL)
    return;
  close_fd (&client->socket);
  log.fd = client->log;
  /* The end of its standard error is its own end. */
  while ((left = deadline - g_get_monotonic_time ()) > 0 &&
         (poll (&log, 1, (int)(left / 1000) + 1) <= 0 || drain_log (client)))
    ;
  g_subprocess_force_exit (client->process);
  g_subprocess_wait (client->process, NULL, NULL);
  g_object_unref (client->process);
  helper_line_unref (client->line);
  close_fd (&client->log);
  g_byte_array_unref (client->received);
  g_string_free (client->log_line, TRUE);
  g_free (client->library_error);
  g_free (client);
}

/* ---- one call ---- */

typedef struct
{
  HelperClient *client;
  GCancellable *cancellable;
  const char *job;
  guint timeout_s;
  gint64 deadline;
} Call;

/* Waits for @events on the socket; takes what the log has meanwhile. */
static gboolean
wait_for (Call *call, short events, GError **error)
{
  HelperClient *client = call->client;
  GPollFD cancelled = { -1, 0, 0 };
  gboolean has_cancelled = g_cancellable_make_pollfd (call->cancellable, &cancelled);
  gint64 left = 1;
  struct pollfd fds[] = {
    { client->socket, events, 0 },
    { client->log, POLLIN, 0 },
    { has_cancelled ? cancelled.fd : -1, POLLIN, 0 },
  };

  while (fds[0].revents == 0 && !g_cancellable_is_cancelled (call->cancellable) &&
         (left = call->deadline - g_get_monotonic_time ()) > 0)
    {
      if (poll (fds, G_N_ELEMENTS (fds), (int)MIN (left / 1000 + 1, G_MAXINT)) < 0)
        continue;
      if (fds[1].revents != 0 && !drain_log (client))
        fds[1].fd = -1;
    }
  if (has_cancelled)
    g_cancellable_release_fd (call->cancellable);

  if (g_cancellable_is_cancelled (call->cancellable))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED, "%s: cancelled", call->job);
  else if (fds[0].revents == 0)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_TIMEOUT,
                 "%s: no answer in %u s, the token helper was ended", call->job, call->timeout_s);
  else
    return TRUE;
  return FALSE;
}

static gboolean
set_died (Call *call, GError **error)
{
  drain_log (call->client);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE,
               "%s: the token helper ended unexpectedly%s%s", call->job,
               call->client->library_error != NULL ? "; its last words: " : "",
               call->client->library_error != NULL ? call->client->library_error : "");
  return FALSE;
}

/* What comes behind its first @n bytes. */
static void
skip (struct msghdr *message, gsize n)
{
  while (message->msg_iovlen > 0 && n >= message->msg_iov->iov_len)
    {
      n -= message->msg_iov->iov_len;
      message->msg_iov++;
      message->msg_iovlen--;
    }
  if (n > 0)
    {
      message->msg_iov->iov_base = (char *)message->msg_iov->iov_base + n;
      message->msg_iov->iov_len -= n;
    }
}

static gboolean
send_parts (Call *call, struct iovec *parts, gsize n_parts, GError **error)
{
  struct msghdr message = { .msg_iov = parts, .msg_iovlen = n_parts };

  while (message.msg_iovlen > 0)
    {
      ssize_t n = sendmsg (call->client->socket, &message, MSG_NOSIGNAL);

      if (n > 0)
        skip (&message, (gsize)n);
      else if (errno != EAGAIN && errno != EINTR)
        return set_died (call, error);
      else if (!wait_for (call, POLLOUT, error))
        return FALSE;
    }
  return TRUE;
}

/* The PINs go from where they are into the socket. */
static gboolean
send_request (Call *call, json_object *request, const Secret *const *pins, GError **error)
{
  gsize len = 0;
  const char *text = json_object_to_json_string_length (request, JSON_C_TO_STRING_PLAIN, &len);
  ProtocolHeader header = { (guint32)len, { 0 } };
  struct iovec parts[2 + PROTOCOL_N_PINS] = { { &header, sizeof header }, { (char *)text, len } };
  gsize n_parts = 2;

  for (gsize i = 0; pins != NULL && i < PROTOCOL_N_PINS; i++)
    if (pins[i] != NULL)
      {
        header.pins[i] = (guint32)secret_get_length (pins[i]);
        parts[n_parts++] =
            (struct iovec){ (char *)secret_peek (pins[i]), secret_get_length (pins[i]) };
      }
  return send_parts (call, parts, n_parts, error);
}

static gboolean
receive_line (Call *call, GError **error)
{
  GByteArray *received = call->client->received;
  guint8 buffer[4096];

  g_byte_array_set_size (received, 0);
  while (received->len == 0 || received->data[received->len - 1] != '\n')
    {
      ssize_t n = recv (call->client->socket, buffer, sizeof buffer, 0);

      if (n > 0 && received->len + (gsize)n <= PROTOCOL_MAX_TEXT)
        g_byte_array_append (received, buffer, (guint)n);
      else if (n >= 0 || (errno != EAGAIN && errno != EINTR))
        return set_died (call, error);
      else if (!wait_for (call, POLLIN, error))
        return FALSE;
    }
  drain_log (call->client);
  return TRUE;
}

static GgtpmError
error_code_of_nick (const char *nick)
{
  for (gint code = 0; code < GGTPM_N_ERRORS; code++)
    if (g_strcmp0 (ggtpm_error_nick ((GgtpmError)code), nick) == 0)
      return (GgtpmError)code;
  return GGTPM_ERROR_FAILED;
}

json_object *
helper_client_parse_answer (const char *text, const char *job, GError **error)
{
  g_autoptr (json_object) answer = json_tokener_parse (text);
  GgtpmError code;
  const char *message;

  if (!json_object_is_type (answer, json_type_object))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "%s: the token helper answers nonsense",
                   job);
      return NULL;
    }
  if (json_object_get_boolean (json_object_object_get (answer, "ok")))
    return g_steal_pointer (&answer);

  code = error_code_of_nick (json_object_get_string (json_object_object_get (answer, "error")));
  message = json_object_get_string (json_object_object_get (answer, "message"));
  g_set_error_literal (error, GGTPM_ERROR, (gint)code, message != NULL ? message : job);
  return NULL;
}

/* PKCS#11 has one code for all that goes wrong below it; the library's words say what it was. */
static void
explain (Call *call, GError **error)
{
  const char *words = call->client->library_error;
  g_autoptr (GError) old = NULL;

  if (words == NULL || error == NULL || !g_error_matches (*error, GGTPM_ERROR, GGTPM_ERROR_FAILED))
    return;
  old = g_steal_pointer (error);
  /* Tss2_RC_Decode()'s name of the layer that reaches the chip */
  if (strstr (words, ": tcti:") != NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE,
                 "%s: the connection to the TPM broke (%s); `ggtpmctl status` and ggtpmd's journal "
                 "say why",
                 call->job, words);
  else
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "%s; %s", words, old->message);
}

static json_object *
parse_answer (Call *call, GError **error)
{
  GByteArray *received = call->client->received;
  json_object *answer;

  received->data[received->len - 1] = '\0';
  answer = helper_client_parse_answer ((const char *)received->data, call->job, error);
  if (answer == NULL)
    explain (call, error);
  return answer;
}

json_object *
helper_client_call (HelperClient *client,
                    json_object *request,
                    const Secret *const *pins,
                    guint timeout_s,
                    GCancellable *cancellable,
                    GError **error)
{
  g_autoptr (json_object) owned = request;
  g_autofree char *job = g_strdup (json_object_get_string (json_object_object_get (owned, "job")));
  Call call = { client, cancellable, job, timeout_s,
                g_get_monotonic_time () + (gint64)timeout_s * G_USEC_PER_SEC };

  g_clear_pointer (&client->library_error, g_free);
  if (!client->usable)
    {
      set_died (&call, error);
      return NULL;
    }
  if (!send_request (&call, owned, pins, error) || !receive_line (&call, error))
    {
      kill_helper (client);
      return NULL;
    }
  return parse_answer (&call, error);
}
