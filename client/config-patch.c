/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "config-patch.h"

#include "common/secret.h"
#include "common/yaml-values.h"
#include "dbus/error.h"

#include <string.h>

#define V2_PROVIDER     "services/aws.greengrass.crypto.Pkcs11Provider/configuration/"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

typedef struct
{
  const char *name;
  gboolean uri; /* only where the file has one, too */
} Row;

static const Row v2_rows[] = {
  { V2_PROVIDER "slot", FALSE },
  { V2_PROVIDER "userPin", FALSE },
  { "system/privateKeyPath", TRUE },
  { "system/certificateFilePath", TRUE },
};

static const Row lite_rows[] = {
  { "system/privateKeyPath", TRUE },
  { "system/certificateFilePath", TRUE },
};

static const struct
{
  const char *flavour;
  const Row *rows;
  gsize n_rows;
} tables[] = {
  { "v2", v2_rows, G_N_ELEMENTS (v2_rows) },
  { "lite", lite_rows, G_N_ELEMENTS (lite_rows) },
};

gboolean
config_patch_supports (const char *flavour)
{
  for (gsize i = 0; i < G_N_ELEMENTS (tables); i++)
    if (g_str_equal (tables[i].flavour, flavour))
      return TRUE;
  return FALSE;
}

static gboolean
is_uri (const char *text)
{
  return g_str_has_prefix (text, "pkcs11:") || g_str_has_prefix (text, "handle:");
}

/* A copy of the scalar as it is written in @text, quotes and all. */
static char *
get_written (const char *text, const YamlValue *value)
{
  return g_utf8_substring (text, (glong)value->start, (glong)value->end);
}

/* @out_needed: whether the file has another value than @fresh */
static gboolean
compare (const Row *row,
         const YamlValue *fresh,
         const YamlValue *found,
         gboolean *out_needed,
         GError **error)
{
  *out_needed = FALSE;
  if (fresh == NULL ||
      (row->uri && (found == NULL || !is_uri (found->text) || !is_uri (fresh->text))))
    return TRUE;
  if (found == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s is not in it", row->name);
      return FALSE;
    }
  *out_needed = !g_str_equal (fresh->text, found->text);
  if (!*out_needed || found->replaceable)
    return TRUE;
  g_set_error (
      error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
      "%s is out of date, and there more than once, or not a plain or quoted value on one line",
      row->name);
  return FALSE;
}

/* @text with one value replaced; NULL without error: it is current. */
static char *
replace_one (const Row *row, const char *fresh, const char *text, GError **error)
{
  g_autoptr (GHashTable) wanted = yaml_values_read (fresh, strlen (fresh), error);
  g_autoptr (GHashTable) values =
      wanted != NULL ? yaml_values_read (text, strlen (text), error) : NULL;
  const YamlValue *value;
  const YamlValue *found;
  g_autofree char *written = NULL;
  const char *start;
  const char *end;
  gboolean needed = FALSE;
  char *patched;

  if (values == NULL)
    return NULL;
  value = g_hash_table_lookup (wanted, row->name);
  found = g_hash_table_lookup (values, row->name);
  if (!compare (row, value, found, &needed, error) || !needed)
    return NULL;
  written = get_written (fresh, value);
  start = g_utf8_offset_to_pointer (text, (glong)found->start);
  end = g_utf8_offset_to_pointer (text, (glong)found->end);
  patched = g_strdup_printf ("%.*s%s%s", (int)(start - text), text, written, end);
  secret_wipe (written, strlen (written));
  return patched;
}

/* Takes @text, without a byte order mark. */
static char *
replace_all (const Row *rows, gsize n_rows, const char *fresh, char *text, GError **error)
{
  for (gsize i = 0; i < n_rows; i++)
    {
      g_autoptr (GError) local_error = NULL;
      char *patched = replace_one (&rows[i], fresh, text, &local_error);

      if (patched == NULL && local_error == NULL)
        continue;
      secret_wipe (text, strlen (text));
      g_free (text);
      if (patched == NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return NULL;
        }
      text = patched;
    }
  return text;
}

char *
config_patch_apply (const char *flavour,
                    const char *fresh,
                    const char *text,
                    gsize len,
                    GError **error)
{
  gboolean marked = g_str_has_prefix (text, BYTE_ORDER_MARK);
  g_autofree char *patched = NULL;
  char *complete;

  if (len >= G_MAXINT || !g_utf8_validate_len (text, len, NULL))
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "it is not UTF-8");
      return NULL;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (tables) && patched == NULL; i++)
    if (g_str_equal (tables[i].flavour, flavour))
      {
        patched = replace_all (tables[i].rows, tables[i].n_rows, fresh,
                               g_strdup (marked ? text + strlen (BYTE_ORDER_MARK) : text), error);
        if (patched == NULL)
          return NULL;
      }
  complete = g_strconcat (marked ? BYTE_ORDER_MARK : "", patched, NULL);
  secret_wipe (patched, strlen (patched));
  return complete;
}
