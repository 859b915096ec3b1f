/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "store-private.h"

#include "common/atomic-file.h"
#include "dbus/error.h"
#include "token/primary.h"
#include "token/store-database.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Directories open at once while a tree is removed. */
#define MAX_OPEN_DIRS 8
/* Another process's last call may still put a file into a directory that was read already. */
#define REMOVE_TRIES 3

struct _StoreChange
{
  Store *store;
  char *dir;
  char *database;
  char *stamp;           /* of the original when it was copied */
  char *committed_stamp; /* of the copy; a rename leaves it as it is */
};

/* ---- the staging directory ---- */

static int
remove_entry (const char *path, const struct stat *status, int type, struct FTW *position)
{
  return remove (path) == 0 || errno == ENOENT ? 0 : -1;
}

gboolean
store_remove_tree (const char *path, GError **error)
{
  for (int i = 0; i < REMOVE_TRIES; i++)
    if (nftw (path, remove_entry, MAX_OPEN_DIRS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 ||
        errno == ENOENT)
      return TRUE;
    else if (errno != ENOTEMPTY)
      break;
  return store_set_errno ("cannot remove", path, error);
}

/* A name of its own each time: a helper of a killed daemon may still be writing into the last one. */
static gboolean
make_staging (StoreChange *self, GError **error)
{
  g_autofree char *dir = g_build_filename (self->store->staging, "XXXXXX", NULL);

  if (g_mkdir (self->store->staging, 0700) < 0 && errno != EEXIST)
    return store_set_errno ("cannot create", self->store->staging, error);
  if (g_mkdtemp (dir) == NULL)
    return store_set_errno ("cannot create", dir, error);
  self->dir = g_steal_pointer (&dir);
  self->database = g_build_filename (self->dir, STORE_DATABASE_NAME, NULL);
  return TRUE;
}

static gboolean
copy_original (StoreChange *self, GError **error)
{
  g_autoptr (sqlite3) original = store_database_open (self->store->database, error);

  /* Makes stamp and copy one state; also rolls back what a killed writer left. */
  if (original == NULL || !store_database_freeze (original, error) ||
      !store_database_check (original, error))
    return FALSE;
  self->stamp = store_get_stamp (self->store);
  return store_database_copy (original, self->database, error);
}

StoreChange *
store_change_new (Store *store, GError **error)
{
  g_autoptr (StoreChange) self = g_new0 (StoreChange, 1);

  self->store = store;
  if (!make_staging (self, error))
    return NULL;
  if (!store_exists (store))
    self->stamp = store_get_stamp (store);
  else if (!copy_original (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
store_change_free (StoreChange *self)
{
  g_autoptr (GError) error = NULL;

  if (self == NULL)
    return;
  if (self->dir != NULL && !store_remove_tree (self->dir, &error))
    g_message ("%s: it is left for the next start", error->message);
  rmdir (self->store->staging);
  g_free (self->dir);
  g_free (self->database);
  g_free (self->stamp);
  g_free (self->committed_stamp);
  g_free (self);
}

const char *
store_change_get_dir (StoreChange *self)
{
  return self->dir;
}

Store *
store_change_get_store (StoreChange *self)
{
  return self->store;
}

/* ---- changes by SQLite ---- */

gboolean
store_change_has_primary (StoreChange *self)
{
  g_autoptr (sqlite3) database = NULL;
  g_autoptr (GPtrArray) primaries = NULL;

  if (!g_file_test (self->database, G_FILE_TEST_EXISTS))
    return FALSE;
  database = store_database_open (self->database, NULL);
  if (database != NULL)
    primaries = store_database_list_primaries (database, FALSE, NULL);
  return primaries != NULL && primaries->len > 0;
}

/* The blobs of @primaries that have that name. */
static GPtrArray *
find_primaries (GPtrArray *primaries, GBytes *name)
{
  GPtrArray *found = g_ptr_array_new ();

  for (guint i = 0; i < primaries->len; i++)
    {
      TPM2_HANDLE handle;
      TPM2B_NAME its_name;

      if (primary_parse_blob (primaries->pdata[i], &handle, &its_name) &&
          its_name.size == g_bytes_get_size (name) &&
          memcmp (its_name.name, g_bytes_get_data (name, NULL), its_name.size) == 0)
        g_ptr_array_add (found, primaries->pdata[i]);
    }
  return found;
}

static gboolean
remove_primary (sqlite3 *database, GBytes *name, gboolean *out_used, GError **error)
{
  g_autoptr (GPtrArray) used = store_database_list_primaries (database, TRUE, error);
  g_autoptr (GPtrArray) all =
      used != NULL ? store_database_list_primaries (database, FALSE, error) : NULL;
  g_autoptr (GPtrArray) users = NULL;
  g_autoptr (GPtrArray) entries = NULL;

  if (all == NULL)
    return FALSE;
  users = find_primaries (used, name);
  entries = find_primaries (all, name);
  for (guint i = 0; i < entries->len; i++)
    if (!store_database_remove_primary (database, entries->pdata[i], error))
      return FALSE;
  *out_used = users->len > 0;
  return TRUE;
}

gboolean
store_change_remove_token (StoreChange *self,
                           const char *token,
                           GBytes *primary_name,
                           gboolean *out_primary_used,
                           GError **error)
{
  g_autoptr (sqlite3) database = store_database_open_copy (self->database, error);

  *out_primary_used = FALSE;
  return database != NULL && store_database_remove_token (database, token, error) &&
         (primary_name == NULL || remove_primary (database, primary_name, out_primary_used, error));
}

gboolean
store_change_add_primary (StoreChange *self, const guint8 *esys_blob, gsize len, GError **error)
{
  g_autoptr (sqlite3) database = store_database_open_copy (self->database, error);
  g_autoptr (GBytes) blob = g_bytes_new (esys_blob, len);

  return database != NULL && store_database_add_primary (database, blob, error);
}

gboolean
store_change_set_pss_sigs_good (StoreChange *self, const char *token, gboolean good, GError **error)
{
  g_autoptr (sqlite3) database = store_database_open_copy (self->database, error);

  return database != NULL && store_database_set_pss_sigs_good (database, token, good, error);
}

/* ---- commit ---- */

static gboolean
finish_staged (StoreChange *self, GError **error)
{
  g_autoptr (sqlite3) database = store_database_open (self->database, error);

  return database != NULL && store_database_check (database, error);
}

/* Owner, mode, and down to the disk. */
static gboolean
settle_file (StoreChange *self, GError **error)
{
  gid_t group = self->store->group;
  int fd = open (self->database, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  gboolean done = fd >= 0;

  if (done && group != (gid_t)-1 && fchown (fd, (uid_t)-1, group) < 0 && errno != EPERM)
    done = FALSE;
  done = done && fchmod (fd, STORE_DATABASE_MODE) == 0 && fsync (fd) == 0;
  if (!done)
    store_set_errno ("cannot settle", self->database, error);
  if (fd >= 0)
    close (fd);
  return done;
}

/* The lock, to be closed after the rename; NULL without error where there was no database. */
static sqlite3 *
lock_original (StoreChange *self, GError **error)
{
  g_autoptr (sqlite3) original = NULL;
  g_autofree char *stamp = NULL;

  if (store_exists (self->store))
    {
      original = store_database_open (self->store->database, error);
      if (original == NULL || !store_database_lock (original, error))
        return NULL;
    }
  stamp = store_get_stamp (self->store);
  if (strcmp (stamp, self->stamp) == 0)
    return g_steal_pointer (&original);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_BUSY,
               "%s was changed by another program meanwhile: nothing was done, try again",
               self->store->database);
  return NULL;
}

gboolean
store_change_commit (StoreChange *self, GError **error)
{
  g_autofree char *stamp = NULL;
  g_autoptr (GError) local_error = NULL;
  g_autoptr (sqlite3) lock = NULL;

  if (!finish_staged (self, error) || !settle_file (self, error))
    return FALSE;
  lock = lock_original (self, &local_error);
  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  stamp = store_make_stamp (self->database);
  if (rename (self->database, self->store->database) < 0)
    return store_set_errno ("cannot put in place", self->store->database, error);
  self->committed_stamp = g_steal_pointer (&stamp);
  if (atomic_file_sync_dir (self->store->dir, &local_error))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE,
               "%s is changed, but may not be on the disk: %s", self->store->database,
               local_error->message);
  return FALSE;
}

const char *
store_change_get_stamp (StoreChange *self)
{
  return self->committed_stamp;
}
