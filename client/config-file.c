/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "config-file.h"

#include "common/atomic-file.h"
#include "common/secret.h"
#include "dbus/error.h"
#include "dbus/names.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static char *
make_stamp_path (const char *path)
{
  g_autofree char *dir = g_path_get_dirname (path);
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *above = NULL;
  g_autofree char *dir_base = NULL;

  if (!g_str_has_suffix (base, ".module"))
    return g_strdup_printf ("%s/.%s%s", dir, base, GGTPM_STAMP_SUFFIX);
  above = g_path_get_dirname (dir);
  dir_base = g_path_get_basename (dir);
  return g_strdup_printf ("%s/.%s.%s%s", above, dir_base, base, GGTPM_STAMP_SUFFIX);
}

/* SHA-256 of the file as it is; NULL with error. */
static char *
get_sum (const char *path, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autofree char *content = NULL;
  char *sum = NULL;
  gsize len = 0;

  if (!g_file_get_contents (path, &content, &len, &local_error))
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, local_error->message);
      return NULL;
    }
  sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, content, (gssize)len);
  secret_wipe (content, len);
  return sum;
}

static ConfigFileOwner
check_stamp (const char *path, const char *sum)
{
  g_autofree char *stamp_path = make_stamp_path (path);
  g_autofree char *stamp = NULL;
  g_auto (GStrv) sums = NULL;

  if (!g_file_get_contents (stamp_path, &stamp, NULL, NULL))
    return CONFIG_FILE_OTHERS;
  sums = g_strsplit_set (stamp, "\r\n", -1);
  return g_strv_contains ((const char *const *)sums, sum) ? CONFIG_FILE_US : CONFIG_FILE_EDITED;
}

/* @out_sum: of the file that is there; NULL where there is none */
static gboolean
get_owner (const char *path,
           ConfigFileOwner *out_owner,
           struct stat *out_status,
           char **out_sum,
           GError **error)
{
  g_autofree char *sum = NULL;
  struct stat status = { 0 };

  if (lstat (path, &status) != 0)
    {
      *out_owner = CONFIG_FILE_NOBODY;
      if (errno == ENOENT)
        return TRUE;
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "'%s': %s", path, g_strerror (errno));
      return FALSE;
    }
  if (!S_ISREG (status.st_mode))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
                   "'%s' is not a regular file, it is left alone: --path names another", path);
      return FALSE;
    }
  sum = get_sum (path, error);
  if (sum == NULL)
    return FALSE;
  *out_owner = check_stamp (path, sum);
  *out_status = status;
  *out_sum = g_steal_pointer (&sum);
  return TRUE;
}

static gboolean
check_owner (const char *path, ConfigFileOwner owner, gboolean force, GError **error)
{
  if (owner == CONFIG_FILE_NOBODY || owner == CONFIG_FILE_US || force)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
               "'%s' %s: it was not touched. Move it away, or use `ggtpmctl config` with --force",
               path,
               owner == CONFIG_FILE_EDITED ? "was changed since ggtpmctl wrote it"
                                           : "is there and was not written by ggtpmctl");
  return FALSE;
}

static gboolean
write_file (const char *path, const char *text, gsize len, mode_t mode, gid_t gid, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (atomic_file_write (path, text, len, mode, gid, &local_error))
    return TRUE;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, local_error->message);
  return FALSE;
}

/* @old_sum: NULL: none */
static gboolean
write_stamp (const char *path,
             const char *sum,
             const char *old_sum,
             mode_t mode,
             gid_t gid,
             GError **error)
{
  g_autofree char *stamp_path = make_stamp_path (path);
  g_autofree char *stamp = g_strdup_printf ("%s\n%s%s", sum, old_sum != NULL ? old_sum : "",
                                            old_sum != NULL ? "\n" : "");

  return write_file (stamp_path, stamp, strlen (stamp), mode, gid, error);
}

/* A killed run may have been at either of them. */
static gboolean
forget_leftovers (const char *path, GError **error)
{
  g_autofree char *stamp_path = make_stamp_path (path);
  g_autoptr (GError) local_error = NULL;

  if (atomic_file_forget (path, &local_error) && atomic_file_forget (stamp_path, &local_error))
    return TRUE;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, local_error->message);
  return FALSE;
}

gboolean
config_file_write (const char *path,
                   const char *text,
                   gsize len,
                   mode_t mode,
                   gid_t gid,
                   gboolean force,
                   gboolean *out_changed,
                   GError **error)
{
  ConfigFileOwner owner = CONFIG_FILE_NOBODY;
  struct stat status = { 0 };
  g_autofree char *old_sum = NULL;
  g_autofree char *sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, (gssize)len);

  if (!get_owner (path, &owner, &status, &old_sum, error) ||
      !check_owner (path, owner, force, error))
    return FALSE;

  if (owner == CONFIG_FILE_US && g_str_equal (sum, old_sum) && (status.st_mode & 07777) == mode &&
      (gid == (gid_t)-1 || status.st_gid == gid))
    {
      *out_changed = FALSE;
      return forget_leftovers (path, error);
    }

  /* The old file stays ours until the new one is in its place; a foreign one never becomes ours. */
  if (!write_stamp (path, sum, owner == CONFIG_FILE_US ? old_sum : NULL, mode, gid, error) ||
      !write_file (path, text, len, mode, gid, error) ||
      !write_stamp (path, sum, NULL, mode, gid, error))
    return FALSE;
  *out_changed = TRUE;
  return TRUE;
}

gboolean
config_file_update (const char *path,
                    const char *text,
                    gsize len,
                    gboolean *out_changed,
                    GError **error)
{
  ConfigFileOwner owner = CONFIG_FILE_NOBODY;
  struct stat status = { 0 };
  g_autofree char *old_sum = NULL;
  g_autofree char *sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, (gssize)len);

  if (!get_owner (path, &owner, &status, &old_sum, error))
    return FALSE;
  if (g_strcmp0 (sum, old_sum) == 0)
    {
      *out_changed = FALSE;
      return forget_leftovers (path, error);
    }
  if (!write_file (path, text, len, status.st_mode & 07777, status.st_gid, error))
    return FALSE;
  if (status.st_uid != geteuid () && lchown (path, status.st_uid, (gid_t)-1) != 0)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "the owner of '%s' cannot be set: %s",
                   path, g_strerror (errno));
      return FALSE;
    }
  *out_changed = TRUE;
  return TRUE;
}

gboolean
config_file_compare (const char *path,
                     const char *text,
                     gsize len,
                     gboolean *out_current,
                     GError **error)
{
  ConfigFileOwner owner = CONFIG_FILE_NOBODY;
  struct stat status = { 0 };
  g_autofree char *sum = NULL;
  g_autofree char *wanted = NULL;

  if (!get_owner (path, &owner, &status, &sum, error) || !check_owner (path, owner, FALSE, error))
    return FALSE;
  if (text != NULL)
    wanted = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, (gssize)len);
  *out_current = owner == CONFIG_FILE_US && g_strcmp0 (sum, wanted) == 0;
  return TRUE;
}

gboolean
config_file_get_owner (const char *path, ConfigFileOwner *out_owner, GError **error)
{
  struct stat status = { 0 };
  g_autofree char *sum = NULL;

  return get_owner (path, out_owner, &status, &sum, error);
}

gboolean
config_file_remove (const char *path, gboolean force, GError **error)
{
  ConfigFileOwner owner = CONFIG_FILE_NOBODY;
  g_autofree char *stamp_path = make_stamp_path (path);

  if (!config_file_get_owner (path, &owner, error) || !check_owner (path, owner, force, error))
    return FALSE;
  /* The stamp goes last: what is left after a power cut is ours. */
  if ((g_unlink (path) == 0 || errno == ENOENT) && (g_unlink (stamp_path) == 0 || errno == ENOENT))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "'%s' cannot be removed: %s", path,
               g_strerror (errno));
  return FALSE;
}
