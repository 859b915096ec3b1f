/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "object-path.h"

#include "common/label.h"
#include "dbus/names.h"

char *
object_path_for_token (const char *label)
{
  g_autofree char *encoded = label_encode (label);

  return g_strconcat (GGTPM_TOKEN_PATH "/", encoded, NULL);
}

char *
object_path_for_key (const char *token, GBytes *id)
{
  g_autofree char *parent = object_path_for_token (token);
  GString *path = g_string_new (parent);
  gsize len;
  const guint8 *bytes = g_bytes_get_data (id, &len);

  g_string_append (path, "/key/");
  if (len == 0)
    g_string_append_c (path, '_');
  for (gsize i = 0; i < len; i++)
    g_string_append_printf (path, "%02x", bytes[i]);
  return g_string_free (path, FALSE);
}
