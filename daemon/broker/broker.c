/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "broker.h"

#include "directory.h"
#include "loop.h"
#include "server.h"

#include <errno.h>
#include <glib-unix.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

typedef enum
{
  MESSAGE_CONNECTION,
  MESSAGE_LISTENER,
  MESSAGE_RELEASE,
  MESSAGE_CANCEL,
  MESSAGE_REST,
  MESSAGE_QUIT,
} MessageType;

/* Who waits for the end of a broker_cancel(). */
typedef struct
{
  BrokerCancelFunc func; /* NULL: nobody */
  gpointer user_data;
} CancelWaiter;

typedef struct
{
  MessageType type;
  int fd;
  DirectoryEntry *entry;
  BrokerListener listener;
  guint64 id;
  CancelWaiter waiter;
  BrokerRest rest;
  guint quiet_serial; /* 0: nobody waits for quiet */
} Message;

typedef enum
{
  REPORT_STATE,
  REPORT_QUIET,
  REPORT_CANCELLED,
} ReportType;

typedef struct
{
  ReportType type;
  BrokerState state;
  BrokerFault fault;
  char *reason;
  gboolean tpm_was_reset;
  guint quiet_serial;
  CancelWaiter waiter;
  guint32 rc;
} Report;

struct _Broker
{
  /* Fixed */
  BrokerStateFunc func;
  gpointer user_data;
  GThread *thread;
  Directory *directory;
  Latency *latency;
  Tally *tally;
  int wake_fd;

  /* Main thread: who waits for quiet */
  GSourceOnceFunc quiet;
  gpointer quiet_data;
  guint quiet_serial;

  /* Any thread */
  GAsyncQueue *messages;
  GAsyncQueue *reports;
  GSource *report_source;

  /* Broker thread */
  Loop *loop;
  LoopWatch wake;
  Server *server;
};

static void
waiter_end (const CancelWaiter *waiter, guint32 rc)
{
  if (waiter->func != NULL)
    waiter->func (rc, waiter->user_data);
}

static void
message_free (gpointer data)
{
  Message *message = data;

  if (message->fd >= 0)
    close (message->fd);
  waiter_end (&message->waiter, TSS2_RESMGR_RC_LAYER | TSS2_BASE_RC_NOT_PERMITTED);
  g_free (message);
}

static void
report_free (gpointer data)
{
  Report *report = data;

  waiter_end (&report->waiter, report->rc);
  g_free (report->reason);
  g_free (report);
}

/* To the main thread */

/* Of a call that a later broker_set_rest() has not overtaken. */
static void
call_quiet (Broker *broker, guint serial)
{
  GSourceOnceFunc quiet = broker->quiet;

  if (quiet == NULL || serial != broker->quiet_serial)
    return;
  broker->quiet = NULL;
  quiet (broker->quiet_data);
}

static gboolean
on_reports (gpointer data)
{
  Broker *broker = data;
  Report *report;

  g_source_set_ready_time (broker->report_source, -1);
  while ((report = g_async_queue_try_pop (broker->reports)) != NULL)
    {
      if (report->type == REPORT_STATE)
        broker->func (report->state, report->fault, report->reason, report->tpm_was_reset,
                      broker->user_data);
      else if (report->type == REPORT_QUIET)
        call_quiet (broker, report->quiet_serial);
      report_free (report);
    }
  return G_SOURCE_CONTINUE;
}

static gboolean
dispatch_reports (GSource *source, GSourceFunc callback, gpointer data)
{
  return callback (data);
}

static GSourceFuncs report_funcs = { .dispatch = dispatch_reports };

/* @report: its strings are taken */
static void
send_report (Broker *broker, const Report *report)
{
  g_async_queue_push (broker->reports, g_memdup2 (report, sizeof *report));
  g_source_set_ready_time (broker->report_source, 0);
}

static void
on_state_changed (BrokerState state,
                  BrokerFault fault,
                  const char *reason,
                  gboolean tpm_was_reset,
                  gpointer data)
{
  send_report (data, &(Report){ .type = REPORT_STATE,
                                .state = state,
                                .fault = fault,
                                .reason = g_strdup (reason != NULL ? reason : ""),
                                .tpm_was_reset = tpm_was_reset });
}

static void
on_quiet (guint serial, gpointer data)
{
  send_report (data, &(Report){ .type = REPORT_QUIET, .quiet_serial = serial });
}

static const ServerFuncs server_funcs = { .state_changed = on_state_changed, .quiet = on_quiet };

static void
send_cancelled (Broker *broker, CancelWaiter *waiter, TSS2_RC rc)
{
  send_report (broker, &(Report){ .type = REPORT_CANCELLED, .waiter = *waiter, .rc = rc });
  *waiter = (CancelWaiter){ 0 };
}

/* From the main thread */

static void
post (Broker *broker, const Message *message)
{
  guint64 one = 1;

  g_async_queue_push (broker->messages, g_memdup2 (message, sizeof *message));
  if (write (broker->wake_fd, &one, sizeof one) != sizeof one)
    g_warning ("cannot wake the broker thread: %s", g_strerror (errno));
}

static void
take_message (Broker *broker, Message *message)
{
  switch (message->type)
    {
    case MESSAGE_CONNECTION:
      server_add_client (broker->server, message->fd, message->entry);
      message->fd = -1;
      break;
    case MESSAGE_LISTENER:
      server_listen (broker->server, message->fd, message->listener);
      message->fd = -1;
      break;
    case MESSAGE_RELEASE:
      server_release (broker->server);
      break;
    case MESSAGE_CANCEL:
      send_cancelled (broker, &message->waiter, server_cancel (broker->server, message->id));
      break;
    case MESSAGE_REST:
      server_set_rest (broker->server, message->rest, message->quiet_serial);
      break;
    case MESSAGE_QUIT:
      server_quit (broker->server);
      break;
    default:
      g_assert_not_reached ();
    }
}

static void
on_wake (LoopWatch *watch, guint32 events)
{
  Broker *broker = (Broker *)(gpointer)((char *)watch - G_STRUCT_OFFSET (Broker, wake));
  Message *message;
  guint64 count;

  if (read (broker->wake_fd, &count, sizeof count) < 0)
    return;
  while ((message = g_async_queue_try_pop (broker->messages)) != NULL)
    {
      take_message (broker, message);
      message_free (message);
    }
}

static gpointer
broker_thread (gpointer data)
{
  Broker *broker = data;

  server_run (broker->server);
  return NULL;
}

Broker *
broker_new (const Config *config, BrokerStateFunc func, gpointer user_data)
{
  Broker *broker = g_new0 (Broker, 1);

  broker->func = func;
  broker->user_data = user_data;
  broker->directory = directory_new (config->max_connections, config->max_connections_per_uid,
                                     (config->open_commands & CONFIG_OPEN_LOCALITY) != 0);
  broker->latency = latency_new ();
  broker->tally = tally_new ();
  broker->messages = g_async_queue_new_full (message_free);
  broker->reports = g_async_queue_new_full (report_free);
  broker->report_source = g_source_new (&report_funcs, sizeof (GSource));
  g_source_set_callback (broker->report_source, on_reports, broker, NULL);
  g_source_attach (broker->report_source, g_main_context_get_thread_default ());

  broker->loop = loop_new ();
  broker->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  broker->wake = (LoopWatch){ .ready = on_wake, .fd = -1 };
  loop_add (broker->loop, &broker->wake, broker->wake_fd, EPOLLIN);
  broker->server = server_new (broker->loop, config, broker->directory, broker->latency,
                               broker->tally, &server_funcs, broker);
  broker->thread = g_thread_new ("broker", broker_thread, broker);
  return broker;
}

void
broker_free (Broker *broker)
{
  post (broker, &(Message){ .type = MESSAGE_QUIT, .fd = -1 });
  g_thread_join (broker->thread);
  g_source_destroy (broker->report_source);
  g_source_unref (broker->report_source);
  g_async_queue_unref (broker->reports);
  g_async_queue_unref (broker->messages);
  server_free (broker->server);
  loop_remove (broker->loop, &broker->wake);
  close (broker->wake_fd);
  loop_free (broker->loop);
  directory_free (broker->directory);
  latency_free (broker->latency);
  tally_free (broker->tally);
  g_free (broker);
}

Latency *
broker_get_latency (Broker *broker)
{
  return broker->latency;
}

Tally *
broker_get_tally (Broker *broker)
{
  return broker->tally;
}

void
broker_set_rest (Broker *broker, BrokerRest rest, GSourceOnceFunc quiet, gpointer user_data)
{
  broker->quiet = quiet;
  broker->quiet_data = user_data;
  broker->quiet_serial++;
  post (broker, &(Message){ .type = MESSAGE_REST,
                            .fd = -1,
                            .rest = rest,
                            .quiet_serial = quiet != NULL ? broker->quiet_serial : 0 });
}

void
broker_release (Broker *broker)
{
  post (broker, &(Message){ .type = MESSAGE_RELEASE, .fd = -1 });
}

static int
connect_as (Broker *broker, PeerKind kind, const BrokerPeer *peer, guint64 *out_id, GError **error)
{
  DirectoryEntry *entry = directory_admit (broker->directory, kind, peer, error);
  guint64 id;
  int fds[2];

  if (entry == NULL)
    return -1;
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    {
      g_set_error (error, G_IO_ERROR, (gint)g_io_error_from_errno (errno),
                   "cannot make a connection: %s", g_strerror (errno));
      directory_leave (broker->directory, entry);
      return -1;
    }
  id = entry->id;
  post (broker, &(Message){ .type = MESSAGE_CONNECTION, .fd = fds[0], .entry = entry });
  if (out_id != NULL)
    *out_id = id;
  return fds[1];
}

int
broker_connect (Broker *broker, GError **error)
{
  BrokerPeer peer = { .uid = geteuid (), .pid = getpid () };

  return connect_as (broker, PEER_OWN, &peer, NULL, error);
}

int
broker_connect_peer (Broker *broker, const BrokerPeer *peer, guint64 *out_id, GError **error)
{
  return connect_as (broker, PEER_PUBLIC, peer, out_id, error);
}

void
broker_listen (Broker *broker, int fd, BrokerListener kind)
{
  g_autoptr (GError) error = NULL;

  /* One that systemd passes blocks. */
  if (!g_unix_set_fd_nonblocking (fd, TRUE, &error))
    g_warning ("cannot change the listening socket: %s", error->message);
  post (broker, &(Message){ .type = MESSAGE_LISTENER, .fd = fd, .listener = kind });
}

void
broker_cancel (Broker *broker,
               guint64 id,
               const BrokerPeer *peer,
               BrokerCancelFunc func,
               gpointer user_data)
{
  g_autoptr (DirectoryEntry) entry = directory_lookup (broker->directory, id, peer);

  /* Where its command is, waiting, in the chip or answered, only the broker thread knows. */
  if (entry == NULL)
    func (TSS2_RESMGR_RC_LAYER | TSS2_BASE_RC_NOT_PERMITTED, user_data);
  else
    post (broker, &(Message){ .type = MESSAGE_CANCEL,
                              .fd = -1,
                              .id = id,
                              .waiter = { .func = func, .user_data = user_data } });
}

guint32
broker_set_locality (Broker *broker, guint64 id, guint8 locality, const BrokerPeer *peer)
{
  g_autoptr (DirectoryEntry) entry = directory_lookup (broker->directory, id, peer);
  TSS2_RC rc;

  if (entry == NULL)
    return TSS2_RESMGR_RC_LAYER | TSS2_BASE_RC_NOT_PERMITTED;
  rc = directory_check_locality (broker->directory, entry, locality);
  if (rc == TSS2_RC_SUCCESS)
    g_atomic_int_set (&entry->locality, locality);
  return rc;
}
