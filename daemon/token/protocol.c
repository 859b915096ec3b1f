/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "protocol.h"

#include <string.h>

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
