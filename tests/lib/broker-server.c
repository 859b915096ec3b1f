/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "broker/broker.h"
#include "broker/socket-frontend.h"
#include "broker/tabrmd-frontend.h"
#include "bus/logind.h"
#include "common/config.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>

/*
 * The broker and its front ends, without the rest of the daemon: for tests and benches. Says `STATE FAULT` on standard
 * output at each change, as numbers, and `reset` where the TPM has lost its contents.
 */

static void
on_state (BrokerState state,
          BrokerFault fault,
          const char *reason,
          gboolean tpm_was_reset,
          gpointer data)
{
  printf ("%d %d%s%s%s\n", (int)state, (int)fault, tpm_was_reset ? " reset" : "",
          *reason != '\0' ? " # " : "", reason);
  fflush (stdout);
}

/* After each reset of the chip, as the daemon does once health has looked at it. */
static void
on_state_release (BrokerState state,
                  BrokerFault fault,
                  const char *reason,
                  gboolean tpm_was_reset,
                  gpointer data)
{
  /* Who reads the state finds the clients served. */
  if (tpm_was_reset)
    broker_release (*(Broker **)data);
  on_state (state, fault, reason, tpm_was_reset, data);
}

static gboolean
on_signal (gpointer data)
{
  g_main_loop_quit (data);
  return G_SOURCE_CONTINUE;
}

static Config *
load_config (int argc, char **argv, gboolean *out_hold, GError **error)
{
  g_autofree char *file = NULL;
  g_autofree char *tcti = NULL;
  g_autofree char *runtime_dir = NULL;
  g_autofree char *mode = NULL;
  g_autofree char *tabrmd_name = NULL;
  gboolean hold = FALSE;
  const GOptionEntry entries[] = {
    { "config", 0, 0, G_OPTION_ARG_FILENAME, &file, "Configuration file", "FILE" },
    { "tcti", 0, 0, G_OPTION_ARG_STRING, &tcti, "TCTI below", "CONF" },
    { "runtime-dir", 0, 0, G_OPTION_ARG_FILENAME, &runtime_dir, "Directory of the sockets", "DIR" },
    { "mode", 0, 0, G_OPTION_ARG_STRING, &mode, "replace, alongside or auto", "MODE" },
    { "tabrmd-name", 0, 0, G_OPTION_ARG_STRING, &tabrmd_name, "Name on the system bus", "NAME" },
    { "hold", 0, 0, G_OPTION_ARG_NONE, &hold, "Release clients on SIGUSR1 only", NULL },
    { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (Config) config = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, error))
    return NULL;
  config = config_load (file, error);
  if (config == NULL || (mode != NULL && !config_mode_from_string (mode, &config->mode, error)))
    return NULL;
  if (tcti != NULL)
    {
      g_free (config->tcti);
      config->tcti = g_steal_pointer (&tcti);
    }
  if (runtime_dir != NULL)
    {
      g_free (config->runtime_dir);
      config->runtime_dir = g_steal_pointer (&runtime_dir);
    }
  g_free (config->tabrmd_name);
  config->tabrmd_name = g_steal_pointer (&tabrmd_name);
  *out_hold = hold;
  return g_steal_pointer (&config);
}

static gboolean
on_release (gpointer data)
{
  broker_release (data);
  return G_SOURCE_CONTINUE;
}

int
main (int argc, char **argv)
{
  gboolean hold;
  g_autoptr (GError) error = NULL;
  g_autoptr (Config) config = load_config (argc, argv, &hold, &error);
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GDBusConnection) bus = NULL;
  g_autoptr (Broker) broker = NULL;
  g_autoptr (SocketFrontend) sockets = NULL;
  g_autoptr (TabrmdFrontend) frontend = NULL;
  g_autoptr (Logind) logind = NULL;

  if (config == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return 2;
    }
  signal (SIGPIPE, SIG_IGN);
  g_unix_signal_add (SIGTERM, on_signal, loop);
  g_unix_signal_add (SIGINT, on_signal, loop);
  /* As the daemon does: before there is another thread. */
  if (config->tabrmd_name != NULL)
    {
      bus = g_bus_get_sync (G_BUS_TYPE_SYSTEM, NULL, &error);
      if (bus == NULL)
        {
          fprintf (stderr, "%s\n", error->message);
          return 1;
        }
      g_dbus_connection_set_exit_on_close (bus, FALSE);
    }
  broker = broker_new (config, hold ? on_state : on_state_release, &broker);
  sockets = socket_frontend_new (broker, config, "tss", &error);
  if (sockets == NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return 1;
    }
  if (config->tabrmd_name != NULL)
    {
      frontend = tabrmd_frontend_new (broker, bus, config->tabrmd_name);
      logind = logind_new (bus, broker);
    }
  g_unix_signal_add (SIGUSR1, on_release, broker);
  if (!hold)
    broker_release (broker);
  g_main_loop_run (loop);
  return 0;
}
