/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "backup-call.h"

#include "bus/operation.h"
#include "bus/reply.h"
#include "common/sealed-file.h"
#include "common/secret.h"
#include "dbus/error.h"
#include "provision/backup.h"

#include <unistd.h>

typedef struct
{
  const Config *config;
  Tokens *tokens;
  gboolean with_pins;
  gboolean replace;
  GBytes *backup; /* NULL: to be made */
} BackupArgs;

static void
wipe (GBytes *bytes)
{
  gsize len;
  gconstpointer data = g_bytes_get_data (bytes, &len);

  secret_wipe ((gpointer)data, len);
  g_bytes_unref (bytes);
}

static BackupArgs *
backup_args_new (const Context *context)
{
  BackupArgs *args = g_new0 (BackupArgs, 1);

  args->config = context->config;
  args->tokens = context->tokens;
  return args;
}

static void
backup_args_free (gpointer data)
{
  BackupArgs *args = data;

  g_clear_pointer (&args->backup, wipe);
  g_free (args);
}

/* ---- Backup ---- */

static void
fd_free (gpointer data)
{
  close (GPOINTER_TO_INT (data));
}

/* A descriptor; 0 is never one of those. */
static gpointer
op_backup (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  BackupArgs *args = data;
  GBytes *backup = backup_make (args->tokens, args->config, args->with_pins, error);
  gsize len;
  int fd;

  if (backup == NULL)
    return NULL;
  fd = sealed_file_new ("ggtpm-backup", g_bytes_get_data (backup, NULL), g_bytes_get_size (backup),
                        error);
  len = g_bytes_get_size (backup);
  wipe (backup);
  if (fd >= 0)
    g_message ("a backup of the tokens was given out, %" G_GSIZE_FORMAT " bytes, %s PINs", len,
               args->with_pins ? "with" : "without");
  return fd >= 0 ? GINT_TO_POINTER (fd) : NULL;
}

static void
answer_backup (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  GError *error = NULL;
  int handle = g_unix_fd_list_append (fds, GPOINTER_TO_INT (result), &error);

  if (handle < 0)
    reply_error (invocation, error);
  else
    ggtpm_provisioning_complete_backup (skeleton, invocation, fds, g_variant_new_handle (handle));
}

static gboolean
handle_backup (GgtpmProvisioning *skeleton,
               GDBusMethodInvocation *invocation,
               GUnixFDList *fds,
               GVariant *options,
               gpointer user_data)
{
  static const OperationType type = {
    .run = op_backup, .args_free = backup_args_free, .result_free = fd_free, .answer = answer_backup
  };
  const Context *context = user_data;
  BackupArgs *args = backup_args_new (context);
  Operation *operation = operation_new (context, &type, skeleton, invocation, args);
  GError *error = NULL;
  const Option table[] = { { "with-pins", "b", &args->with_pins }, { NULL, NULL, NULL } };

  if (!options_parse (options, fds, table, &error))
    operation_refuse (operation, error);
  else
    operation_start (operation);
  return TRUE;
}

/* ---- Restore ---- */

static gpointer
op_restore (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  BackupArgs *args = data;

  if (!backup_restore (args->tokens, tpm, args->config, args->backup, args->replace, cancellable,
                       error))
    return NULL;
  g_message ("the tokens were restored from a backup");
  return GINT_TO_POINTER (TRUE);
}

static GBytes *
read_backup (GVariant *handle, GUnixFDList *fds, GError **error)
{
  int fd = fds != NULL ? g_unix_fd_list_get (fds, g_variant_get_handle (handle), error) : -1;
  char *data;
  gsize len = 0;

  if (fd < 0)
    {
      if (fds == NULL)
        g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                             "the backup comes as a descriptor");
      return NULL;
    }
  data = sealed_file_read (fd, "the backup", BACKUP_MAX_BYTES, &len, error);
  close (fd);
  return data != NULL ? g_bytes_new_take (data, len) : NULL;
}

static gboolean
handle_restore (GgtpmProvisioning *skeleton,
                GDBusMethodInvocation *invocation,
                GUnixFDList *fds,
                GVariant *handle,
                GVariant *options,
                gpointer user_data)
{
  static const OperationType type = { .run = op_restore,
                                      .args_free = backup_args_free,
                                      .changes_store = TRUE,
                                      .answer = operation_answer_nothing };
  const Context *context = user_data;
  BackupArgs *args = backup_args_new (context);
  Operation *operation = operation_new (context, &type, skeleton, invocation, args);
  GError *error = NULL;
  const Option table[] = { { "replace", "b", &args->replace }, { NULL, NULL, NULL } };

  if (!options_parse (options, fds, table, &error) ||
      (args->backup = read_backup (handle, fds, &error)) == NULL)
    operation_refuse (operation, error);
  else
    operation_start (operation);
  return TRUE;
}

void
backup_call_connect (GgtpmProvisioning *skeleton, const Context *context)
{
  g_signal_connect (skeleton, "handle-backup", G_CALLBACK (handle_backup), (gpointer)context);
  g_signal_connect (skeleton, "handle-restore", G_CALLBACK (handle_restore), (gpointer)context);
}
