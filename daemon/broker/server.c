/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "server.h"

#include "chip.h"
#include "clients.h"
#include "command.h"
#include "common/log.h"
#include "resource-manager.h"

#include <string.h>

#define BACKOFF_MIN_US (250 * G_TIME_SPAN_MILLISECOND)
#define BACKOFF_MAX_US (60 * G_TIME_SPAN_SECOND)
/* How long a silent chip may keep the daemon from ending: systemd kills it after 90 s, and then nothing is tidy. */
#define QUIT_TIMEOUT_S 30

/* What /dev/tpmrm0 and tpm2-abrmd give to one connection. */
#define KERNEL_SPACE_OBJECTS  3
#define KERNEL_SPACE_SESSIONS 3
#define ABRMD_OBJECTS         27
#define ABRMD_SESSIONS        4

struct _Server
{
  Loop *loop;
  const Config *config;
  Directory *directory;
  Latency *latency;
  Tally *tally;
  const ServerFuncs *funcs;
  gpointer data;

  Chip *chip;
  ResourceManager *rm;
  Clients *clients; /* NULL: server_run() has ended */
  BrokerState state;
  BrokerFault fault;
  gboolean released;
  BrokerRest rest;
  guint quiet_serial; /* 0: nobody waits for quiet */
  gboolean quit;
  gboolean tried;   /* the first attempt to open the chip has ended */
  gboolean opened;  /* once at least */
  gint64 reopen_at; /* 0: now */
  gint64 backoff;
  gint64 last_command;
  gboolean idle_done; /* nothing more to put out since the last command */
  guint8 response[COMMAND_MAX_SIZE];
};

/* What is told */

static void
set_state (Server *server,
           BrokerState state,
           BrokerFault fault,
           const char *reason,
           gboolean was_reset)
{
  if (state == server->state && fault == server->fault && !was_reset)
    return;
  server->state = state;
  server->fault = fault;
  /* Each reset is a power cut to the chip's lockout counter: what was healed before it is not any more. */
  if (was_reset)
    server->released = FALSE;
  server->funcs->state_changed (state, fault, reason, was_reset, server->data);
}

static void
tell_quiet (Server *server)
{
  if (server->quiet_serial != 0)
    server->funcs->quiet (server->quiet_serial, server->data);
  server->quiet_serial = 0;
}

static void
note_flushed (Server *server)
{
  tally_add (server->tally, TALLY_FLUSHED, resource_manager_take_flushed (server->rm));
}

/* Written here, because nobody else is left to do it when the daemon ends. */
static void
note_shut_down (Server *server)
{
  log_healing ("shutdown", "TPM2_Shutdown was sent, the power may go");
  tally_add (server->tally, TALLY_SHUT_DOWN, 1);
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
  Server *server = data;
  gint64 start = g_get_monotonic_time ();
  TSS2_RC rc = chip_transact (server->chip, command, size, locality, response, out_size);
  TSS2_RC code = rc;

  if (rc == TSS2_RC_SUCCESS && *out_size >= COMMAND_HEADER_SIZE)
    code = get_be32 (response + COMMAND_CODE_OFFSET);
  if (code != TSS2_RC_SUCCESS)
    latency_add_failure (server->latency, get_be32 (command + COMMAND_CODE_OFFSET), code);
  else
    latency_add (server->latency, get_be32 (command + COMMAND_CODE_OFFSET),
                 g_get_monotonic_time () - start);
  if (rc == TSS2_RC_SUCCESS && is_auth_failure (code))
    tally_add (server->tally, TALLY_AUTH_FAILED, 1);
  return rc;
}

static void
chip_failed (Server *server)
{
  gint64 now = g_get_monotonic_time ();
  const char *reason;
  BrokerFault fault = chip_get_fault (server->chip, &reason);

  server->tried = TRUE;
  server->backoff = CLAMP (server->backoff * 2, BACKOFF_MIN_US, BACKOFF_MAX_US);
  server->reopen_at = now + server->backoff;
  directory_set_ability (server->directory, FALSE);
  set_state (server,
             fault == BROKER_FAULT_PROTOCOL || fault == BROKER_FAULT_SILENT
                 ? BROKER_STATE_FAILED
                 : BROKER_STATE_UNAVAILABLE,
             fault, reason, FALSE);
  chip_close (server->chip);
}

static void
chip_opened (Server *server)
{
  gboolean was_reset = FALSE;
  TSS2_RC rc = resource_manager_start (server->rm, &was_reset);

  server->tried = TRUE;
  if (rc != TSS2_RC_SUCCESS)
    {
      g_autofree char *reason = g_strdup_printf (
          "the TPM refuses to start (0x%08x): it may be a TPM 1.2, or its firmware update is not finished",
          rc);

      chip_set_fault (server->chip, BROKER_FAULT_PROTOCOL, reason);
      chip_failed (server);
      return;
    }
  note_flushed (server);
  if (server->opened)
    tally_add (server->tally, TALLY_REOPENED, 1);
  server->opened = TRUE;
  server->backoff = 0;
  server->idle_done = FALSE;
  server->last_command = g_get_monotonic_time ();
  directory_set_ability (server->directory, chip_can_set_locality (server->chip));
  set_state (server, BROKER_STATE_READY, BROKER_FAULT_NONE, NULL, was_reset);
}

/* Opens what is closed, notices what has failed. */
static void
check_chip (Server *server, gint64 now)
{
  if (chip_get_status (server->chip) == CHIP_CLOSED && now >= server->reopen_at)
    chip_open (server->chip);
  switch (chip_get_status (server->chip))
    {
    case CHIP_OPEN:
      if (server->state != BROKER_STATE_READY)
        chip_opened (server);
      break;
    case CHIP_FAILED:
      chip_failed (server);
      break;
    case CHIP_CLOSED:
    case CHIP_OPENING:
    default:
      break;
    }
}

/* Serving */

static void
serve (Server *server, Connection *connection)
{
  gsize size;
  guint8 *frame = connection_get_frame (connection, &size);
  gint locality = g_atomic_int_get (&connection_get_entry (connection)->locality);

  if (server->state != BROKER_STATE_READY)
    {
      size = command_response_put_error (server->response, TSS2_TCTI_RC_NO_CONNECTION);
      clients_finish (server->clients, connection, server->response, size);
      return;
    }
  size = resource_manager_process (server->rm, connection_get_user_data (connection),
                                   (guint8)locality, frame, size, server->response);
  clients_finish (server->clients, connection, server->response, size);
  explicit_bzero (server->response, size);
  server->last_command = g_get_monotonic_time ();
  server->idle_done = FALSE;
  note_flushed (server);
  if (resource_manager_take_was_reset (server->rm))
    set_state (server, BROKER_STATE_READY, BROKER_FAULT_NONE, NULL, TRUE);
}

/* Those of clients wait for broker_release(), but not for a chip that does not come: then they are told so. */
static gboolean
serves_clients (const Server *server)
{
  return server->released || server->state == BROKER_STATE_UNAVAILABLE ||
         server->state == BROKER_STATE_FAILED;
}

/* Until the first attempt to open the chip has ended, commands wait for it. */
static gboolean
has_command (const Server *server)
{
  return server->tried && clients_have_command (server->clients, serves_clients (server));
}

static gint64
idle_time (const Server *server)
{
  return server->last_command +
         (server->rest != BROKER_REST_NONE ? 0 : (gint64)server->config->idle_evict_ms * 1000);
}

/* Something is to be done once nobody has wanted the chip for the idle time. */
static gboolean
is_in_chip (const Server *server)
{
  return resource_manager_has_loaded (server->rm) || chip_can_rest (server->chip);
}

/* One step of what is done while nobody wants the chip. Returns whether there may be more to do. */
static gboolean
tidy_one (Server *server, gint64 now)
{
  if (server->state != BROKER_STATE_READY || server->idle_done)
    return FALSE;
  if (resource_manager_sweep (server->rm))
    return TRUE;
  if (!is_in_chip (server))
    return FALSE;
  if (now < idle_time (server))
    return TRUE;
  if (resource_manager_has_loaded (server->rm) && resource_manager_idle_step (server->rm))
    return TRUE;
  chip_rest (server->chip);
  return FALSE;
}

static void
tidy (Server *server, gint64 now)
{
  if (tidy_one (server, now))
    return;
  if (server->state == BROKER_STATE_READY && server->rest == BROKER_REST_POWER_OFF &&
      !server->idle_done && resource_manager_shut_down (server->rm))
    note_shut_down (server);
  server->idle_done = TRUE;
  tell_quiet (server);
}

static gint64
earlier (gint64 a, gint64 b)
{
  return a < 0 ? b : MIN (a, b);
}

/* -1: nothing to do until something happens. */
static gint64
next_deadline (Server *server)
{
  gint64 deadline = -1;

  if (has_command (server))
    return 0;
  if (chip_get_status (server->chip) == CHIP_CLOSED)
    deadline = earlier (deadline, server->reopen_at);
  if (chip_get_deadline (server->chip) >= 0)
    deadline = earlier (deadline, chip_get_deadline (server->chip));
  if (chip_get_status (server->chip) == CHIP_FAILED)
    deadline = 0;
  if (server->state == BROKER_STATE_READY && !server->idle_done)
    deadline = earlier (deadline, is_in_chip (server) ? idle_time (server) : 0);
  if (clients_get_resume_time (server->clients) >= 0)
    deadline = earlier (deadline, clients_get_resume_time (server->clients));
  return deadline;
}

void
server_run (Server *server)
{
  while (!server->quit)
    {
      gint64 now;

      loop_run_once (server->loop, next_deadline (server));
      now = g_get_monotonic_time ();
      clients_resume (server->clients, now);
      check_chip (server, now);
      if (has_command (server))
        serve (server, clients_begin (server->clients, serves_clients (server)));
      else
        tidy (server, now);
      if (clients_free_closed (server->clients))
        server->idle_done = FALSE;
    }
  g_clear_pointer (&server->clients, clients_free);
  if (server->state == BROKER_STATE_READY && resource_manager_stop (server->rm))
    note_shut_down (server);
  chip_close (server->chip);
}

/* From the messages of other threads */

void
server_add_client (Server *server, int fd, DirectoryEntry *entry)
{
  clients_add (server->clients, fd, entry);
}

void
server_listen (Server *server, int fd, BrokerListener kind)
{
  clients_listen (server->clients, fd, kind);
}

void
server_release (Server *server)
{
  server->released = TRUE;
}

TSS2_RC
server_cancel (Server *server, guint64 id)
{
  return clients_cancel (server->clients, id);
}

void
server_set_rest (Server *server, BrokerRest rest, guint quiet_serial)
{
  server->rest = rest;
  server->idle_done = FALSE;
  server->quiet_serial = quiet_serial;
}

void
server_quit (Server *server)
{
  server->quit = TRUE;
  chip_hurry (server->chip, QUIT_TIMEOUT_S);
}

/* Making */

/* Another resource manager is below. */
static void
go_alongside (Server *server, const char *tcti)
{
  gboolean kernel = strstr (tcti, "tpmrm") != NULL;

  resource_manager_set_alongside (server->rm, kernel ? KERNEL_SPACE_OBJECTS : ABRMD_OBJECTS,
                                  kernel ? KERNEL_SPACE_SESSIONS : ABRMD_SESSIONS);
}

static ResourceManager *
make_resource_manager (Server *server)
{
  const Config *config = server->config;
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
  ChipBelow chip = { .transact = chip_func, .data = server };

  return resource_manager_new (&limits, &chip);
}

Server *
server_new (Loop *loop,
            const Config *config,
            Directory *directory,
            Latency *latency,
            Tally *tally,
            const ServerFuncs *funcs,
            gpointer data)
{
  Server *server = g_new0 (Server, 1);

  server->loop = loop;
  server->config = config;
  server->directory = directory;
  server->latency = latency;
  server->tally = tally;
  server->funcs = funcs;
  server->data = data;
  server->chip = chip_new (loop, config->tcti, config->chip_timeout_s);
  server->rm = make_resource_manager (server);
  if (config->mode == CONFIG_MODE_ALONGSIDE)
    go_alongside (server, config->tcti);
  server->clients = clients_new (loop, directory, server->rm, server->chip);
  return server;
}

void
server_free (Server *server)
{
  g_clear_pointer (&server->clients, clients_free);
  resource_manager_free (server->rm);
  chip_free (server->chip);
  g_free (server);
}
