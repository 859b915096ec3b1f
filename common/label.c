/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "label.h"

char *
label_encode (const char *label)
{
  GString *encoded = g_string_new (NULL);

  if (*label == '\0')
    g_string_append_c (encoded, '_');
  for (const char *c = label; *c != '\0'; c++)
    {
      if (g_ascii_isalpha (*c) || (g_ascii_isdigit (*c) && c != label))
        g_string_append_c (encoded, *c);
      else
        g_string_append_printf (encoded, "_%02x", (guint8)*c);
    }
  return g_string_free (encoded, FALSE);
}
