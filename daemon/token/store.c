/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "store.h"

#include "build-config.h"
#include "common/atomic-file.h"
#include "dbus/error.h"
#include "token/primary.h"
#include "token/store-database.h"
#include "token/store-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_MODE 01770
#define PINS_MODE  0751 /* readers that are not in the group look up one name, and list nothing */
#define DRAWN_MODE 0700

gboolean
store_set_errno (const char *what, const char *path, GError **error)
{
  int saved_errno = errno;

  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "%s %s: %s", what, path,
               g_strerror (saved_errno));
  return FALSE;
}

gboolean
store_convert_error (GError **error)
{
  if (error != NULL && *error != NULL)
    {
      (*error)->domain = GGTPM_ERROR;
      (*error)->code = GGTPM_ERROR_STORE;
    }
  return FALSE;
}

static gid_t
find_group (void)
{
  char buffer[4096];
  struct group group;
  struct group *found = NULL;

  if (getgrnam_r (GGTPM_GROUP, &group, buffer, sizeof buffer, &found) != 0 || found == NULL)
    return (gid_t)-1;
  return found->gr_gid;
}

/* The group first: chown() clears the mode's special bits. */
static gboolean
set_owner_and_mode (const char *path, mode_t mode, gid_t group, GError **error)
{
  struct stat status;

  if (stat (path, &status) < 0)
    return store_set_errno ("cannot look at", path, error);
  if (group != (gid_t)-1 && status.st_gid != group)
    {
      if (chown (path, (uid_t)-1, group) == 0)
        /* to be set anew */
        status.st_mode = 0;
      else if (errno == EPERM)
        g_message ("cannot give %s to group %s: consumers outside of this user cannot read it",
                   path, GGTPM_GROUP);
      else
        return store_set_errno ("cannot change the group of", path, error);
    }
  if ((status.st_mode & 07777) == mode || chmod (path, mode) == 0)
    return TRUE;
  if (errno != EPERM)
    return store_set_errno ("cannot change the mode of", path, error);
  g_warning ("%s belongs to another user: its mode should be %04o, not %04o", path, (guint)mode,
             (guint)status.st_mode & 07777);
  return TRUE;
}

static gboolean
make_directory (const char *path, mode_t mode, gid_t group, GError **error)
{
  if (g_mkdir_with_parents (path, (int)(mode & 0777)) < 0)
    return store_set_errno ("cannot create", path, error);
  return set_owner_and_mode (path, mode, group, error);
}

/* The helper of a killed daemon may still be writing there: under another name it does not find it. */
static gboolean
remove_staging (Store *self, GError **error)
{
  g_autofree char *old = g_strconcat (self->staging, ".old", NULL);

  if (!store_remove_tree (old, error))
    return FALSE;
  if (!g_file_test (self->staging, G_FILE_TEST_EXISTS))
    return TRUE;
  if (rename (self->staging, old) < 0)
    return store_set_errno ("cannot rename", self->staging, error);
  return store_remove_tree (old, error);
}

gboolean
store_settle (Store *self, GError **error)
{
  return store_settle_pins (self, error) && store_settle_files (self, error);
}

Store *
store_new (const Config *config, GError **error)
{
  g_autoptr (Store) self = g_new0 (Store, 1);

  self->state_dir = g_strdup (config->state_dir);
  self->dir = g_build_filename (config->state_dir, STORE_DIRECTORY_NAME, NULL);
  self->database = g_build_filename (self->dir, STORE_DATABASE_NAME, NULL);
  self->pins = g_build_filename (config->state_dir, STORE_PINS_NAME, NULL);
  self->drawn = g_build_filename (config->state_dir, "drawn-pins", NULL);
  self->staging = g_build_filename (config->state_dir, STORE_DIRECTORY_NAME ".staging", NULL);
  self->group = find_group ();
  self->refused = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  if (!make_directory (self->dir, STORE_MODE, self->group, error) ||
      !make_directory (self->pins, PINS_MODE, self->group, error) ||
      !make_directory (self->drawn, DRAWN_MODE, (gid_t)-1, error) ||
      (store_exists (self) &&
       !set_owner_and_mode (self->database, STORE_DATABASE_MODE, self->group, error)) ||
      !remove_staging (self, error))
    return NULL;
  if (!atomic_file_remove_leftovers (config->state_dir, error) ||
      !atomic_file_remove_leftovers (self->pins, error) ||
      !atomic_file_remove_leftovers (self->drawn, error))
    {
      store_convert_error (error);
      return NULL;
    }
  if (!store_settle (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
store_free (Store *self)
{
  if (self == NULL)
    return;
  g_free (self->state_dir);
  g_free (self->dir);
  g_free (self->database);
  g_free (self->pins);
  g_free (self->drawn);
  g_free (self->staging);
  g_hash_table_unref (self->refused);
  g_free (self);
}

const char *
store_get_dir (Store *self)
{
  return self->dir;
}

const char *
store_get_database (Store *self)
{
  return self->database;
}

gboolean
store_exists (Store *self)
{
  return g_file_test (self->database, G_FILE_TEST_EXISTS);
}

gboolean
store_exists_below (const char *state_dir)
{
  g_autofree char *database =
      g_build_filename (state_dir, STORE_DIRECTORY_NAME, STORE_DATABASE_NAME, NULL);

  return g_file_test (database, G_FILE_TEST_EXISTS);
}

gboolean
store_has_token (Store *self, const char *token, gboolean *out_found, GError **error)
{
  g_autoptr (sqlite3) database = NULL;

  if (!store_exists (self))
    {
      *out_found = FALSE;
      return TRUE;
    }
  database = store_database_open (self->database, error);
  return database != NULL && store_database_has_token (database, token, out_found, error);
}

guint32
store_find_parent (Store *self, const char *token)
{
  g_autoptr (sqlite3) database = store_database_open (self->database, NULL);
  g_autoptr (GBytes) blob = database != NULL ? store_database_find_primary (database, token) : NULL;
  TPM2_HANDLE handle;
  TPM2B_NAME name;

  return blob != NULL && primary_parse_blob (blob, &handle, &name) ? handle : 0;
}

gboolean
store_check_database (Store *self, GError **error)
{
  g_autoptr (sqlite3) database = store_database_open (self->database, error);

  return database != NULL && store_database_freeze (database, error) &&
         store_database_check (database, error);
}

char *
store_make_stamp (const char *path)
{
  struct stat status;

  if (stat (path, &status) < 0)
    return g_strdup ("none");
  return g_strdup_printf ("%" G_GUINT64_FORMAT "-%" G_GINT64_FORMAT ".%09ld-%" G_GINT64_FORMAT,
                          (guint64)status.st_ino, (gint64)status.st_mtim.tv_sec,
                          status.st_mtim.tv_nsec, (gint64)status.st_size);
}

char *
store_get_stamp (Store *self)
{
  return store_make_stamp (self->database);
}
