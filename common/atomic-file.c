/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "atomic-file.h"

#include "common/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a temporary file's name, .NAME.ggtpm-new: always the same: the next writer finds what a killed one left. */
#define TEMPORARY_SUFFIX ".ggtpm-new"
/* Others may come between finding and taking the name: so often. */
#define MAX_TRIES 100

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

/* ---- the temporary file ---- */

static char *
make_temporary_path (const char *path)
{
  g_autofree char *dir = g_path_get_dirname (path);
  g_autofree char *base = g_path_get_basename (path);

  return g_strdup_printf ("%s/.%s" TEMPORARY_SUFFIX, dir, base);
}

static gboolean
is_at (int fd, const char *path)
{
  struct stat opened = { 0 };
  struct stat named = { 0 };

  return fstat (fd, &opened) == 0 && lstat (path, &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

/* Waits for whoever is writing it now; what nobody writes any more goes. FALSE with errno. */
static gboolean
remove_leftover (const char *temporary)
{
  struct stat status = { 0 };
  int fd = -1;
  gboolean ok;

  if (lstat (temporary, &status) < 0)
    return errno == ENOENT;
  /* Not one of ours: nobody need be waited for. */
  if (!S_ISREG (status.st_mode) || status.st_uid != geteuid ())
    return unlink (temporary) == 0 || errno == ENOENT;
  fd = open (temporary, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT;
  ok = flock (fd, LOCK_EX) == 0 &&
       (!is_at (fd, temporary) || unlink (temporary) == 0 || errno == ENOENT);
  close (fd);
  return ok;
}

/* New, 0600, and locked for as long as it is open. -1 with errno. */
static int
open_temporary (const char *temporary)
{
  for (guint i = 0; i < MAX_TRIES; i++)
    {
      int fd = open (temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

      if (fd < 0 && (errno != EEXIST || !remove_leftover (temporary)))
        return -1;
      if (fd < 0)
        continue;
      /* Before the lock another one may have taken it for a leftover. */
      if (flock (fd, LOCK_EX | LOCK_NB) == 0 && is_at (fd, temporary))
        return fd;
      close (fd);
    }
  errno = EBUSY;
  return -1;
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
  g_autofree char *temporary = make_temporary_path (path);
  int fd = open_temporary (temporary);
  gboolean ok;

  if (fd < 0)
    return set_errno_error (error, "cannot create a file beside", path);
  ok = fill_file (fd, path, data, len, mode, gid, error);
  /* Locked until it has its name: after fsync() nothing is left for close() to tell. */
  if (ok && rename (temporary, path) < 0)
    ok = set_errno_error (error, "cannot replace", path);
  if (!ok)
    unlink (temporary);
  close (fd);
  if (!ok)
    return FALSE;
  return atomic_file_sync_dir (dir, error);
}

gboolean
atomic_file_forget (const char *path, GError **error)
{
  g_autofree char *temporary = make_temporary_path (path);

  return remove_leftover (temporary) || set_errno_error (error, "cannot remove", temporary);
}

static gboolean
is_leftover (const char *name)
{
  return name[0] == '.' && g_str_has_suffix (name, TEMPORARY_SUFFIX);
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
