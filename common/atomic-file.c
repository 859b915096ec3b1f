/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "atomic-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a temporary file's name: .NAME.XXXXXX */
#define RANDOM_PART "XXXXXX"

static gboolean
set_errno_error (GError **error, const char *what, const char *path)
{
  int saved_errno = errno;

  g_set_error (
      error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "%s %s: %s%s", what, path,
      g_strerror (saved_errno),
      saved_errno == ENOSPC || saved_errno == EDQUOT ? "; make room there, then do it again" : "");
  return FALSE;
}

static gboolean
write_all (int fd, const guint8 *data, gsize len)
{
  while (len > 0)
    {
      ssize_t n = write (fd, data, len);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return FALSE;
      data += n;
      len -= (gsize)n;
    }
  return TRUE;
}

static gboolean
fill_file (int fd,
           const char *path,
           const void *data,
           gsize len,
           mode_t mode,
           gid_t gid,
           GError **error)
{
  if (!write_all (fd, data, len))
    return set_errno_error (error, "cannot write", path);
  if (gid != (gid_t)-1 && fchown (fd, (uid_t)-1, gid) < 0)
    return set_errno_error (error, "cannot set the group of", path);
  if (fchmod (fd, mode) < 0)
    return set_errno_error (error, "cannot set the mode of", path);
  if (fsync (fd) < 0)
    return set_errno_error (error, "cannot sync", path);
  return TRUE;
}

gboolean
atomic_file_sync_dir (const char *dir, GError **error)
{
  int fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;

  if (!ok)
    set_errno_error (error, "cannot sync", dir);
  if (fd >= 0)
    close (fd);
  return ok;
}

gboolean
atomic_file_write (const char *path,
                   const void *data,
                   gsize len,
                   mode_t mode,
                   gid_t gid,
                   GError **error)
{
  g_autofree char *dir = g_path_get_dirname (path);
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *temporary = g_strdup_printf ("%s/.%s." RANDOM_PART, dir, base);
  int fd = mkostemp (temporary, O_CLOEXEC);
  gboolean ok;

  if (fd < 0)
    return set_errno_error (error, "cannot create a file beside", path);
  ok = fill_file (fd, path, data, len, mode, gid, error);
  /* close() may be where a full disk shows */
  if (close (fd) < 0 && ok)
    ok = set_errno_error (error, "cannot write", path);
  if (ok && rename (temporary, path) < 0)
    ok = set_errno_error (error, "cannot replace", path);
  if (!ok)
    {
      unlink (temporary);
      return FALSE;
    }
  return atomic_file_sync_dir (dir, error);
}

static gboolean
is_leftover (const char *name)
{
  const char *dot = strrchr (name, '.');

  return name[0] == '.' && dot > name + 1 && strlen (dot + 1) == strlen (RANDOM_PART);
}

gboolean
atomic_file_remove_leftovers (const char *dir, GError **error)
{
  g_autoptr (GDir) entries = g_dir_open (dir, 0, error);
  const char *name;

  if (entries == NULL)
    return FALSE;
  while ((name = g_dir_read_name (entries)) != NULL)
    {
      g_autofree char *path = g_build_filename (dir, name, NULL);

      if (is_leftover (name) && g_file_test (path, G_FILE_TEST_IS_REGULAR) && unlink (path) < 0)
        return set_errno_error (error, "cannot remove", path);
    }
  return TRUE;
}
