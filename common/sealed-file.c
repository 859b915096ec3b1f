/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "sealed-file.h"

#include "common/write.h"
#include "dbus/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int
sealed_file_new (const char *name, const void *data, gsize len, GError **error)
{
  int fd = memfd_create (name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

  if (fd >= 0 && write_all (fd, data, len) && lseek (fd, 0, SEEK_SET) == 0 &&
      fcntl (fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
    return fd;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "making a memory file: %s",
               g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return -1;
}

char *
sealed_file_read (int fd, const char *what, gsize max, gsize *out_len, GError **error)
{
  const int wanted = F_SEAL_WRITE | F_SEAL_SHRINK;
  int seals = fcntl (fd, F_GET_SEALS);
  struct stat status = { 0 };
  g_autofree char *text = NULL;

  if (seals < 0 || (seals & wanted) != wanted || fstat (fd, &status) != 0 || status.st_size < 0 ||
      (gsize)status.st_size > max)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "%s: not a memory file of at most %" G_GSIZE_FORMAT
                   " bytes, sealed against writing and shrinking",
                   what, max);
      return NULL;
    }
  text = g_malloc0 ((gsize)status.st_size + 1);
  if (pread (fd, text, (gsize)status.st_size, 0) != status.st_size)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s: cannot be read", what);
      return NULL;
    }
  *out_len = (gsize)status.st_size;
  return g_steal_pointer (&text);
}
