/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "clients.h"

#include "client/tcti/frame.h"
#include "scheduler.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_PAUSE_US   G_TIME_SPAN_SECOND
#define MAX_ACCEPT_IN_ROW 16

typedef struct
{
  LoopWatch watch;
  Clients *clients;
  BrokerListener kind;
  int fd;
} Listener;

struct _Clients
{
  Loop *loop;
  Directory *directory;
  ResourceManager *rm;
  Chip *chip;
  Scheduler *scheduler;
  GPtrArray *listeners;
  GPtrArray *connections;
  /* Connection, to be freed when no command is under way. Until then they count as connected, which bounds them. */
  GPtrArray *closed;
  Connection *current; /* whose command is in the chip */
  gint64 accept_at;    /* -1: accepting */
};

/* Connections */

static void on_received (Connection *connection, gpointer data);

static void
on_closed (Connection *connection, gpointer data)
{
  Clients *clients = data;

  /* Nobody waits for its answer, and the others wait for the chip. */
  if (connection == clients->current && chip_can_cancel (clients->chip))
    (void)!chip_cancel (clients->chip);
  scheduler_remove (clients->scheduler, connection);
  g_ptr_array_remove_fast (clients->connections, connection);
  g_ptr_array_add (clients->closed, connection);
}

static const ConnectionFuncs connection_funcs = { .received = on_received, .closed = on_closed };

void
clients_add (Clients *clients, int fd, DirectoryEntry *entry)
{
  Connection *connection = connection_new (clients->loop, fd, entry, &connection_funcs, clients);
  gboolean privileged = directory_entry_is_privileged (entry);

  if (connection == NULL)
    {
      directory_leave (clients->directory, entry);
      return;
    }
  connection_set_user_data (connection,
                            resource_manager_open_space (clients->rm, entry->peer.uid, privileged,
                                                         entry->kind != PEER_PUBLIC));
  g_ptr_array_add (clients->connections, connection);
}

static void
free_connection (Clients *clients, Connection *connection)
{
  resource_manager_close_space (clients->rm, connection_get_user_data (connection));
  directory_leave (clients->directory, connection_get_entry (connection));
  connection_free (connection);
}

gboolean
clients_free_closed (Clients *clients)
{
  gboolean any = clients->closed->len > 0;

  while (clients->closed->len > 0)
    free_connection (clients, g_ptr_array_steal_index_fast (clients->closed, 0));
  return any;
}

/* @none: when there is no command of it. */
static TSS2_RC
cancel_connection (Clients *clients, Connection *connection, TSS2_RC none)
{
  if (connection == clients->current)
    {
      TSS2_RC rc = chip_cancel (clients->chip);
      return rc == TSS2_RC_SUCCESS ? rc
                                   : TSS2_RESMGR_RC_LAYER | (rc & ~(TSS2_RC)TSS2_RC_LAYER_MASK);
    }
  /* The command may have come in the same moment. */
  connection_poll (connection);
  if (scheduler_remove (clients->scheduler, connection))
    {
      guint8 response[COMMAND_HEADER_SIZE];

      connection_answer (connection, response,
                         command_response_put_error (response, TPM2_RC_CANCELED));
      return TSS2_RC_SUCCESS;
    }
  return none;
}

static TSS2_RC
cancel_by_public_id (Clients *clients, Connection *from, const guint8 *id)
{
  uid_t uid = connection_get_entry (from)->peer.uid;

  for (guint i = 0; i < clients->connections->len; i++)
    {
      Connection *connection = g_ptr_array_index (clients->connections, i);

      if (connection_has_public_id (connection, id) &&
          connection_get_entry (connection)->peer.uid == uid)
        return cancel_connection (clients, connection, TSS2_RC_SUCCESS);
    }
  return TSS2_RESMGR_RC_LAYER | TSS2_BASE_RC_NOT_PERMITTED;
}

static void
answer_control (Clients *clients, Connection *connection, const guint8 *frame, gsize size)
{
  DirectoryEntry *entry = connection_get_entry (connection);
  guint8 answer[FRAME_HEADER_SIZE + FRAME_CONNECTION_ID_SIZE];
  gsize answer_size = FRAME_HEADER_SIZE;
  TSS2_RC rc = TSS2_RESMGR_RC_LAYER | TSS2_BASE_RC_BAD_VALUE;

  switch (command_peek_code (frame))
    {
    case FRAME_CONTROL_GET_ID:
      if (size == FRAME_HEADER_SIZE && connection_get_public_id (connection) != NULL)
        {
          memcpy (answer + FRAME_HEADER_SIZE, connection_get_public_id (connection),
                  FRAME_CONNECTION_ID_SIZE);
          answer_size += FRAME_CONNECTION_ID_SIZE;
          rc = TSS2_RC_SUCCESS;
        }
      break;
    case FRAME_CONTROL_SET_LOCALITY:
      if (size == FRAME_HEADER_SIZE + 1)
        rc = directory_check_locality (clients->directory, entry, frame[FRAME_HEADER_SIZE]);
      if (rc == TSS2_RC_SUCCESS)
        g_atomic_int_set (&entry->locality, frame[FRAME_HEADER_SIZE]);
      break;
    case FRAME_CONTROL_CANCEL:
      if (size == FRAME_HEADER_SIZE + FRAME_CONNECTION_ID_SIZE)
        rc = cancel_by_public_id (clients, connection, frame + FRAME_HEADER_SIZE);
      break;
    default:
      break;
    }
  put_be16 (answer, FRAME_CONTROL_TAG);
  put_be32 (answer + 2, (guint32)answer_size);
  put_be32 (answer + 6, rc);
  connection_answer (connection, answer, answer_size);
}

static void
on_received (Connection *connection, gpointer data)
{
  Clients *clients = data;
  DirectoryEntry *entry = connection_get_entry (connection);
  gsize size;
  const guint8 *frame = connection_get_frame (connection, &size);

  if (get_be16 (frame) == FRAME_CONTROL_TAG)
    {
      answer_control (clients, connection, frame, size);
      return;
    }
  scheduler_push (clients->scheduler, entry->kind == PEER_PUBLIC, entry->peer.uid, connection);
}

/* Listeners */

static gboolean
accept_one (Listener *listener)
{
  Clients *clients = listener->clients;
  g_autoptr (GError) error = NULL;
  DirectoryEntry *entry;
  BrokerPeer peer;
  struct ucred cred;
  socklen_t len = sizeof cred;
  int fd = accept4 (listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  if (fd < 0)
    {
      if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        {
          g_warning ("cannot accept a connection: %s", g_strerror (errno));
          clients->accept_at = g_get_monotonic_time () + ACCEPT_PAUSE_US;
        }
      return FALSE;
    }
  if (getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
    {
      close (fd);
      return TRUE;
    }
  peer = (BrokerPeer){ .uid = cred.uid, .pid = cred.pid };
  entry = directory_admit (clients->directory,
                           listener->kind == BROKER_LISTENER_PUBLIC ? PEER_PUBLIC : PEER_INTERNAL,
                           &peer, &error);
  if (entry == NULL)
    {
      g_info ("refused a connection of process %d: %s", (int)peer.pid, error->message);
      close (fd);
      return TRUE;
    }
  clients_add (clients, fd, entry);
  return TRUE;
}

static void
on_listener (LoopWatch *watch, guint32 events)
{
  Listener *listener = (Listener *)watch;

  for (guint i = 0; i < MAX_ACCEPT_IN_ROW && accept_one (listener); i++)
    ;
  if (listener->clients->accept_at >= 0)
    loop_modify (listener->clients->loop, watch, 0);
}

void
clients_listen (Clients *clients, int fd, BrokerListener kind)
{
  Listener *listener = g_new0 (Listener, 1);

  listener->watch = (LoopWatch){ .ready = on_listener, .fd = -1 };
  listener->clients = clients;
  listener->kind = kind;
  listener->fd = fd;
  g_ptr_array_add (clients->listeners, listener);
  loop_add (clients->loop, &listener->watch, fd, EPOLLIN);
}

static void
listener_free (gpointer data)
{
  Listener *listener = data;

  loop_remove (listener->clients->loop, &listener->watch);
  close (listener->fd);
  g_free (listener);
}

gint64
clients_get_resume_time (const Clients *clients)
{
  return clients->accept_at;
}

void
clients_resume (Clients *clients, gint64 now)
{
  if (clients->accept_at < 0 || now < clients->accept_at)
    return;
  clients->accept_at = -1;
  for (guint i = 0; i < clients->listeners->len; i++)
    {
      Listener *listener = g_ptr_array_index (clients->listeners, i);
      loop_modify (clients->loop, &listener->watch, EPOLLIN);
    }
}

TSS2_RC
clients_cancel (Clients *clients, guint64 id)
{
  TSS2_RC none = chip_can_cancel (clients->chip)
                     ? TSS2_RC_SUCCESS
                     : TSS2_RESMGR_RC_LAYER | TSS2_BASE_RC_NOT_IMPLEMENTED;

  for (guint i = 0; i < clients->connections->len; i++)
    {
      Connection *connection = g_ptr_array_index (clients->connections, i);

      if (connection_get_entry (connection)->id == id)
        return cancel_connection (clients, connection, none);
    }
  return TSS2_RESMGR_RC_LAYER | TSS2_BASE_RC_NOT_PERMITTED;
}

gboolean
clients_have_command (const Clients *clients, gboolean with_public)
{
  return !scheduler_is_empty (clients->scheduler, with_public);
}

Connection *
clients_begin (Clients *clients, gboolean with_public)
{
  Connection *connection = scheduler_pop (clients->scheduler, with_public);

  clients->current = connection;
  return connection;
}

void
clients_finish (Clients *clients, Connection *connection, const guint8 *response, gsize size)
{
  clients->current = NULL;
  connection_answer (connection, response, size);
}

Clients *
clients_new (Loop *loop, Directory *directory, ResourceManager *rm, Chip *chip)
{
  Clients *clients = g_new0 (Clients, 1);

  clients->loop = loop;
  clients->directory = directory;
  clients->rm = rm;
  clients->chip = chip;
  clients->scheduler = scheduler_new ();
  clients->listeners = g_ptr_array_new_with_free_func (listener_free);
  clients->connections = g_ptr_array_new ();
  clients->closed = g_ptr_array_new ();
  clients->accept_at = -1;
  return clients;
}

void
clients_free (Clients *clients)
{
  g_ptr_array_unref (clients->listeners);
  while (clients->connections->len > 0)
    free_connection (clients, g_ptr_array_steal_index_fast (clients->connections, 0));
  clients_free_closed (clients);
  g_ptr_array_unref (clients->connections);
  g_ptr_array_unref (clients->closed);
  scheduler_free (clients->scheduler);
  g_free (clients);
}
