/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/files.h"
#include "client/output.h"
#include "common/atomic-file.h"
#include "common/sealed-file.h"
#include "common/secret.h"
#include "dbus/error.h"

#include <gio/gunixfdlist.h>

#include <unistd.h>

#define BACKUP_MODE      0600
#define BACKUP_MAX_BYTES (16 * 1024 * 1024)

static gboolean
convert (GError *local_error, GError **error)
{
  client_convert_error (&local_error);
  g_propagate_error (error, local_error);
  return FALSE;
}

static void
print_path (Client *client, const char *name, const char *path)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (!client->json)
    return;
  files_describe (&dict, name, path);
  output_json (g_variant_builder_end (&dict));
}

/* backup */

static char *
fetch (Client *client, gboolean with_pins, gsize *out_len, GError **error)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GUnixFDList) descriptors = NULL;
  g_autoptr (GVariant) handle = NULL;
  GError *local_error = NULL;
  char *data;
  int fd = -1;

  if (with_pins)
    output_add (&dict, "with-pins", "b", TRUE);
  if (!ggtpm_provisioning_call_backup_sync (
          client->provisioning, g_variant_builder_end (&dict), client_get_flags (client),
          client_get_timeout_ms (client), NULL, &handle, &descriptors, NULL, &local_error) ||
      (fd = g_unix_fd_list_get (descriptors, g_variant_get_handle (handle), &local_error)) < 0)
    {
      convert (local_error, error);
      return NULL;
    }
  data = sealed_file_read (fd, "the backup", BACKUP_MAX_BYTES, out_len, error);
  close (fd);
  return data;
}

gboolean
cmd_token_backup (Client *client, const Options *options, GError **error)
{
  const char *path = options->arguments[0];
  g_autoptr (GError) local_error = NULL;
  g_autofree char *data = NULL;
  gsize len = 0;
  gboolean done;

  if (!client_connect (client, TRUE, error) ||
      (data = fetch (client, options->with_pins, &len, error)) == NULL)
    return FALSE;
  done = atomic_file_write (path, data, len, BACKUP_MODE, (gid_t)-1, &local_error);
  secret_wipe (data, len);
  if (done)
    print_path (client, "out", path);
  else
    g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, local_error->message);
  return done;
}

/* restore */

static gboolean
call_restore (Client *client, int fd, gboolean replace, GError **error)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GUnixFDList) descriptors = g_unix_fd_list_new ();
  g_autoptr (GVariant) arguments = NULL;
  GError *local_error = NULL;
  int handle = g_unix_fd_list_append (descriptors, fd, &local_error);

  if (replace)
    output_add (&dict, "replace", "b", TRUE);
  arguments = g_variant_ref_sink (g_variant_builder_end (&dict));
  if (handle >= 0)
    ggtpm_provisioning_call_restore_sync (
        client->provisioning, g_variant_new_handle (handle), arguments, client_get_flags (client),
        client_get_timeout_ms (client), descriptors, NULL, NULL, &local_error);
  return local_error == NULL || convert (local_error, error);
}

gboolean
cmd_token_restore (Client *client, const Options *options, GError **error)
{
  const char *path = options->arguments[0];
  g_autoptr (GBytes) backup = files_read (path, BACKUP_MAX_BYTES, error);
  gsize len = 0;
  gconstpointer data = backup != NULL ? g_bytes_get_data (backup, &len) : NULL;
  gboolean done;
  int fd;

  if (backup == NULL || !client_connect (client, TRUE, error))
    return FALSE;
  fd = sealed_file_new ("ggtpm-backup", data, len, error);
  secret_wipe ((gpointer)data, len);
  if (fd < 0)
    return FALSE;
  done = call_restore (client, fd, options->force, error);
  close (fd);
  if (done)
    print_path (client, "restored", path);
  return done;
}
