/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/files.h"
#include "client/objects.h"
#include "client/output.h"
#include "common/atomic-file.h"
#include "common/sealed-file.h"
#include "common/secret.h"
#include "dbus/error.h"

#include <gio/gunixfdlist.h>

#include <unistd.h>

#define AUTHS_MODE      0600
#define AUTHS_MAX_BYTES 4096

static gboolean
convert (GError *local_error, GError **error)
{
  client_convert_error (&local_error);
  g_propagate_error (error, local_error);
  return FALSE;
}

static GgtpmOwnership *
find_ownership (Client *client, GError **error)
{
  return client_connect (client, TRUE, error) ? objects_get_ownership (client, error) : NULL;
}

static void
print_state (Client *client, const char *state, const char *text)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (!client->json)
    {
      output_text ("%s", text);
      return;
    }
  output_add (&dict, "state", "s", state);
  output_json (g_variant_builder_end (&dict));
}

gboolean
cmd_tpm_take_ownership (Client *client, const Options *options, GError **error)
{
  GgtpmOwnership *ownership = find_ownership (client, error);
  GError *local_error = NULL;

  if (ownership == NULL)
    return FALSE;
  if (!ggtpm_ownership_call_take_sync (ownership, g_variant_new ("a{sv}", NULL),
                                       client_get_flags (client), client_get_timeout_ms (client),
                                       NULL, &local_error))
    return convert (local_error, error);
  print_state (
      client, "owned",
      "The TPM has owner and lockout auths that ggtpmd keeps. `ggtpmctl tpm export-auths FILE` gives "
      "them out, once: keep them in a safe place.\n");
  return TRUE;
}

gboolean
cmd_tpm_release_ownership (Client *client, const Options *options, GError **error)
{
  GgtpmOwnership *ownership = find_ownership (client, error);
  GError *local_error = NULL;

  if (ownership == NULL)
    return FALSE;
  if (!ggtpm_ownership_call_release_sync (ownership, g_variant_new ("a{sv}", NULL),
                                          client_get_flags (client), client_get_timeout_ms (client),
                                          NULL, &local_error))
    return convert (local_error, error);
  print_state (client, "none", "The owner and lockout auths of the TPM are empty.\n");
  return TRUE;
}

/* export-auths */

/* With the auths in it. */
static char *export(Client *client, gboolean force, gsize *out_len, GError **error)
{
  GgtpmOwnership *ownership = find_ownership (client, error);
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GUnixFDList) descriptors = NULL;
  g_autoptr (GVariant) handle = NULL;
  GError *local_error = NULL;
  char *text;
  int fd;

  if (ownership == NULL)
    return NULL;
  if (force)
    output_add (&dict, "force", "b", TRUE);
  if (!ggtpm_ownership_call_export_sync (ownership, g_variant_builder_end (&dict),
                                         client_get_flags (client), client_get_timeout_ms (client),
                                         NULL, &handle, &descriptors, NULL, &local_error) ||
      (fd = g_unix_fd_list_get (descriptors, g_variant_get_handle (handle), &local_error)) < 0)
    {
      convert (local_error, error);
      return NULL;
    }
  text = sealed_file_read (fd, "the auths", AUTHS_MAX_BYTES, out_len, error);
  close (fd);
  return text;
}

static gboolean
write_auths (const char *path, const char *text, gsize len, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (!files_is_path (path))
    {
      output_bytes (text, len);
      return TRUE;
    }
  if (atomic_file_write (path, text, len, AUTHS_MODE, (gid_t)-1, &local_error))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
               "%s; the auths count as given out: root may have them again (--force)",
               local_error->message);
  return FALSE;
}

/* Before they count as given out. */
static gboolean
check_path (Client *client, const char *path, GError **error)
{
  g_autofree char *dir = g_path_get_dirname (path);

  if (files_is_path (path) && access (dir, W_OK) != 0)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "nothing can be written to '%s'",
                 dir);
  else if (files_is_path (path) && g_file_test (path, G_FILE_TEST_EXISTS))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS, "'%s' is there already", path);
  else if (!files_is_path (path) && (client->json || isatty (STDOUT_FILENO)))
    g_set_error_literal (
        error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
        "the auths are written to a file or a pipe, not to a terminal or into JSON");
  else
    return TRUE;
  return FALSE;
}

gboolean
cmd_tpm_export_auths (Client *client, const Options *options, GError **error)
{
  const char *path = options->arguments[0];
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *text = NULL;
  gsize len = 0;
  gboolean done;

  if (!check_path (client, path, error) ||
      (text = export(client, options->force, &len, error)) == NULL)
    return FALSE;
  done = write_auths (path, text, len, error);
  secret_wipe (text, len);
  if (done && client->json)
    {
      files_describe (&dict, "out", path);
      output_json (g_variant_builder_end (&dict));
    }
  return done;
}
