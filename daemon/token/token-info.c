/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "token-info.h"

#include "dbus/error.h"
#include "token/protocol.h"
#include "token/public-key.h"
#include "token/uri.h"

#include <string.h>

void
token_key_free (TokenKey *key)
{
  if (key == NULL)
    return;
  g_free (key->label);
  g_clear_pointer (&key->id, g_bytes_unref);
  g_free (key->algorithm);
  g_free (key->curve);
  g_clear_pointer (&key->spki, g_bytes_unref);
  g_free (key->uri);
  g_clear_pointer (&key->certificate, g_bytes_unref);
  g_clear_pointer (&key->name, g_bytes_unref);
  g_free (key);
}

void
token_info_free (TokenInfo *info)
{
  if (info == NULL)
    return;
  g_free (info->label);
  g_free (info->manufacturer);
  g_free (info->model);
  g_free (info->serial);
  g_free (info->uri);
  g_clear_pointer (&info->keys, g_ptr_array_unref);
  g_free (info);
}

/* ---- from JSON ---- */

static char *
take_text (json_object *object, const char *name)
{
  const char *text = json_object_get_string (json_object_object_get (object, name));

  return g_strdup (text != NULL ? text : "");
}

static GBytes *
take_bytes (json_object *object, const char *name)
{
  const char *text = json_object_get_string (json_object_object_get (object, name));

  return text != NULL ? protocol_decode_bytes (text) : NULL;
}

/* CK_DATE: `YYYYMMDD`; in seconds since the epoch, 0 where it is no date. */
static gint64
parse_date (GBytes *date)
{
  gsize len;
  const char *data = g_bytes_get_data (date, &len);
  g_autofree char *text = g_strndup (data, len);
  guint64 number = 0;
  g_autoptr (GDateTime) time = NULL;

  if (!g_ascii_string_to_unsigned (text, 10, 0, 99999999, &number, NULL))
    return 0;
  time = g_date_time_new_utc ((gint)(number / 10000), (gint)(number / 100 % 100),
                              (gint)(number % 100), 0, 0, 0);
  return time != NULL ? MAX (g_date_time_to_unix (time), 0) : 0;
}

static TokenKey *
parse_key (json_object *object, guint32 parent, GError **error)
{
  g_autoptr (TokenKey) key = g_new0 (TokenKey, 1);
  g_autoptr (GBytes) area = take_bytes (object, "public-area");
  g_autoptr (GBytes) date = take_bytes (object, "start-date");

  key->label = take_text (object, "label");
  key->id = take_bytes (object, "id");
  key->algorithm = take_text (object, "algorithm");
  key->spki = take_bytes (object, "spki");
  key->certificate = take_bytes (object, "certificate");
  if (area != NULL && !public_key_parse_area (area, &key->attributes, &key->name))
    key->attributes = 0;
  key->parent = parent;
  key->created = date != NULL ? parse_date (date) : 0;
  key->is_roca = key->spki != NULL && public_key_is_roca (key->spki);
  key->curve = key->spki != NULL ? public_key_get_curve (key->spki) : NULL;
  if (key->id != NULL && key->spki != NULL)
    return g_steal_pointer (&key);
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                       "the token helper's list has a key without id or public key");
  return NULL;
}

/* The id is in a URI where the label alone does not name the key. */
static void
name_keys (const char *token, GPtrArray *keys)
{
  for (guint i = 0; i < keys->len; i++)
    {
      TokenKey *key = keys->pdata[i];
      gboolean is_alone = *key->label != '\0';

      for (guint k = 0; k < keys->len && is_alone; k++)
        is_alone = k == i || strcmp (((TokenKey *)keys->pdata[k])->label, key->label) != 0;
      key->uri = uri_for_object (token, *key->label != '\0' ? key->label : NULL,
                                 is_alone ? NULL : key->id, "private", NULL);
    }
}

static TokenInfo *
parse_token (json_object *object, Store *store, GError **error)
{
  g_autoptr (TokenInfo) info = g_new0 (TokenInfo, 1);
  json_object *keys = json_object_object_get (object, "keys");
  g_autofree char *pin_path = NULL;
  guint32 parent;

  info->label = take_text (object, "label");
  info->slot = json_object_get_uint64 (json_object_object_get (object, "slot"));
  info->manufacturer = take_text (object, "manufacturer");
  info->model = take_text (object, "model");
  info->serial = take_text (object, "serial");
  info->uri = uri_for_token (info->label);
  pin_path = store_get_pin_path (store, info->label, STORE_PIN_USER);
  info->pin_stored = g_file_test (pin_path, G_FILE_TEST_IS_REGULAR);
  parent = store_find_parent (store, info->label);
  info->pins_generated = store_pins_are_drawn (store, info->label);
  info->keys = g_ptr_array_new_with_free_func ((GDestroyNotify)token_key_free);
  for (gsize i = 0; keys != NULL && i < json_object_array_length (keys); i++)
    {
      TokenKey *key = parse_key (json_object_array_get_idx (keys, i), parent, error);

      if (key == NULL)
        return NULL;
      g_ptr_array_add (info->keys, key);
    }
  name_keys (info->label, info->keys);
  return g_steal_pointer (&info);
}

static int
compare_slots (gconstpointer a, gconstpointer b)
{
  const TokenInfo *left = *(TokenInfo *const *)a, *right = *(TokenInfo *const *)b;

  return left->slot < right->slot ? -1 : left->slot > right->slot;
}

GPtrArray *
token_info_parse_list (json_object *tokens, Store *store, GError **error)
{
  g_autoptr (GPtrArray) infos = g_ptr_array_new_with_free_func ((GDestroyNotify)token_info_free);

  for (gsize i = 0; i < json_object_array_length (tokens); i++)
    {
      TokenInfo *info = parse_token (json_object_array_get_idx (tokens, i), store, error);

      if (info == NULL)
        return NULL;
      g_ptr_array_add (infos, info);
    }
  g_ptr_array_sort (infos, compare_slots);
  return g_steal_pointer (&infos);
}

/* ---- finding ---- */

TokenKey *
token_info_find_key (const TokenInfo *info, const char *label)
{
  for (guint i = 0; i < info->keys->len; i++)
    {
      TokenKey *key = info->keys->pdata[i];

      if (strcmp (key->label, label) == 0)
        return key;
    }
  return NULL;
}

TokenKey *
token_info_find_key_by_id (const TokenInfo *info, GBytes *id)
{
  for (guint i = 0; i < info->keys->len; i++)
    {
      TokenKey *key = info->keys->pdata[i];

      if (g_bytes_equal (key->id, id))
        return key;
    }
  return NULL;
}
