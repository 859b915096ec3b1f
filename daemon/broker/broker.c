/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "broker.h"

#include "chip.h"
#include "clients.h"
#include "command.h"
#include "common/log.h"
#include "directory.h"
#include "loop.h"
#include "resource-manager.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKOFF_MIN_US (250 * G_TIME_SPAN_MILLISECOND)
#define BACKOFF_MAX_US (60 * G_TIME_SPAN_SECOND)
/* How long a silent chip may keep the daemon from ending: systemd kills it after 90 s, and then nothing is tidy. */
#define QUIT_TIMEOUT_S 30

/* What /dev/tpmrm0 and tpm2-abrmd give to one connection. */
#define KERNEL_SPACE_OBJECTS  3
#define KERNEL_SPACE_SESSIONS 3
#define ABRMD_OBJECTS         27
#define ABRMD_SESSIONS        4

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

/* To the main thread: a new state, or a call that somebody waits for. */
typedef struct
{
  guint quiet_serial;  /* of a broker_set_rest() */
  CancelWaiter waiter; /* of a broker_cancel() */
  guint32 rc;
  /* else: */
  BrokerState state;
  BrokerFault fault;
  char *reason;
  gboolean tpm_was_reset;
} Report;

struct _Broker
{
  /* Fixed */
  const Config *config;
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
  Chip *chip;
  ResourceManager *rm;
  Clients *clients;
  BrokerState state;
  BrokerFault fault;
  gboolean released;
  BrokerRest rest;
  guint waiting_serial; /* 0: nobody waits for quiet */
  gboolean quit;
  gboolean tried;   /* the first attempt to open the chip has ended */
  gboolean opened;  /* once at least */
  gint64 reopen_at; /* 0: now */
  gint64 backoff;
  gint64 last_command;
  gboolean idle_done; /* nothing more to put out since the last command */
  guint8 response[COMMAND_MAX_SIZE];
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
      if (report->quiet_serial != 0)
        call_quiet (broker, report->quiet_serial);
      else if (report->waiter.func == NULL)
        broker->func (report->state, report->fault, report->reason, report->tpm_was_reset,
                      broker->user_data);
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

static void
report (Broker *broker,
        BrokerState state,
        BrokerFault fault,
        const char *reason,
        gboolean was_reset)
{
  Report *entry;

  if (state == broker->state && fault == broker->fault && !was_reset)
    return;
  broker->state = state;
  broker->fault = fault;
  /* Each reset is a power cut to the chip's lockout counter: what was healed before it is not any more. */
  if (was_reset)
    broker->released = FALSE;
  entry = g_new0 (Report, 1);
  entry->state = state;
  entry->fault = fault;
  entry->reason = g_strdup (reason != NULL ? reason : "");
  entry->tpm_was_reset = was_reset;
  g_async_queue_push (broker->reports, entry);
  g_source_set_ready_time (broker->report_source, 0);
}

static void
report_quiet (Broker *broker)
{
  Report *entry;

  if (broker->waiting_serial == 0)
    return;
  entry = g_new0 (Report, 1);
  entry->quiet_serial = broker->waiting_serial;
  broker->waiting_serial = 0;
  g_async_queue_push (broker->reports, entry);
  g_source_set_ready_time (broker->report_source, 0);
}

static void
report_cancel (Broker *broker, CancelWaiter *waiter, guint32 rc)
{
  Report *entry = g_new0 (Report, 1);

  entry->waiter = *waiter;
  entry->rc = rc;
  *waiter = (CancelWaiter){ 0 };
  g_async_queue_push (broker->reports, entry);
  g_source_set_ready_time (broker->report_source, 0);
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

/* Messages */

static void
take_message (Broker *broker, Message *message)
{
  switch (message->type)
    {
    case MESSAGE_CONNECTION:
      clients_add (broker->clients, message->fd, message->entry);
      message->fd = -1;
      break;
    case MESSAGE_LISTENER:
      clients_listen (broker->clients, message->fd, message->listener);
      message->fd = -1;
      break;
    case MESSAGE_RELEASE:
      broker->released = TRUE;
      break;
    case MESSAGE_CANCEL:
      report_cancel (broker, &message->waiter, clients_cancel (broker->clients, message->id));
      break;
    case MESSAGE_REST:
      broker->rest = message->rest;
      broker->idle_done = FALSE;
      broker->waiting_serial = message->quiet_serial;
      break;
    case MESSAGE_QUIT:
      broker->quit = TRUE;
      chip_hurry (broker->chip, QUIT_TIMEOUT_S);
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

/* The chip */

/* Part 2, 6.6.3: of a session, a handle or a parameter, whichever; both are guesses of an auth that were wrong. */
static gboolean
is_auth_failure (TSS2_RC rc)
{
  const TSS2_RC base = rc & (TPM2_RC_FMT1 | 0x3f);

  return (rc & TPM2_RC_FMT1) != 0 && (base == TPM2_RC_AUTH_FAIL || base == TPM2_RC_BAD_AUTH);
}

static TSS2_RC
chip_func (gpointer data,
           const guint8 *command,
           gsize size,
           guint8 locality,
           guint8 *response,
           gsize *out_size)
{
  Broker *broker = data;
  gint64 start = g_get_monotonic_time ();
  TSS2_RC rc = chip_transact (broker->chip, command, size, locality, response, out_size);
  TSS2_RC code = rc;

  if (rc == TSS2_RC_SUCCESS && *out_size >= COMMAND_HEADER_SIZE)
    code = get_be32 (response + COMMAND_CODE_OFFSET);
  if (code != TSS2_RC_SUCCESS)
    latency_add_failure (broker->latency, get_be32 (command + COMMAND_CODE_OFFSET), code);
  else
    latency_add (broker->latency, get_be32 (command + COMMAND_CODE_OFFSET),
                 g_get_monotonic_time () - start);
  if (rc == TSS2_RC_SUCCESS && is_auth_failure (code))
    tally_add (broker->tally, TALLY_AUTH_FAILED, 1);
  return rc;
}

static void
note_flushed (Broker *broker)
{
  tally_add (broker->tally, TALLY_FLUSHED, resource_manager_take_flushed (broker->rm));
}

/* Written here, because nobody else is left to do it when the daemon ends. */
static void
note_shut_down (Broker *broker)
{
  log_healing ("shutdown", "TPM2_Shutdown was sent, the power may go");
  tally_add (broker->tally, TALLY_SHUT_DOWN, 1);
}

/* Another resource manager is below. */
static void
go_alongside (Broker *broker, const char *tcti)
{
  gboolean kernel = strstr (tcti, "tpmrm") != NULL;

  resource_manager_set_alongside (broker->rm, kernel ? KERNEL_SPACE_OBJECTS : ABRMD_OBJECTS,
                                  kernel ? KERNEL_SPACE_SESSIONS : ABRMD_SESSIONS);
}

static void
chip_failed (Broker *broker)
{
  gint64 now = g_get_monotonic_time ();
  const char *reason;
  BrokerFault fault = chip_get_fault (broker->chip, &reason);

  broker->tried = TRUE;
  broker->backoff = CLAMP (broker->backoff * 2, BACKOFF_MIN_US, BACKOFF_MAX_US);
  broker->reopen_at = now + broker->backoff;
  directory_set_ability (broker->directory, FALSE);
  report (broker,
          fault == BROKER_FAULT_PROTOCOL || fault == BROKER_FAULT_SILENT ? BROKER_STATE_FAILED
                                                                         : BROKER_STATE_UNAVAILABLE,
          fault, reason, FALSE);
  chip_close (broker->chip);
}

static void
chip_opened (Broker *broker)
{
  gboolean was_reset = FALSE;
  TSS2_RC rc = resource_manager_start (broker->rm, &was_reset);

  broker->tried = TRUE;
  if (rc != TSS2_RC_SUCCESS)
    {
      g_autofree char *reason = g_strdup_printf (
          "the TPM refuses to start (0x%08x): it may be a TPM 1.2, or its firmware update is not finished",
          rc);

      chip_set_fault (broker->chip, BROKER_FAULT_PROTOCOL, reason);
      chip_failed (broker);
      return;
    }
  note_flushed (broker);
  if (broker->opened)
    tally_add (broker->tally, TALLY_REOPENED, 1);
  broker->opened = TRUE;
  broker->backoff = 0;
  broker->idle_done = FALSE;
  broker->last_command = g_get_monotonic_time ();
  directory_set_ability (broker->directory, chip_can_set_locality (broker->chip));
  report (broker, BROKER_STATE_READY, BROKER_FAULT_NONE, NULL, was_reset);
}

/* Opens what is closed, notices what has failed. */
static void
check_chip (Broker *broker, gint64 now)
{
  if (chip_get_status (broker->chip) == CHIP_CLOSED && now >= broker->reopen_at)
    chip_open (broker->chip);
  switch (chip_get_status (broker->chip))
    {
    case CHIP_OPEN:
      if (broker->state != BROKER_STATE_READY)
        chip_opened (broker);
      break;
    case CHIP_FAILED:
      chip_failed (broker);
      break;
    case CHIP_CLOSED:
    case CHIP_OPENING:
    default:
      break;
    }
}

/* Serving */

static void
serve (Broker *broker, Connection *connection)
{
  gsize size;
  guint8 *frame = connection_get_frame (connection, &size);
  gint locality = g_atomic_int_get (&connection_get_entry (connection)->locality);

  if (broker->state != BROKER_STATE_READY)
    {
      size = command_response_put_error (broker->response, TSS2_TCTI_RC_NO_CONNECTION);
      clients_finish (broker->clients, connection, broker->response, size);
      return;
    }
  size = resource_manager_process (broker->rm, connection_get_user_data (connection),
                                   (guint8)locality, frame, size, broker->response);
  clients_finish (broker->clients, connection, broker->response, size);
  explicit_bzero (broker->response, size);
  broker->last_command = g_get_monotonic_time ();
  broker->idle_done = FALSE;
  note_flushed (broker);
  if (resource_manager_take_was_reset (broker->rm))
    report (broker, BROKER_STATE_READY, BROKER_FAULT_NONE, NULL, TRUE);
}

/* Those of clients wait for broker_release(), but not for a chip that does not come: then they are told so. */
static gboolean
serves_clients (const Broker *broker)
{
  return broker->released || broker->state == BROKER_STATE_UNAVAILABLE ||
         broker->state == BROKER_STATE_FAILED;
}

/* Until the first attempt to open the chip has ended, commands wait for it. */
static gboolean
has_command (const Broker *broker)
{
  return broker->tried && clients_have_command (broker->clients, serves_clients (broker));
}

static gint64
idle_time (const Broker *broker)
{
  return broker->last_command +
         (broker->rest != BROKER_REST_NONE ? 0 : (gint64)broker->config->idle_evict_ms * 1000);
}

/* Something is to be done once nobody has wanted the chip for the idle time. */
static gboolean
is_in_chip (const Broker *broker)
{
  return resource_manager_has_loaded (broker->rm) || chip_can_rest (broker->chip);
}

/* One step of what is done while nobody wants the chip. Returns whether there may be more to do. */
static gboolean
tidy_one (Broker *broker, gint64 now)
{
  if (broker->state != BROKER_STATE_READY || broker->idle_done)
    return FALSE;
  if (resource_manager_sweep (broker->rm))
    return TRUE;
  if (!is_in_chip (broker))
    return FALSE;
  if (now < idle_time (broker))
    return TRUE;
  if (resource_manager_has_loaded (broker->rm) && resource_manager_idle_step (broker->rm))
    return TRUE;
  chip_rest (broker->chip);
  return FALSE;
}

static void
tidy (Broker *broker, gint64 now)
{
  if (tidy_one (broker, now))
    return;
  if (broker->state == BROKER_STATE_READY && broker->rest == BROKER_REST_POWER_OFF &&
      !broker->idle_done && resource_manager_shut_down (broker->rm))
    note_shut_down (broker);
  broker->idle_done = TRUE;
  report_quiet (broker);
}

static gint64
earlier (gint64 a, gint64 b)
{
  return a < 0 ? b : MIN (a, b);
}

/* -1: nothing to do until something happens. */
static gint64
next_deadline (Broker *broker)
{
  gint64 deadline = -1;

  if (has_command (broker))
    return 0;
  if (chip_get_status (broker->chip) == CHIP_CLOSED)
    deadline = earlier (deadline, broker->reopen_at);
  if (chip_get_deadline (broker->chip) >= 0)
    deadline = earlier (deadline, chip_get_deadline (broker->chip));
  if (chip_get_status (broker->chip) == CHIP_FAILED)
    deadline = 0;
  if (broker->state == BROKER_STATE_READY && !broker->idle_done)
    deadline = earlier (deadline, is_in_chip (broker) ? idle_time (broker) : 0);
  if (clients_get_resume_time (broker->clients) >= 0)
    deadline = earlier (deadline, clients_get_resume_time (broker->clients));
  return deadline;
}

static void
run (Broker *broker)
{
  while (!broker->quit)
    {
      gint64 now;

      loop_run_once (broker->loop, next_deadline (broker));
      now = g_get_monotonic_time ();
      clients_resume (broker->clients, now);
      check_chip (broker, now);
      if (has_command (broker))
        serve (broker, clients_begin (broker->clients, serves_clients (broker)));
      else
        tidy (broker, now);
      if (clients_free_closed (broker->clients))
        broker->idle_done = FALSE;
    }
}

static gpointer
broker_thread (gpointer data)
{
  Broker *broker = data;

  run (broker);
  g_clear_pointer (&broker->clients, clients_free);
  if (broker->state == BROKER_STATE_READY && resource_manager_stop (broker->rm))
    note_shut_down (broker);
  chip_close (broker->chip);
  return NULL;
}

static ResourceManager *
make_resource_manager (Broker *broker)
{
  const Config *config = broker->config;
  ResourceManagerLimits limits = {
    .max_objects = config->max_objects,
    .max_sessions = config->max_sessions,
    .max_objects_per_uid = config->max_objects_per_uid,
    .max_sessions_per_uid = config->max_sessions_per_uid,
    .max_abandoned_sessions = config->max_abandoned_sessions,
    .open_commands = config->open_commands,
    .reserve_slots = config->reserve_slots,
    .sends_shutdown = config->send_shutdown,
    .keeps_leaked = !config->flush_leaked,
  };
  SlotsChip chip = { .transact = chip_func, .data = broker };

  return resource_manager_new (&limits, &chip);
}

Broker *
broker_new (const Config *config, BrokerStateFunc func, gpointer user_data)
{
  Broker *broker = g_new0 (Broker, 1);

  broker->config = config;
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
  broker->chip = chip_new (broker->loop, config->tcti, config->chip_timeout_s);
  broker->rm = make_resource_manager (broker);
  if (config->mode == CONFIG_MODE_ALONGSIDE)
    go_alongside (broker, config->tcti);
  broker->clients = clients_new (broker->loop, broker->directory, broker->rm, broker->chip);
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
  resource_manager_free (broker->rm);
  chip_free (broker->chip);
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
