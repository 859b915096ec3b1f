/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "config-place.h"

#include "client/config-file.h"
#include "dbus/error.h"

#include "build-config.h"

#include <gio/gunixfdlist.h>

#include <errno.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX_BYTES (1024 * 1024)
#define DIRECTORY_MODE   0755

/* The memory file from its beginning, wherever its offset is. The text has the PIN: wiped by its reader. */
static char *
read_text (int fd, gsize *out_len, GError **error)
{
  struct stat status = { 0 };
  g_autofree char *text = NULL;
  gsize len = 0;

  if (fstat (fd, &status) != 0 || status.st_size < 0 || status.st_size > CONFIG_MAX_BYTES)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                   "ggtpmd sent a configuration that is not a file of at most %d bytes",
                   CONFIG_MAX_BYTES);
      return NULL;
    }
  text = g_malloc0 ((gsize)status.st_size + 1);
  while (len < (gsize)status.st_size)
    {
      ssize_t n_read = pread (fd, text + len, (gsize)status.st_size - len, (off_t)len);

      if (n_read < 0 && errno == EINTR)
        continue;
      if (n_read <= 0)
        break;
      len += (gsize)n_read;
    }
  *out_len = len;
  return g_steal_pointer (&text);
}

gboolean
config_place_render (Client *client,
                     const char *flavour,
                     GVariant *arguments,
                     char **out_text,
                     gsize *out_len,
                     char **out_path,
                     GError **error)
{
  g_autoptr (GUnixFDList) descriptors = NULL;
  g_autoptr (GVariant) handle = NULL;
  g_autoptr (GError) local_error = NULL;
  g_autofree char *path = NULL;
  int fd = -1;

  if (!ggtpm_provisioning_call_render_config_sync (
          client->provisioning, flavour, arguments, client_get_flags (client),
          client_get_timeout_ms (client), NULL, &handle, &path, &descriptors, NULL, &local_error))
    {
      client_convert_error (&local_error);
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  fd = descriptors != NULL
           ? g_unix_fd_list_get (descriptors, g_variant_get_handle (handle), &local_error)
           : -1;
  if (fd < 0)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "ggtpmd sent no configuration%s%s",
                   local_error != NULL ? ": " : "",
                   local_error != NULL ? local_error->message : "");
      return FALSE;
    }
  *out_text = read_text (fd, out_len, error);
  close (fd);
  if (*out_text == NULL)
    return FALSE;
  *out_path = g_steal_pointer (&path);
  return TRUE;
}

static gboolean
may_give_to (gid_t gid)
{
  gid_t groups[NGROUPS_MAX];
  int n_groups = getgroups (NGROUPS_MAX, groups);

  if (geteuid () == 0 || getegid () == gid)
    return TRUE;
  for (int i = 0; i < n_groups; i++)
    if (groups[i] == gid)
      return TRUE;
  return FALSE;
}

/* @name: NULL: the daemon's group, where it exists and the caller can give files to it */
static gboolean
find_group (const char *name, gid_t *out_gid, GError **error)
{
  const struct group *group = NULL;

  errno = 0;
  group = getgrnam (name != NULL ? name : GGTPM_GROUP);
  if (name == NULL)
    {
      *out_gid = group != NULL && may_give_to (group->gr_gid) ? group->gr_gid : (gid_t)-1;
      return TRUE;
    }
  if (group == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "group '%s': no such group", name);
      return FALSE;
    }
  *out_gid = group->gr_gid;
  return TRUE;
}

static gboolean
check_directory (const char *path, gboolean make, GError **error)
{
  g_autofree char *dir = g_path_get_dirname (path);

  if (g_file_test (dir, G_FILE_TEST_IS_DIR))
    return TRUE;
  if (!make)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                   "the directory '%s' does not exist: --mkdir makes it, --path names another file",
                   dir);
      return FALSE;
    }
  if (g_mkdir_with_parents (dir, DIRECTORY_MODE) == 0)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "the directory '%s' cannot be made: %s", dir,
               g_strerror (errno));
  return FALSE;
}

gboolean
config_place_write (const ConfigPlace *place,
                    const char *text,
                    gsize len,
                    gboolean *out_changed,
                    GError **error)
{
  gid_t gid = (gid_t)-1;

  return find_group (place->group, &gid, error) &&
         check_directory (place->path, place->mkdir, error) &&
         config_file_write (place->path, text, len, gid, place->force, out_changed, error);
}
