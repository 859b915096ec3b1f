/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "protocol.h"

#include "dbus/error.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- requests ---- */

void
protocol_request_clear (ProtocolRequest *request)
{
  g_clear_pointer (&request->text, g_free);
  for (gsize i = 0; i < PROTOCOL_N_PINS; i++)
    g_clear_pointer (&request->pins[i], secret_free);
}

/* Returns how many bytes have come before the end. */
static gsize
read_all (int fd, void *data, gsize len)
{
  gsize filled = 0;

  while (filled < len)
    {
      ssize_t n = read (fd, (char *)data + filled, len - filled);

      if (n > 0)
        filled += (gsize)n;
      else if (n == 0 || errno != EINTR)
        break;
    }
  return filled;
}

static gboolean
check_lengths (const ProtocolHeader *header)
{
  gboolean good = header->text <= PROTOCOL_MAX_TEXT;

  for (gsize i = 0; i < PROTOCOL_N_PINS; i++)
    good = good && header->pins[i] <= PROTOCOL_MAX_PIN;
  return good;
}

static gboolean
read_body (int fd, const ProtocolHeader *header, ProtocolRequest *request)
{
  request->len = header->text;
  request->text = g_malloc0 (request->len + 1);
  if (read_all (fd, request->text, request->len) != request->len)
    return FALSE;
  for (gsize i = 0; i < PROTOCOL_N_PINS; i++)
    {
      if (header->pins[i] == 0)
        continue;
      request->pins[i] = secret_read (fd, header->pins[i]);
      if (request->pins[i] == NULL)
        return FALSE;
    }
  return TRUE;
}

gboolean
protocol_read_request (int fd, ProtocolRequest *out_request, GError **error)
{
  g_auto (ProtocolRequest) request = { NULL };
  ProtocolHeader header;
  gsize n = read_all (fd, &header, sizeof header);

  if (n == 0)
    return FALSE;
  if (n == sizeof header && !check_lengths (&header))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "a request is longer than %d bytes, or a PIN than %d", PROTOCOL_MAX_TEXT,
                 PROTOCOL_MAX_PIN);
  else if (n < sizeof header || !read_body (fd, &header, &request))
    g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                         "the input ends within a request");
  else
    {
      *out_request = request;
      memset (&request, 0, sizeof request);
      return TRUE;
    }
  return FALSE;
}

/* ---- bytes ---- */

char *
protocol_encode_bytes (GBytes *bytes)
{
  static const char digits[] = "0123456789abcdef";
  gsize len;
  const guint8 *data = g_bytes_get_data (bytes, &len);
  char *text = g_malloc (2 * len + 1);

  for (gsize i = 0; i < len; i++)
    {
      text[2 * i] = digits[data[i] >> 4];
      text[2 * i + 1] = digits[data[i] & 15];
    }
  text[2 * len] = '\0';
  return text;
}

GBytes *
protocol_decode_bytes (const char *text)
{
  gsize len = strlen (text);
  g_autofree guint8 *data = g_malloc (len / 2 + 1);

  if (len % 2 != 0)
    return NULL;
  for (gsize i = 0; i < len; i += 2)
    {
      if (!g_ascii_isxdigit (text[i]) || !g_ascii_isxdigit (text[i + 1]))
        return NULL;
      data[i / 2] =
          (guint8)(g_ascii_xdigit_value (text[i]) * 16 + g_ascii_xdigit_value (text[i + 1]));
    }
  return g_bytes_new_take (g_steal_pointer (&data), len / 2);
}
