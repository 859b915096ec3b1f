/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "files.h"

#include "client/output.h"
#include "common/atomic-file.h"
#include "common/write.h"
#include "dbus/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUBLIC_MODE 0644
#define CHUNK       65536

gboolean
files_is_path (const char *name)
{
  return name != NULL && !g_str_equal (name, "-");
}

/* FALSE with @error ends the reading. */
typedef gboolean (*TakeFunc) (const guint8 *chunk,
                              gsize len,
                              const char *name,
                              gpointer user_data,
                              GError **error);

static gboolean
read_descriptor (int fd, const char *name, TakeFunc take, gpointer user_data, GError **error)
{
  guint8 chunk[CHUNK];

  for (;;)
    {
      ssize_t n_read = read (fd, chunk, sizeof chunk);

      if (n_read < 0 && errno == EINTR)
        continue;
      if (n_read < 0)
        {
          g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "%s: %s", name, g_strerror (errno));
          return FALSE;
        }
      if (n_read == 0)
        return TRUE;
      if (!take (chunk, (gsize)n_read, name, user_data, error))
        return FALSE;
    }
}

static gboolean
read_file (const char *name, TakeFunc take, gpointer user_data, GError **error)
{
  gboolean ok;
  int fd;

  if (!files_is_path (name))
    return read_descriptor (STDIN_FILENO, "standard input", take, user_data, error);
  fd = open (name, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "'%s' cannot be read: %s", name,
                   g_strerror (errno));
      return FALSE;
    }
  ok = read_descriptor (fd, name, take, user_data, error);
  close (fd);
  return ok;
}

typedef struct
{
  GByteArray *bytes;
  gsize max;
} Content;

static gboolean
take_content (const guint8 *chunk, gsize len, const char *name, gpointer user_data, GError **error)
{
  Content *content = user_data;

  g_byte_array_append (content->bytes, chunk, (guint)len);
  if (content->bytes->len <= content->max)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "%s: longer than %" G_GSIZE_FORMAT " bytes", name, content->max);
  return FALSE;
}

GBytes *
files_read (const char *name, gsize max, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  Content content = { bytes, max };

  return read_file (name, take_content, &content, error)
             ? g_byte_array_free_to_bytes (g_steal_pointer (&bytes))
             : NULL;
}

static gboolean
take_into_sum (const guint8 *chunk, gsize len, const char *name, gpointer user_data, GError **error)
{
  g_checksum_update (user_data, chunk, (gssize)len);
  return TRUE;
}

GBytes *
files_hash (const char *name, GChecksumType type, GError **error)
{
  g_autoptr (GChecksum) sum = g_checksum_new (type);
  gsize len = (gsize)g_checksum_type_get_length (type);
  g_autofree guint8 *digest = g_malloc (len);

  if (!read_file (name, take_into_sum, sum, error))
    return NULL;
  g_checksum_get_digest (sum, digest, &len);
  return g_bytes_new_take (g_steal_pointer (&digest), len);
}

/* A pipe or device is written to, not replaced. */
static gboolean
write_special (const char *path, const void *data, gsize len, GError **error)
{
  int fd = open (path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
  gboolean ok = fd >= 0 && write_all (fd, data, len);

  if (fd >= 0 && close (fd) != 0)
    ok = FALSE;
  if (!ok)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "'%s' cannot be written: %s", path,
                 g_strerror (errno));
  return ok;
}

gboolean
files_write (const char *path, const void *data, gsize len, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autofree char *target = NULL;
  char *resolved = NULL;
  struct stat status = { 0 };

  if (stat (path, &status) == 0 && !S_ISREG (status.st_mode))
    return write_special (path, data, len, error);

  /* A link stays a link. */
  resolved = realpath (path, NULL);
  if (resolved == NULL && lstat (path, &status) == 0)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "'%s' is a link that leads nowhere",
                   path);
      return FALSE;
    }
  target = g_strdup (resolved != NULL ? resolved : path);
  free (resolved);
  if (atomic_file_write (target, data, len, PUBLIC_MODE, (gid_t)-1, &local_error))
    return TRUE;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, local_error->message);
  return FALSE;
}

/* The nearest directory above @path that is there. */
static char *
find_directory (const char *path)
{
  char *dir = g_path_get_dirname (path);

  while (!g_file_test (dir, G_FILE_TEST_EXISTS))
    {
      char *above = g_path_get_dirname (dir);

      g_free (dir);
      dir = above;
    }
  return dir;
}

gboolean
files_check_target (const char *path, gboolean mkdir, GError **error)
{
  g_autofree char *dir = g_path_get_dirname (path);
  g_autofree char *nearest = find_directory (path);

  if (!mkdir && !g_file_test (dir, G_FILE_TEST_EXISTS))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                   "'%s' cannot be written: the directory '%s' does not exist. Make it, or name "
                   "another file",
                   path, dir);
      return FALSE;
    }
  if (g_file_test (path, G_FILE_TEST_EXISTS) &&
      !g_file_test (path, G_FILE_TEST_IS_REGULAR | G_FILE_TEST_IS_DIR))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "'%s' is not a regular file", path);
      return FALSE;
    }
  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    errno = EISDIR;
  else if (!g_file_test (nearest, G_FILE_TEST_IS_DIR))
    errno = ENOTDIR;
  else if (faccessat (AT_FDCWD, nearest, W_OK | X_OK, AT_EACCESS) == 0)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "'%s' cannot be written: %s", path,
               g_strerror (errno));
  return FALSE;
}

void
files_describe (GVariantBuilder *object, const char *name, const char *path)
{
  g_autofree char *valid = g_utf8_make_valid (path, -1);

  output_add (object, name, "s", valid);
}

gboolean
files_check_standard_input (const Options *options, const char *name, GError **error)
{
  if (files_is_path (name))
    return TRUE;
  if (g_strcmp0 (options->pin_file, "-") != 0 && g_strcmp0 (options->so_pin_file, "-") != 0)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "standard input cannot be both the PIN and the data: name a file for one of them");
  return FALSE;
}
