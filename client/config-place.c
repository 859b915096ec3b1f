/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "config-place.h"

#include "client/config-file.h"
#include "client/config-patch.h"
#include "client/output.h"
#include "common/sealed-file.h"
#include "common/secret.h"
#include "dbus/error.h"

#include "build-config.h"

#include <gio/gunixfdlist.h>

#include <errno.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX_BYTES (1024 * 1024)
#define DIRECTORY_MODE   0755

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
  *out_text = sealed_file_read (fd, "configuration", CONFIG_MAX_BYTES, out_len, error);
  close (fd);
  if (*out_text == NULL)
    return FALSE;
  *out_path = g_steal_pointer (&path);
  return TRUE;
}

/* ---- its place ---- */

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

static gboolean
find_group (const char *name, const char *path, gid_t *out_gid, GError **error)
{
  const struct group *group = NULL;
  struct stat status = { 0 };

  if (name == NULL && stat (path, &status) == 0)
    {
      *out_gid = may_give_to (status.st_gid) ? status.st_gid : (gid_t)-1;
      return TRUE;
    }
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

/* Those of systemd and p11-kit: everybody reads them, no secrets are in them, and their directories are made. */
static gboolean
is_public (const char *flavour)
{
  return g_str_equal (flavour, "drop-in") || g_str_equal (flavour, "p11-kit");
}

gboolean
config_place_check (const ConfigPlace *place, GError **error)
{
  gid_t gid = (gid_t)-1;

  return place->group == NULL || find_group (place->group, place->path, &gid, error);
}

static gboolean
write_place (const ConfigPlace *place,
             const char *text,
             gsize len,
             gboolean *out_changed,
             GError **error)
{
  gid_t gid = (gid_t)-1;

  if (place->public && place->group == NULL)
    gid = geteuid () == 0 ? 0 : (gid_t)-1;
  else if (!find_group (place->group, place->path, &gid, error))
    return FALSE;
  return check_directory (place->path, place->mkdir, error) &&
         config_file_write (place->path, text, len,
                            place->public ? CONFIG_FILE_PUBLIC_MODE : CONFIG_FILE_MODE, gid,
                            place->force, out_changed, error);
}

/* ---- one that was edited ---- */

static gboolean
may_patch (const ConfigPlace *place, const char *flavour)
{
  ConfigFileOwner owner = CONFIG_FILE_NOBODY;

  return !place->force && config_patch_supports (flavour) &&
         config_file_get_owner (place->path, &owner, NULL) && owner == CONFIG_FILE_EDITED;
}

/* The file's text as it should be; NULL with error */
static char *
patch (const ConfigPlace *place,
       const char *flavour,
       GVariant *arguments,
       const char *fresh,
       GPtrArray *changes,
       gboolean *out_current,
       GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autofree char *text = NULL;
  char *patched = NULL;
  gsize len = 0;

  if (!g_file_get_contents (place->path, &text, &len, &local_error))
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, local_error->message);
      return NULL;
    }
  patched = config_patch_apply (flavour, fresh, place->keep ? NULL : arguments, text, len, changes,
                                &local_error);
  if (patched == NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
                 "'%s' was changed since ggtpmctl wrote it, and cannot be kept current: %s. It was "
                 "not touched: put that right, or move it away; `ggtpmctl config write --force` "
                 "replaces it",
                 place->path, local_error->message);
  else
    *out_current = g_str_equal (patched, text);
  secret_wipe (text, len);
  return patched;
}

static gboolean
update (const ConfigPlace *place,
        const char *flavour,
        GVariant *arguments,
        const char *fresh,
        gboolean *out_changed,
        GError **error)
{
  gboolean current = FALSE;
  g_autofree char *patched = patch (place, flavour, arguments, fresh, NULL, &current, error);
  gboolean done;

  if (patched == NULL)
    return FALSE;
  done = config_file_update (place->path, patched, strlen (patched), out_changed, error);
  secret_wipe (patched, strlen (patched));
  return done;
}

/* Of a file of ours, which is written anew. */
static gboolean
compare_whole (const ConfigPlace *place,
               const char *flavour,
               const char *fresh,
               gsize fresh_len,
               GPtrArray *changes,
               gboolean *out_current,
               GError **error)
{
  g_autofree char *text = NULL;
  gsize len = 0;

  if (!config_file_compare (place->path, fresh, fresh_len, out_current, error))
    return FALSE;
  if (fresh != NULL && !*out_current && g_file_get_contents (place->path, &text, &len, NULL))
    {
      config_patch_compare (flavour, fresh, text, len, changes);
      secret_wipe (text, len);
    }
  return TRUE;
}

gboolean
config_place_compare (const ConfigPlace *place,
                      const char *flavour,
                      GVariant *arguments,
                      const char *text,
                      gsize len,
                      GPtrArray *changes,
                      gboolean *out_current,
                      GError **error)
{
  g_autofree char *patched = NULL;

  if (!may_patch (place, flavour))
    return compare_whole (place, flavour, text, len, changes, out_current, error);
  if (text == NULL)
    {
      *out_current = FALSE;
      return TRUE;
    }
  patched = patch (place, flavour, arguments, text, changes, out_current, error);
  if (patched == NULL)
    return FALSE;
  secret_wipe (patched, strlen (patched));
  return TRUE;
}

static gboolean
remember (Client *client,
          const char *path,
          const char *flavour,
          GVariant *arguments,
          GError **error)
{
  if (ggtpm_provisioning_call_remember_config_sync (client->provisioning, path, flavour, arguments,
                                                    client_get_flags (client),
                                                    client_get_timeout_ms (client), NULL, error))
    return TRUE;
  client_convert_error (error);
  g_prefix_error (error, "'%s' is written, but will not be kept current: ", path);
  return FALSE;
}

gboolean
config_place_put (Client *client,
                  const char *flavour,
                  GVariant *arguments,
                  const ConfigPlace *place,
                  char **out_path,
                  gboolean *out_changed,
                  GError **error)
{
  g_autofree char *text = NULL;
  g_autofree char *default_path = NULL;
  g_autofree char *path = NULL;
  ConfigPlace where = *place;
  gboolean done;
  gsize len = 0;

  if (!config_place_render (client, flavour, arguments, &text, &len, &default_path, error))
    return FALSE;
  path = g_canonicalize_filename (place->path != NULL ? place->path : default_path, NULL);
  where.path = path;
  if (is_public (flavour))
    where.public = where.mkdir = TRUE;
  done = may_patch (&where, flavour) ? update (&where, flavour, arguments, text, out_changed, error)
                                     : write_place (&where, text, len, out_changed, error);
  secret_wipe (text, len);
  if (!done || !remember (client, path, flavour, arguments, error))
    return FALSE;
  *out_path = g_steal_pointer (&path);
  return TRUE;
}

/* ---- those that were placed ---- */

void
config_place_read (GVariant *config, const char **out_path, const char **out_flavour)
{
  g_variant_get (config, "(&s&s@a{ss})", out_path, out_flavour, NULL);
}

GVariant *
config_place_get_arguments (GVariant *config)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GVariantIter) iter = NULL;
  const char *name;
  const char *value;

  g_variant_get (config, "(&s&sa{ss})", NULL, NULL, &iter);
  while (g_variant_iter_loop (iter, "{&s&s}", &name, &value))
    output_add (&dict, name, "s", value);
  return g_variant_ref_sink (g_variant_builder_end (&dict));
}

gboolean
config_place_remove (Client *client, const char *path, gboolean force, GError **error)
{
  g_autofree char *canonical = g_canonicalize_filename (path, NULL);
  GVariantBuilder none = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (!config_file_remove (canonical, force, error))
    return FALSE;
  if (ggtpm_provisioning_call_forget_config_sync (
          client->provisioning, canonical, g_variant_builder_end (&none), client_get_flags (client),
          client_get_timeout_ms (client), NULL, error))
    return TRUE;
  client_convert_error (error);
  return FALSE;
}
