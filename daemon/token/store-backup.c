/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "store-private.h"

#include "common/atomic-file.h"
#include "common/secret.h"
#include "dbus/error.h"
#include "token/store-database.h"

#include <glib/gstdio.h>
#include <string.h>

/* FORMAT LENGTH SHA-256 */
#define HEAD     "ggtpm-backup-1 %" G_GSIZE_FORMAT " %s\n"
#define HEAD_MAX 128

static char *
get_path (StoreChange *change)
{
  return g_build_filename (store_change_get_dir (change), STORE_DATABASE_NAME, NULL);
}

static char *
make_head (const void *data, gsize len)
{
  g_autofree char *sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, data, len);

  return g_strdup_printf (HEAD, len, sum);
}

/* ---- making one ---- */

GBytes *
store_change_pack (StoreChange *change, GHashTable *extras, GError **error)
{
  g_autofree char *path = get_path (change);
  g_autoptr (sqlite3) database = store_database_open_copy (path, error);
  g_autofree char *content = NULL;
  g_autofree char *head = NULL;
  char *packed;
  gsize len = 0, head_len;

  if (database == NULL || !store_database_put_extras (database, extras, error))
    return NULL;
  g_clear_pointer (&database, sqlite3_close);
  if (!g_file_get_contents (path, &content, &len, error))
    {
      store_convert_error (error);
      return NULL;
    }
  head = make_head (content, len);
  head_len = strlen (head);
  packed = g_malloc (head_len + len);
  memcpy (packed, head, head_len);
  memcpy (packed + head_len, content, len);
  secret_wipe (content, len);
  return g_bytes_new_take (packed, head_len + len);
}

/* ---- taking one ---- */

static gboolean
set_damaged (const char *what, GError **error)
{
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "this is no backup of a token store, or a damaged one: %s", what);
  return FALSE;
}

/* What follows the head, borrowed. */
static gboolean
check_head (GBytes *backup, const char **out_data, gsize *out_len, GError **error)
{
  gsize len;
  const char *text = g_bytes_get_data (backup, &len);
  const char *end = len > 0 ? memchr (text, '\n', MIN (len, HEAD_MAX)) : NULL;
  g_autofree char *head = NULL;
  gsize head_len;

  if (end == NULL)
    return set_damaged ("it has no head", error);
  head_len = (gsize)(end - text) + 1;
  head = make_head (text + head_len, len - head_len);
  if (strlen (head) != head_len || memcmp (head, text, head_len) != 0)
    return set_damaged ("its content does not have the length and sum that its head says", error);
  *out_data = text + head_len;
  *out_len = len - head_len;
  return TRUE;
}

static gboolean
check_content (sqlite3 *database, int schema, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  int version = 0;

  if (!store_database_check (database, &local_error) ||
      !store_database_get_schema (database, &version, &local_error))
    return set_damaged (local_error->message, error);
  if (version <= schema)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED,
               "the backup is of a newer tpm2-pkcs11 (schema %d, this one has %d)", version,
               schema);
  return FALSE;
}

GHashTable *
store_change_unpack (StoreChange *change, GBytes *backup, int schema, GError **error)
{
  g_autofree char *path = get_path (change);
  g_autoptr (sqlite3) database = NULL;
  g_autoptr (GError) local_error = NULL;
  const char *data;
  gsize len;

  if (!check_head (backup, &data, &len, error))
    return NULL;
  if (!atomic_file_write (path, data, len, 0600, (gid_t)-1, &local_error))
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_STORE, local_error->message);
      return NULL;
    }
  database = store_database_open (path, error);
  if (database == NULL || !check_content (database, schema, error))
    return NULL;
  return store_database_take_extras (database, error);
}

/* ---- files that belong to it ---- */

gboolean
store_stage_file (StoreChange *change, const char *name, GError **error)
{
  const char *state_dir = store_change_get_store (change)->state_dir;
  g_autofree char *path = g_build_filename (store_change_get_dir (change), name, NULL);
  g_autofree char *database = get_path (change);
  g_autofree char *stamp = store_make_stamp (database);
  g_autofree char *staged = g_strconcat (state_dir, "/", name, STORE_STAGED, stamp, NULL);

  if (g_rename (path, staged) < 0)
    return store_set_errno ("cannot stage", path, error);
  return atomic_file_sync_dir (state_dir, error) || store_convert_error (error);
}

gboolean
store_settle_files (Store *self, GError **error)
{
  g_autoptr (GPtrArray) staged = store_list_staged (self->state_dir, error);
  g_autofree char *stamp = store_get_stamp (self);

  if (staged == NULL)
    return FALSE;
  for (guint i = 0; i < staged->len; i++)
    {
      const char *path = staged->pdata[i];
      const char *mark = g_strrstr (path, STORE_STAGED);
      g_autofree char *place = g_strndup (path, (gsize)(mark - path));
      gboolean fits = strcmp (mark + strlen (STORE_STAGED), stamp) == 0;

      if (fits ? g_rename (path, place) < 0 : g_unlink (path) < 0)
        return store_set_errno ("cannot settle", path, error);
    }
  return staged->len == 0 || atomic_file_sync_dir (self->state_dir, error) ||
         store_convert_error (error);
}

/* ---- what is in the copy ---- */

gboolean
store_change_get_schema (StoreChange *change, int *out_version, GError **error)
{
  g_autofree char *path = get_path (change);
  g_autoptr (sqlite3) database = store_database_open (path, error);

  return database != NULL && store_database_get_schema (database, out_version, error);
}

char **
store_change_list_tokens (StoreChange *change, GError **error)
{
  g_autofree char *path = get_path (change);
  g_autoptr (sqlite3) database = store_database_open (path, error);

  return database != NULL ? store_database_list_tokens (database, error) : NULL;
}

gboolean
store_change_keeps_pin (StoreChange *change, const char *token, StorePin kind)
{
  g_autofree char *path = get_path (change);
  g_autoptr (sqlite3) copy = store_database_open (path, NULL);
  g_autoptr (sqlite3) original =
      store_database_open (store_get_database (store_change_get_store (change)), NULL);
  g_autofree char *old = NULL;
  g_autofree char *new = NULL;

  if (copy == NULL || original == NULL)
    return FALSE;
  old = store_database_sum_seal (original, token, kind == STORE_PIN_SO, NULL);
  new = store_database_sum_seal (copy, token, kind == STORE_PIN_SO, NULL);
  return old != NULL && g_strcmp0 (old, new) == 0;
}
