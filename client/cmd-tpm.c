/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/output.h"
#include "client/tcti/frame.h"
#include "common/write.h"
#include "dbus/error.h"
#include "dbus/names.h"

#include <gio/gunixsocketaddress.h>
#include <glib-unix.h>
#include <tss2/tss2_rc.h>

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define DEFAULT_SOCKET GGTPM_RUNTIME_DIR "/" GGTPM_SOCKET_NAME
#define BUFFER_SIZE    FRAME_MAX_SIZE

static GgtpmError
get_code (const GError *error)
{
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED))
    return GGTPM_ERROR_NOT_AUTHORIZED;
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    return GGTPM_ERROR_TIMEOUT;
  return GGTPM_ERROR_UNAVAILABLE;
}

/* Connects to the daemon's socket; NULL: @error */
static GSocket *
connect_socket (Client *client, const Options *options, GError **error)
{
  const char *path = options->socket != NULL ? options->socket : DEFAULT_SOCKET;
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GSocket) socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM,
                                             G_SOCKET_PROTOCOL_DEFAULT, &local_error);

  if (socket != NULL)
    g_socket_set_timeout (socket, (guint)client->timeout_s);
  if (socket != NULL && g_socket_connect (socket, address, NULL, &local_error))
    return g_steal_pointer (&socket);
  g_set_error (
      error, GGTPM_ERROR, (int)get_code (local_error),
      "the daemon's socket %s cannot be used: %s; is ggtpmd running, in mode replace, and may you "
      "open it (root and the group of the socket may)?",
      path, local_error->message);
  return NULL;
}

/* ---- raw ---- */

static GByteArray *
parse_hex (const char *text, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint8 byte = 0;
  guint n_digits = 0;

  for (const char *at = text; *at != '\0'; at++)
    {
      if (g_ascii_isspace (*at) || *at == ':')
        continue;
      if (!g_ascii_isxdigit (*at))
        break;
      byte = (guint8)(byte << 4 | g_ascii_xdigit_value (*at));
      n_digits++;
      if (n_digits % 2 == 0)
        g_byte_array_append (bytes, &byte, 1);
      if (at[1] == '\0' && n_digits % 2 == 0)
        return g_steal_pointer (&bytes);
    }
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "the command is not whole bytes in hexadecimal");
  return NULL;
}

static guint32
get_u32 (const guint8 *bytes)
{
  return (guint32)bytes[0] << 24 | (guint32)bytes[1] << 16 | (guint32)bytes[2] << 8 | bytes[3];
}

/* The daemon would wait for the rest, or for what is behind it take the next command. */
static gboolean
check_frame (const GByteArray *command, GError **error)
{
  if (command->len >= FRAME_HEADER_SIZE && command->len <= FRAME_MAX_SIZE &&
      get_u32 (command->data + 2) == command->len)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "%u bytes are no TPM command: it has %d to %d, and its bytes 2 to 5 say how many",
               command->len, FRAME_HEADER_SIZE, FRAME_MAX_SIZE);
  return FALSE;
}

static gboolean
send_all (GSocket *socket, const guint8 *data, gsize len, GError **error)
{
  while (len > 0)
    {
      gssize n = g_socket_send (socket, (const char *)data, len, NULL, error);

      if (n < 0)
        return FALSE;
      data += n;
      len -= (gsize)n;
    }
  return TRUE;
}

static gboolean
receive_all (GSocket *socket, GByteArray *answer, guint size, GError **error)
{
  while (answer->len < size)
    {
      guint8 buffer[BUFFER_SIZE];
      gssize n = g_socket_receive (socket, (char *)buffer,
                                   MIN (size - answer->len, sizeof (buffer)), NULL, error);

      if (n == 0)
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "ggtpmd closed the connection");
      if (n <= 0)
        return FALSE;
      g_byte_array_append (answer, buffer, (guint)n);
    }
  return TRUE;
}

static gboolean
receive_frame (GSocket *socket, GByteArray *answer, GError **error)
{
  guint32 size;

  if (!receive_all (socket, answer, FRAME_HEADER_SIZE, error))
    return FALSE;
  size = get_u32 (answer->data + 2);
  if (size >= FRAME_HEADER_SIZE && size <= FRAME_MAX_SIZE)
    return receive_all (socket, answer, size, error);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "an answer of %u bytes is none", size);
  return FALSE;
}

static void
print_answer (Client *client, const GByteArray *answer)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GString) hex = g_string_new (NULL);
  guint32 code = get_u32 (answer->data + 6);
  const char *text = Tss2_RC_Decode (code);

  for (guint i = 0; i < answer->len; i++)
    g_string_append_printf (hex, "%02x", answer->data[i]);
  if (client->json)
    {
      output_add (&dict, "answer", "s", hex->str);
      output_add (&dict, "code", "u", code);
      output_add (&dict, "text", "s", text);
      output_json (g_variant_builder_end (&dict));
      return;
    }
  output_text ("%s\n", hex->str);
  if (code != 0)
    output_text ("0x%08x: %s\n", code, text);
}

gboolean
cmd_tpm_raw (Client *client, const Options *options, GError **error)
{
  g_autoptr (GByteArray) command = parse_hex (options->arguments[0], error);
  g_autoptr (GByteArray) answer = g_byte_array_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) local_error = NULL;

  if (command == NULL || !check_frame (command, error))
    return FALSE;
  socket = connect_socket (client, options, error);
  if (socket == NULL)
    return FALSE;
  if (!send_all (socket, command->data, command->len, &local_error) ||
      !receive_frame (socket, answer, &local_error))
    {
      g_set_error (error, GGTPM_ERROR, (int)get_code (local_error), "no answer to the command: %s",
                   local_error->message);
      return FALSE;
    }
  print_answer (client, answer);
  if (get_u32 (answer->data + 6) != 0)
    client->exit_code = 1;
  return TRUE;
}

/* ---- pipe ---- */

/* What there is to read at @from, to @to. FALSE: either has ended. */
static gboolean
carry (int from, int to)
{
  guint8 buffer[BUFFER_SIZE];
  ssize_t n = read (from, buffer, sizeof (buffer));

  if (n < 0)
    return errno == EINTR || errno == EAGAIN;
  return n > 0 && write_all (to, buffer, (gsize)n);
}

gboolean
cmd_tpm_pipe (Client *client, const Options *options, GError **error)
{
  g_autoptr (GSocket) socket = NULL;
  struct pollfd fds[2] = { { STDIN_FILENO, POLLIN, 0 }, { -1, POLLIN, 0 } };

  if (client->json)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "--json: what goes through the pipe is binary");
      return FALSE;
    }
  socket = connect_socket (client, options, error);
  if (socket == NULL)
    return FALSE;
  fds[1].fd = g_socket_get_fd (socket);
  if (!g_unix_set_fd_nonblocking (fds[1].fd, FALSE, error))
    return FALSE;
  while (poll (fds, G_N_ELEMENTS (fds), -1) >= 0 || errno == EINTR)
    {
      if (fds[1].revents != 0 && !carry (fds[1].fd, STDOUT_FILENO))
        break;
      if (fds[0].revents == 0 || carry (STDIN_FILENO, fds[1].fd))
        continue;
      /* no more commands; what is under way is still answered, then the daemon closes */
      fds[0].fd = -1;
      if (!g_socket_shutdown (socket, FALSE, TRUE, error))
        return FALSE;
    }
  if (fds[0].fd == -1)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE, "ggtpmd closed the connection");
  return FALSE;
}
