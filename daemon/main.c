/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "broker/broker.h"
#include "broker/socket-frontend.h"
#include "broker/tabrmd-frontend.h"
#include "build-config.h"
#include "bus/logind.h"
#include "bus/mode.h"
#include "bus/service.h"
#include "command-line.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/secret.h"
#include "dbus/error.h"
#include "health/monitor.h"
#include "token/tokens.h"
#include "tpm/worker.h"

#include <glib-unix.h>

#include <errno.h>
#include <signal.h>

/* Exit codes, documented in ggtpmd(8). */
#define EXIT_OK       0
#define EXIT_FAILED   1
#define EXIT_USAGE    2
#define EXIT_BUS_LOST 69 /* no bus, or it or the name was lost */

#define CHIP_THREADS    2
#define CHIP_QUEUE_MAX  64
#define TOKEN_QUEUE_MAX 64

/* In the order of their making; freed the other way round, the broker last. */
typedef struct
{
  int exit_code;
  GMainLoop *loop;
  Config *config;
  GDBusConnection *connection;
  Broker *broker;
  SocketFrontend *sockets;
  Worker *chip;
  Worker *lane;
  Tokens *tokens;
  Monitor *monitor;
  Service *service;
  TabrmdFrontend *tabrmd;
  Logind *logind;
  BrokerState state;
  guint n_unsettled; /* states of the broker that health has not looked at yet */
} Daemon;

static void
daemon_clear (Daemon *daemon)
{
  g_clear_pointer (&daemon->logind, logind_free);
  g_clear_pointer (&daemon->tabrmd, tabrmd_frontend_free);
  g_clear_pointer (&daemon->service, service_free);
  g_clear_object (&daemon->monitor);
  g_clear_pointer (&daemon->lane, worker_free);
  g_clear_pointer (&daemon->tokens, tokens_free);
  g_clear_pointer (&daemon->chip, worker_free);
  g_clear_pointer (&daemon->sockets, socket_frontend_free);
  g_clear_pointer (&daemon->broker, broker_free);
  g_clear_object (&daemon->connection);
  g_clear_pointer (&daemon->config, config_free);
  g_clear_pointer (&daemon->loop, g_main_loop_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Daemon, daemon_clear)

static GDBusConnection *
connect_bus (const Config *config, GError **error)
{
  if (config->bus_address == NULL)
    return g_bus_get_sync (G_BUS_TYPE_SYSTEM, NULL, error);
  return g_dbus_connection_new_for_address_sync (config->bus_address,
                                                 G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                     G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                                 NULL, NULL, error);
}

/* ---- what comes from the parts ---- */

static int
connect_broker (gpointer user_data, GError **error)
{
  return broker_connect (user_data, error);
}

static gboolean
on_device_settled (gpointer user_data)
{
  Daemon *daemon = user_data;

  daemon->n_unsettled--;
  /* A reset that came meanwhile is healed first. */
  if (daemon->state != BROKER_STATE_READY || daemon->n_unsettled > 0)
    return G_SOURCE_REMOVE;
  broker_release (daemon->broker);
  service_set_broker_state (daemon->service, BROKER_STATE_READY, "");
  return G_SOURCE_REMOVE;
}

static HealthDevice
get_device (BrokerState state, BrokerFault fault)
{
  switch (fault)
    {
    case BROKER_FAULT_MISSING:
      return HEALTH_DEVICE_MISSING;
    case BROKER_FAULT_BUSY:
      return HEALTH_DEVICE_BUSY;
    case BROKER_FAULT_DENIED:
    case BROKER_FAULT_IO:
    case BROKER_FAULT_PROTOCOL:
    case BROKER_FAULT_SILENT:
      return HEALTH_DEVICE_IO;
    case BROKER_FAULT_NONE:
    default:
      return state == BROKER_STATE_READY ? HEALTH_DEVICE_OK : HEALTH_DEVICE_UNKNOWN;
    }
}

static void
on_broker_state (BrokerState state,
                 BrokerFault fault,
                 const char *reason,
                 gboolean tpm_was_reset,
                 gpointer user_data)
{
  Daemon *daemon = user_data;

  daemon->state = state;
  daemon->n_unsettled++;
  notify_status (state == BROKER_STATE_READY ? "serving" : reason);
  /* `ready` is what we are once the clients are served, see on_device_settled() */
  if (state != BROKER_STATE_READY)
    service_set_broker_state (daemon->service, state, reason);
  monitor_set_device (daemon->monitor, get_device (state, fault), reason, tpm_was_reset,
                      on_device_settled, daemon);
}

static gboolean
on_service_ready (gpointer user_data)
{
  Daemon *daemon = user_data;

  notify_ready (daemon->state == BROKER_STATE_READY ? "serving" : "waiting for the TPM");
  return G_SOURCE_REMOVE;
}

static gboolean
on_service_lost (gpointer user_data)
{
  Daemon *daemon = user_data;

  g_warning ("the bus or the name org.ggtpm1 is lost");
  daemon->exit_code = EXIT_BUS_LOST;
  g_main_loop_quit (daemon->loop);
  return G_SOURCE_REMOVE;
}

static gboolean
on_signal (gpointer user_data)
{
  Daemon *daemon = user_data;

  notify_stopping ();
  g_main_loop_quit (daemon->loop);
  return G_SOURCE_CONTINUE;
}

/* ---- main ---- */

static gboolean
make_directory (const char *path, int mode, GError **error)
{
  if (g_mkdir_with_parents (path, mode) == 0)
    return TRUE;
  g_set_error (error, G_IO_ERROR, (gint)g_io_error_from_errno (errno), "making %s: %s", path,
               g_strerror (errno));
  return FALSE;
}

static gboolean
start (Daemon *daemon, GError **error)
{
  Config *config = daemon->config;
  g_autofree char *why = mode_decide (config, daemon->connection);

  if (why != NULL)
    g_message ("%s", why);
  if (!make_directory (config->state_dir, 0711, error) ||
      !make_directory (config->runtime_dir, 0755, error))
    return FALSE;
  daemon->broker = broker_new (config, on_broker_state, daemon);
  daemon->sockets = socket_frontend_new (daemon->broker, config, GGTPM_TSS_GROUP, error);
  if (daemon->sockets == NULL)
    return FALSE;
  daemon->chip = worker_new (connect_broker, daemon->broker, CHIP_THREADS, CHIP_QUEUE_MAX);
  daemon->lane = worker_new (connect_broker, daemon->broker, 1, TOKEN_QUEUE_MAX);
  daemon->tokens = tokens_new (config, error);
  if (daemon->tokens == NULL)
    return FALSE;
  daemon->monitor = monitor_new (config, daemon->chip, broker_get_latency (daemon->broker),
                                 broker_get_tally (daemon->broker));
  daemon->service =
      service_new (daemon->connection, config, daemon->tokens, daemon->lane, daemon->chip,
                   daemon->monitor, on_service_ready, on_service_lost, daemon);
  if (config->tabrmd_name != NULL && config->mode == CONFIG_MODE_REPLACE)
    daemon->tabrmd = tabrmd_frontend_new (daemon->broker, daemon->connection, config->tabrmd_name);
  daemon->logind = logind_new (daemon->connection, daemon->broker);
  return TRUE;
}

static int
fail (int exit_code, const GError *error)
{
  g_printerr ("ggtpmd: %s\n", error->message);
  return exit_code;
}

int
main (int argc, char **argv)
{
  const struct sigaction ignore = { .sa_handler = SIG_IGN };
  g_auto (CommandLine) command_line = { NULL };
  g_auto (Daemon) daemon = { EXIT_OK };
  g_autoptr (GError) error = NULL;

  if (!command_line_parse (&command_line, &argc, &argv, &error))
    return fail (EXIT_USAGE, error);
  if (command_line.version)
    {
      g_print ("ggtpmd %s\n", PACKAGE_VERSION);
      return EXIT_OK;
    }
  if (!secret_forbid_dumps ())
    g_printerr ("ggtpmd: core dumps cannot be switched off: %s\n", g_strerror (errno));
  sigaction (SIGPIPE, &ignore, NULL);
  log_init (command_line.verbose);
  (void)ggtpm_error_quark ();
  daemon.config = command_line_load_config (&command_line, &error);
  if (daemon.config == NULL)
    return fail (EXIT_USAGE, error);
  daemon.connection = connect_bus (daemon.config, &error);
  if (daemon.connection == NULL)
    return fail (EXIT_BUS_LOST, error);
  g_dbus_connection_set_exit_on_close (daemon.connection, FALSE);
  daemon.loop = g_main_loop_new (NULL, FALSE);
  g_unix_signal_add (SIGTERM, on_signal, &daemon);
  g_unix_signal_add (SIGINT, on_signal, &daemon);
  if (!start (&daemon, &error))
    return fail (EXIT_FAILED, error);
  notify_start_watchdog ();
  g_main_loop_run (daemon.loop);
  return daemon.exit_code;
}
