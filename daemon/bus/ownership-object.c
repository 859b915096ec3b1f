/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "ownership-object.h"

#include "bus/options.h"
#include "bus/polkit.h"
#include "bus/reply.h"
#include "common/sealed-file.h"
#include "dbus/error.h"
#include "ggtpm-generated.h"
#include "tpm/auths.h"

#include <unistd.h>

/* Of a skeleton: what its answers need. */
#define MONITOR_KEY "ggtpm-monitor"

struct _OwnershipObject
{
  const Context *context;
  GgtpmOwnership *skeleton;
};

typedef struct
{
  char *state_dir;
  gboolean force;
} OwnershipArgs;

/* How it is after an operation. */
typedef struct
{
  AuthsState state;
  gboolean exported;
  int fd; /* -1: none */
} Ownership;

static OwnershipArgs *
ownership_args_new (OwnershipObject *object, gboolean force)
{
  OwnershipArgs *args = g_new0 (OwnershipArgs, 1);

  args->state_dir = g_strdup (object->context->config->state_dir);
  args->force = force;
  return args;
}

static void
ownership_args_free (gpointer data)
{
  OwnershipArgs *args = data;

  g_free (args->state_dir);
  g_free (args);
}

static void
ownership_free (gpointer data)
{
  Ownership *ownership = data;

  if (ownership->fd >= 0)
    close (ownership->fd);
  g_free (ownership);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Ownership, ownership_free)

static Ownership *
ownership_new (const Auths *auths)
{
  Ownership *ownership = g_new0 (Ownership, 1);

  ownership->state = auths->state;
  ownership->exported = auths->exported;
  ownership->fd = -1;
  return ownership;
}

static Ownership *
look (const char *state_dir, GError **error)
{
  g_autoptr (Auths) auths = auths_load (state_dir, error);

  return auths != NULL ? ownership_new (auths) : NULL;
}

/* ---- on the token lane: nothing else of ours that needs the auths runs meanwhile ---- */

static gpointer
op_take (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  OwnershipArgs *args = data;
  gboolean changed = FALSE;

  if (!auths_take_ownership (tpm, args->state_dir, &changed, error))
    return NULL;
  if (changed)
    g_message ("the owner and lockout hierarchies have auths of ggtpmd now");
  return look (args->state_dir, error);
}

static gpointer
op_release (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  OwnershipArgs *args = data;

  if (!auths_release_ownership (tpm, args->state_dir, error))
    return NULL;
  g_message ("the auths of the owner and lockout hierarchies are empty again");
  return look (args->state_dir, error);
}

static gpointer
op_resume (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  OwnershipArgs *args = data;

  return auths_resume (tpm, args->state_dir, error) ? look (args->state_dir, error) : NULL;
}

/* On the disk as given out before it is. */
static gpointer
op_export (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  OwnershipArgs *args = data;
  g_autoptr (Auths) auths = auths_load (args->state_dir, error);
  g_autoptr (Ownership) ownership = NULL;
  g_autoptr (Secret) text = NULL;

  if (auths == NULL)
    return NULL;
  if (auths->state == AUTHS_NONE)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND,
                           "ggtpmd has set no owner and lockout auth");
      return NULL;
    }
  if (auths->exported && !args->force)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
                           "the auths were given out before; root may have them again (--force)");
      return NULL;
    }
  auths->exported = TRUE;
  if (!auths_save (auths, args->state_dir, error))
    return NULL;
  ownership = ownership_new (auths);
  text = auths_describe (auths);
  ownership->fd =
      sealed_file_new ("ggtpm-auths", secret_peek (text), secret_get_length (text), error);
  return ownership->fd >= 0 ? g_steal_pointer (&ownership) : NULL;
}

/* ---- on the main thread ---- */

static void
show (GgtpmOwnership *skeleton, const Ownership *ownership)
{
  ggtpm_ownership_set_state (skeleton, auths_state_to_string (ownership->state));
  ggtpm_ownership_set_exported (skeleton, ownership->exported);
}

/* Whether the chip could be read or not, the auths are as was asked for. */
static void
on_checked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_dbus_method_invocation_return_value (user_data, NULL);
}

/* Health says the same before the caller has its answer. */
static void
answer_changed (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  Monitor *monitor = g_object_get_data (skeleton, MONITOR_KEY);

  show (skeleton, result);
  monitor_check_async (monitor, NULL, on_checked, invocation);
}

static void
answer_export (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  Ownership *ownership = result;
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  GError *error = NULL;
  int handle = g_unix_fd_list_append (fds, ownership->fd, &error);

  show (skeleton, ownership);
  if (handle < 0)
    reply_error (invocation, error);
  else
    ggtpm_ownership_complete_export (skeleton, invocation, fds, g_variant_new_handle (handle));
}

static void
start (OwnershipObject *object,
       const OperationType *type,
       GDBusMethodInvocation *invocation,
       gboolean force)
{
  operation_start (operation_new (object->context, type, object->skeleton, invocation,
                                  ownership_args_new (object, force)));
}

static gboolean
start_change (OwnershipObject *object,
              const OperationType *type,
              GDBusMethodInvocation *invocation,
              GVariant *options)
{
  GError *error = NULL;

  if (!options_check_empty (options, &error))
    reply_error (invocation, error);
  else
    start (object, type, invocation, FALSE);
  return TRUE;
}

static gboolean
handle_take (GgtpmOwnership *skeleton,
             GDBusMethodInvocation *invocation,
             GVariant *options,
             gpointer user_data)
{
  static const OperationType type = { .run = op_take,
                                      .args_free = ownership_args_free,
                                      .result_free = ownership_free,
                                      .answer = answer_changed };

  return start_change (user_data, &type, invocation, options);
}

static gboolean
handle_release (GgtpmOwnership *skeleton,
                GDBusMethodInvocation *invocation,
                GVariant *options,
                gpointer user_data)
{
  static const OperationType type = { .run = op_release,
                                      .args_free = ownership_args_free,
                                      .result_free = ownership_free,
                                      .answer = answer_changed };

  return start_change (user_data, &type, invocation, options);
}

/* ---- Export ---- */

static const OperationType export_type = { .run = op_export,
                                           .args_free = ownership_args_free,
                                           .result_free = ownership_free,
                                           .answer = answer_export };

typedef struct
{
  OwnershipObject *object;
  GDBusMethodInvocation *invocation;
} RootCheck;

static void
root_checked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree RootCheck *check = user_data;
  GError *error = NULL;
  gboolean is_root = FALSE;

  if (polkit_fallback_finish (result, &is_root, &error) && !is_root)
    g_set_error_literal (&error, GGTPM_ERROR, GGTPM_ERROR_NOT_AUTHORIZED,
                         "only root may have the auths again");
  if (error != NULL)
    reply_error (check->invocation, error);
  else
    start (check->object, &export_type, check->invocation, TRUE);
}

static gboolean
handle_export (GgtpmOwnership *skeleton,
               GDBusMethodInvocation *invocation,
               GUnixFDList *fds,
               GVariant *options,
               gpointer user_data)
{
  OwnershipObject *object = user_data;
  GError *error = NULL;
  gboolean force = FALSE;
  const Option table[] = { { "force", "b", &force }, { NULL, NULL, NULL } };
  RootCheck *check;

  if (!options_parse (options, fds, table, &error))
    reply_error (invocation, error);
  else if (!force)
    start (object, &export_type, invocation, FALSE);
  else
    {
      check = g_new0 (RootCheck, 1);
      check->object = object;
      check->invocation = invocation;
      polkit_fallback_async (g_dbus_method_invocation_get_connection (invocation),
                             g_dbus_method_invocation_get_sender (invocation), (gid_t)-1, NULL,
                             root_checked, check);
    }
  return TRUE;
}

/* ---- the object ---- */

static void
resume_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GgtpmOwnership) skeleton = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (Ownership) ownership = worker_run_finish (result, &error);

  if (ownership != NULL)
    show (skeleton, ownership);
  else if (!g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED))
    g_warning ("the ownership of the TPM: %s", error->message);
}

void
ownership_object_refresh (OwnershipObject *object)
{
  worker_run_async (object->context->lane, op_resume, ownership_args_new (object, FALSE),
                    ownership_args_free, ownership_free, NULL, resume_done,
                    g_object_ref (object->skeleton));
}

GDBusInterfaceSkeleton *
ownership_object_get_skeleton (OwnershipObject *object)
{
  return G_DBUS_INTERFACE_SKELETON (object->skeleton);
}

OwnershipObject *
ownership_object_new (const Context *context)
{
  OwnershipObject *object = g_new0 (OwnershipObject, 1);

  object->context = context;
  object->skeleton = gate_new_skeleton (context->gate, GGTPM_TYPE_OWNERSHIP_SKELETON);
  ggtpm_ownership_set_state (object->skeleton, auths_state_to_string (AUTHS_NONE));
  g_object_set_data (G_OBJECT (object->skeleton), MONITOR_KEY, context->monitor);
  g_object_connect (object->skeleton, "signal::handle-take", handle_take, object,
                    "signal::handle-release", handle_release, object, "signal::handle-export",
                    handle_export, object, NULL);
  return object;
}

void
ownership_object_free (OwnershipObject *object)
{
  g_object_unref (object->skeleton);
  g_free (object);
}
