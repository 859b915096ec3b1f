/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "tabrmd-frontend.h"

#include "dbus/names.h"
#include "tabrmd-generated.h"

#include <gio/gunixfdlist.h>

/* tpm2-abrmd's error names; its clients get them as codes of the resource manager's layer. */
#define ERROR_GENERAL         "com.intel.tss2.Tabrmd.Error.General"
#define ERROR_INTERNAL        "com.intel.tss2.Tabrmd.Error.Internal"
#define ERROR_NOT_IMPLEMENTED "com.intel.tss2.Tabrmd.Error.NotImplemented"
#define ERROR_NOT_PERMITTED   "com.intel.tss2.Tabrmd.Error.NotPermitted"

#define RC_NOT_IMPLEMENTED 0xb0002U
#define RC_NOT_PERMITTED   0xb000cU

struct _TabrmdFrontend
{
  Broker *broker;
  GDBusConnection *connection;
  TabrmdTctiTabrmd *skeleton;
  GCancellable *cancellable;
  guint name_id;
};

typedef enum
{
  CALL_CREATE_CONNECTION,
  CALL_CANCEL,
  CALL_SET_LOCALITY,
} CallType;

/* A call while the bus is asked whose it is, and while the broker cancels. */
typedef struct
{
  CallType type;
  TabrmdFrontend *frontend; /* not after the cancellable is cancelled */
  TabrmdTctiTabrmd *skeleton;
  GDBusMethodInvocation *invocation;
  guint64 id;
  guint8 locality;
} Call;

static void
call_free (Call *call)
{
  g_object_unref (call->skeleton);
  g_object_unref (call->invocation);
  g_free (call);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Call, call_free)

static void
return_error (GDBusMethodInvocation *invocation, const char *name, const char *message)
{
  g_dbus_method_invocation_return_dbus_error (g_object_ref (invocation), name, message);
}

static void
create_connection (Call *call, const BrokerPeer *peer)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  guint64 id;
  int fd = broker_connect_peer (call->frontend->broker, peer, &id, &error);

  if (fd < 0)
    {
      return_error (call->invocation, ERROR_GENERAL, error->message);
      return;
    }
  fds = g_unix_fd_list_new_from_array (&fd, 1);
  tabrmd_tcti_tabrmd_complete_create_connection (call->skeleton, g_object_ref (call->invocation),
                                                 fds, id);
}

static void
return_code (Call *call, guint32 rc)
{
  GDBusMethodInvocation *invocation = call->invocation;

  if (rc == RC_NOT_PERMITTED)
    return_error (invocation, ERROR_NOT_PERMITTED,
                  "No connection of this id, or not permitted to this user.");
  else if (rc == RC_NOT_IMPLEMENTED)
    return_error (invocation, ERROR_NOT_IMPLEMENTED, "The TPM's driver cannot do this.");
  else if (call->type == CALL_CANCEL)
    tabrmd_tcti_tabrmd_complete_cancel (call->skeleton, g_object_ref (invocation), rc);
  else
    tabrmd_tcti_tabrmd_complete_set_locality (call->skeleton, g_object_ref (invocation), rc);
}

static void
cancel_done (guint32 rc, gpointer data)
{
  g_autoptr (Call) call = data;

  return_code (call, rc);
}

static void
cancel (Call *call, const BrokerPeer *peer)
{
  broker_cancel (call->frontend->broker, call->id, peer, cancel_done, call);
}

static gboolean
read_credentials (GVariant *reply, BrokerPeer *out_peer)
{
  g_autoptr (GVariant) credentials = g_variant_get_child_value (reply, 0);
  guint32 uid, pid;

  if (!g_variant_lookup (credentials, "UnixUserID", "u", &uid) ||
      !g_variant_lookup (credentials, "ProcessID", "u", &pid))
    return FALSE;
  *out_peer = (BrokerPeer){ .uid = uid, .pid = (pid_t)pid };
  return TRUE;
}

static void
credentials_done (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (Call) call = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply =
      g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  BrokerPeer peer;

  if (reply == NULL || !read_credentials (reply, &peer))
    {
      return_error (call->invocation, ERROR_INTERNAL,
                    "The caller's process is not known to the bus.");
      return;
    }
  switch (call->type)
    {
    case CALL_CREATE_CONNECTION:
      create_connection (call, &peer);
      break;
    case CALL_CANCEL:
      cancel (g_steal_pointer (&call), &peer);
      break;
    case CALL_SET_LOCALITY:
      return_code (call,
                   broker_set_locality (call->frontend->broker, call->id, call->locality, &peer));
      break;
    default:
      g_assert_not_reached ();
    }
}

static void
start_call (TabrmdFrontend *frontend,
            GDBusMethodInvocation *invocation,
            CallType type,
            guint64 id,
            guint8 locality)
{
  Call *call = g_new0 (Call, 1);

  call->type = type;
  call->frontend = frontend;
  call->skeleton = g_object_ref (frontend->skeleton);
  call->invocation = invocation;
  call->id = id;
  call->locality = locality;
  g_dbus_connection_call (frontend->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                          "org.freedesktop.DBus", "GetConnectionCredentials",
                          g_variant_new ("(s)", g_dbus_method_invocation_get_sender (invocation)),
                          G_VARIANT_TYPE ("(a{sv})"), G_DBUS_CALL_FLAGS_NONE, -1,
                          frontend->cancellable, credentials_done, call);
}

static gboolean
handle_create_connection (TabrmdTctiTabrmd *skeleton,
                          GDBusMethodInvocation *invocation,
                          GUnixFDList *fds,
                          gpointer data)
{
  start_call (data, invocation, CALL_CREATE_CONNECTION, 0, 0);
  return TRUE;
}

static gboolean
handle_cancel (TabrmdTctiTabrmd *skeleton,
               GDBusMethodInvocation *invocation,
               guint64 id,
               gpointer data)
{
  start_call (data, invocation, CALL_CANCEL, id, 0);
  return TRUE;
}

static gboolean
handle_set_locality (TabrmdTctiTabrmd *skeleton,
                     GDBusMethodInvocation *invocation,
                     guint64 id,
                     guchar locality,
                     gpointer data)
{
  start_call (data, invocation, CALL_SET_LOCALITY, id, locality);
  return TRUE;
}

static void
on_name_lost (GDBusConnection *connection, const char *name, gpointer data)
{
  g_message ("%s is not ours: clients of tpm2-abrmd's interface will not find us", name);
}

TabrmdFrontend *
tabrmd_frontend_new (Broker *broker, GDBusConnection *connection, const char *name)
{
  TabrmdFrontend *frontend = g_new0 (TabrmdFrontend, 1);
  g_autoptr (GError) error = NULL;

  frontend->broker = broker;
  frontend->connection = g_object_ref (connection);
  frontend->cancellable = g_cancellable_new ();
  frontend->skeleton = tabrmd_tcti_tabrmd_skeleton_new ();
  g_signal_connect (frontend->skeleton, "handle-create-connection",
                    G_CALLBACK (handle_create_connection), frontend);
  g_signal_connect (frontend->skeleton, "handle-cancel", G_CALLBACK (handle_cancel), frontend);
  g_signal_connect (frontend->skeleton, "handle-set-locality", G_CALLBACK (handle_set_locality),
                    frontend);
  if (!g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (frontend->skeleton), connection,
                                         GGTPM_TABRMD_PATH, &error))
    g_warning ("cannot serve clients of tpm2-abrmd's interface: %s", error->message);
  else
    frontend->name_id = g_bus_own_name_on_connection (connection, name, G_BUS_NAME_OWNER_FLAGS_NONE,
                                                      NULL, on_name_lost, NULL, NULL);
  return frontend;
}

void
tabrmd_frontend_free (TabrmdFrontend *frontend)
{
  /* Calls that are still under way end in Internal, and do not look at the frontend any more. */
  g_cancellable_cancel (frontend->cancellable);
  g_object_unref (frontend->cancellable);
  if (frontend->name_id != 0)
    g_bus_unown_name (frontend->name_id);
  g_dbus_interface_skeleton_unexport (G_DBUS_INTERFACE_SKELETON (frontend->skeleton));
  g_signal_handlers_disconnect_by_data (frontend->skeleton, frontend);
  g_object_unref (frontend->skeleton);
  g_object_unref (frontend->connection);
  g_free (frontend);
}
