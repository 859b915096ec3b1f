/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "store-private.h"

#include "common/atomic-file.h"
#include "common/label.h"
#include "dbus/error.h"
#include "token/pin-readers.h"
#include "token/store-database.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

/* A PIN that was not settled yet is LABEL.KIND.new-SUM, SUM being store_database_sum_seal()'s; in place of SUM, and
 * empty: the token is not in that state of the store. */
#define GONE "gone"

char *
store_get_pin_path (Store *self, const char *token, StorePin kind)
{
  g_autofree char *encoded = label_encode (token);

  return g_strdup_printf ("%s/%s.%s", self->pins, encoded, kind == STORE_PIN_USER ? "user" : "so");
}

Secret *
store_load_pin (Store *self, const char *token, StorePin kind, GError **error)
{
  g_autofree char *path = store_get_pin_path (self, token, kind);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Secret) pin = secret_read_file (path, &local_error);

  if (pin != NULL && secret_get_length (pin) > 0)
    return g_steal_pointer (&pin);
  if (pin != NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "the PIN file %s is empty", path);
  else if (!g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      store_convert_error (error);
    }
  return NULL;
}

/* What the stored PIN's being right or wrong rests on; NULL: not known. */
static char *
get_pin_state (Store *self, const char *token, StorePin kind, const char *path)
{
  g_autofree char *stamp = store_make_stamp (path);
  g_autoptr (sqlite3) database = store_database_open (self->database, NULL);
  g_autofree char *sum = database != NULL
                             ? store_database_sum_seal (database, token, kind == STORE_PIN_SO, NULL)
                             : NULL;

  return sum != NULL ? g_strconcat (sum, " ", stamp, NULL) : NULL;
}

/* One wrong PIN in a file and a service that signs every minute would otherwise lock the chip for everybody. */
void
store_note_refused_pin (Store *self, const char *token, StorePin kind)
{
  g_autofree char *path = store_get_pin_path (self, token, kind);
  char *state = get_pin_state (self, token, kind, path);

  if (state != NULL)
    g_hash_table_replace (self->refused, g_steal_pointer (&path), state);
}

Secret *
store_load_login_pin (Store *self, const char *token, StorePin kind, GError **error)
{
  g_autofree char *path = store_get_pin_path (self, token, kind);
  const char *refused = g_hash_table_lookup (self->refused, path);
  g_autofree char *state = refused != NULL ? get_pin_state (self, token, kind, path) : NULL;

  if (refused == NULL || g_strcmp0 (refused, state) != 0)
    return store_load_pin (self, token, kind, error);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED,
               "the TPM has refused the stored %s of token '%s': it is not tried again until its "
               "file or the token's PIN is another%s",
               kind == STORE_PIN_USER ? "PIN" : "SO PIN", token,
               kind == STORE_PIN_USER ? ", as after `ggtpmctl token unblock`" : "");
  return NULL;
}

static gboolean
write_pin (Store *self, const char *path, StorePin kind, const Secret *pin, GError **error)
{
  gboolean for_group = kind == STORE_PIN_USER && self->group != (gid_t)-1;

  return secret_write_file (pin, path, for_group ? 0640 : 0600, for_group ? self->group : (gid_t)-1,
                            error) ||
         store_convert_error (error);
}

gboolean
store_save_pin (Store *self, const char *token, StorePin kind, const Secret *pin, GError **error)
{
  g_autofree char *path = store_get_pin_path (self, token, kind);

  return write_pin (self, path, kind, pin, error);
}

gboolean
store_has_pins (Store *self, const char *token)
{
  for (StorePin kind = STORE_PIN_USER; kind <= STORE_PIN_SO; kind++)
    {
      g_autofree char *path = store_get_pin_path (self, token, kind);

      if (g_file_test (path, G_FILE_TEST_EXISTS))
        return TRUE;
    }
  return FALSE;
}

gboolean
store_remove_pins (Store *self, const char *token, GError **error)
{
  g_autofree char *drawn = store_get_drawn_path (self, token);

  if (g_unlink (drawn) < 0 && errno != ENOENT)
    return store_set_errno ("cannot remove", drawn, error);
  for (StorePin kind = STORE_PIN_USER; kind <= STORE_PIN_SO; kind++)
    {
      g_autofree char *path = store_get_pin_path (self, token, kind);

      if (g_unlink (path) < 0 && errno != ENOENT)
        return store_set_errno ("cannot remove", path, error);
    }
  return atomic_file_sync_dir (self->pins, error) || store_convert_error (error);
}

/* ---- changing a PIN ---- */

gboolean
store_stage_pin (Store *self,
                 StoreChange *change,
                 const char *token,
                 StorePin kind,
                 const Secret *pin,
                 GError **error)
{
  g_autofree char *path = store_get_pin_path (self, token, kind);
  g_autofree char *database_path =
      g_build_filename (store_change_get_dir (change), STORE_DATABASE_NAME, NULL);
  g_autoptr (sqlite3) database = store_database_open (database_path, error);
  g_autofree char *sum = NULL;
  g_autofree char *staged = NULL;
  g_autoptr (Secret) none = NULL;

  if (database == NULL)
    return FALSE;
  sum = store_database_sum_seal (database, token, kind == STORE_PIN_SO, error);
  if (sum == NULL)
    return FALSE;
  staged = g_strconcat (path, STORE_STAGED, sum, NULL);
  none = secret_new ("", 0);
  return write_pin (self, staged, kind, pin != NULL ? pin : none, error) &&
         pin_readers_copy (path, staged, error);
}

gboolean
store_stage_no_pins (Store *self, const char *token, GError **error)
{
  g_autoptr (Secret) none = secret_new ("", 0);

  for (StorePin kind = STORE_PIN_USER; kind <= STORE_PIN_SO; kind++)
    {
      g_autofree char *path = store_get_pin_path (self, token, kind);
      g_autofree char *staged = g_strconcat (path, STORE_STAGED GONE, NULL);

      if (g_file_test (path, G_FILE_TEST_EXISTS) && !write_pin (self, staged, kind, none, error))
        return FALSE;
    }
  return TRUE;
}

/*
 * The names that staged PINs of the store as it is have, each with the name that it gets; and the names that PINs of
 * tokens that are there get, each with itself.
 */
static GHashTable *
list_valid_names (Store *self, GError **error)
{
  g_autoptr (GHashTable) names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr (sqlite3) database = NULL;
  g_auto (GStrv) labels = NULL;

  if (!store_exists (self))
    return g_steal_pointer (&names);
  database = store_database_open (self->database, error);
  labels = database != NULL ? store_database_list_tokens (database, error) : NULL;
  if (labels == NULL)
    return NULL;
  for (char **label = labels; *label != NULL; label++)
    for (StorePin kind = STORE_PIN_USER; kind <= STORE_PIN_SO; kind++)
      {
        g_autofree char *path = store_get_pin_path (self, *label, kind);
        g_autofree char *sum =
            store_database_sum_seal (database, *label, kind == STORE_PIN_SO, NULL);
        char *staged = sum != NULL ? g_strconcat (path, STORE_STAGED, sum, NULL) : NULL;

        if (staged != NULL)
          g_hash_table_insert (names, staged, g_strdup (path));
        g_hash_table_insert (names, path, g_strdup (path));
        path = NULL;
      }
  return g_steal_pointer (&names);
}

GPtrArray *
store_list_staged (const char *path, GError **error)
{
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (path, 0, error);
  const char *name;

  if (dir == NULL)
    {
      store_convert_error (error);
      return NULL;
    }
  while ((name = g_dir_read_name (dir)) != NULL)
    if (strstr (name, STORE_STAGED) != NULL)
      g_ptr_array_add (paths, g_build_filename (path, name, NULL));
  return g_steal_pointer (&paths);
}

/* Where a staged PIN belongs; NULL: nowhere. */
static char *
find_place (const char *staged, GHashTable *names)
{
  g_autofree char *place = NULL;

  if (!g_str_has_suffix (staged, STORE_STAGED GONE))
    return g_strdup (g_hash_table_lookup (names, staged));
  place = g_strndup (staged, strlen (staged) - strlen (STORE_STAGED GONE));
  return g_hash_table_contains (names, place) ? NULL : g_steal_pointer (&place);
}

/* @place: where it belongs; NULL: nowhere. An empty one says that the PIN of this state of the store is not known. */
static gboolean
settle (const char *path, const char *place, GError **error)
{
  struct stat status;
  gboolean is_none;

  if (stat (path, &status) < 0)
    return store_set_errno ("cannot look at", path, error);
  is_none = place != NULL && status.st_size == 0;
  if (is_none && g_unlink (place) < 0 && errno != ENOENT)
    return store_set_errno ("cannot remove", place, error);
  if (place != NULL && !is_none ? g_rename (path, place) < 0 : g_unlink (path) < 0)
    return store_set_errno ("cannot settle", path, error);
  return TRUE;
}

gboolean
store_settle_pins (Store *self, GError **error)
{
  g_autoptr (GPtrArray) staged = store_list_staged (self->pins, error);
  g_autoptr (GHashTable) names = NULL;

  if (staged == NULL)
    return FALSE;
  if (staged->len == 0)
    return TRUE;
  names = list_valid_names (self, error);
  if (names == NULL)
    return FALSE;
  for (guint i = 0; i < staged->len; i++)
    {
      g_autofree char *place = find_place (staged->pdata[i], names);

      if (!settle (staged->pdata[i], place, error))
        return FALSE;
    }
  return atomic_file_sync_dir (self->pins, error) || store_convert_error (error);
}
