/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The provisioning of the daemon as a program, without a bus: broker, token lane and helper are the real ones. For
 * tests that kill it. Prints `step: TEXT` as it goes, then `token: ...` and `key: ...` for what there is,
 * `changed: 0|1`, for each key `uri: URI` and the CSR, and `warning: TEXT`, or `error: NICK: TEXT` (exit code 1).
 *
 *   provision-runner CONFIG [--token T] [--key K] [--algorithm A] [--subject S] [--complete]
 *                    [--plan FILE] [--pin-fd N] [--so-pin-fd N] [--cancel-at STEP] [--remove] [--dry-run]
 *
 * With --remove: the token T is removed; prints `lost: TEXT` for each thing.
 */
#include "broker/broker.h"
#include "broker/socket-frontend.h"
#include "dbus/error.h"
#include "provision/removal.h"
#include "provision/steps.h"
#include "tpm/worker.h"

#include <stdio.h>
#include <stdlib.h>

#define PIN_MAX_BYTES 128

typedef struct
{
  GMainLoop *loop;
  Config *config;
  Broker *broker;
  SocketFrontend *sockets;
  Worker *lane;
  Tokens *tokens;
  Plan *plan;
  GCancellable *cancellable;
  char *cancel_at;
  gboolean remove;
  gboolean begun;
  int exit_code;
} Runner;

static void
print_error (const GError *error)
{
  const char *nick = error->domain == GGTPM_ERROR ? ggtpm_error_nick ((GgtpmError)error->code)
                                                  : g_quark_to_string (error->domain);

  printf ("error: %s: %s\n", nick, error->message);
  fflush (stdout);
}

static void
on_progress (const char *step, double progress, gpointer user_data)
{
  Runner *runner = user_data;

  printf ("step: %s\n", step);
  fflush (stdout);
  if (g_strcmp0 (step, runner->cancel_at) == 0)
    g_cancellable_cancel (runner->cancellable);
}

/* What the daemon would show after the job. */
static gboolean
print_tokens (Tokens *tokens, GError **error)
{
  g_autoptr (GPtrArray) infos = tokens_list (tokens, NULL, error);

  for (guint i = 0; infos != NULL && i < infos->len; i++)
    {
      const TokenInfo *info = g_ptr_array_index (infos, i);

      printf ("token: %s|%" G_GUINT64_FORMAT "|%s|%s|%s|%d\n", info->label, info->slot,
              info->manufacturer, info->model, info->serial, info->pin_stored);
      for (guint k = 0; k < info->keys->len; k++)
        {
          const TokenKey *key = g_ptr_array_index (info->keys, k);
          g_autofree char *spki = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, key->spki);

          printf ("key: %s|%s|%s|%s\n", key->label, key->algorithm, spki, key->uri);
        }
    }
  return infos != NULL;
}

static gpointer
op_provision (Tpm *tpm, gpointer args, GCancellable *cancellable, GError **error)
{
  Runner *runner = args;
  g_autoptr (StepsResult) result = steps_run (runner->tokens, tpm, runner->config, runner->plan,
                                              on_progress, runner, cancellable, error);

  if (result == NULL || !print_tokens (runner->tokens, error))
    return NULL;
  return g_steal_pointer (&result);
}

static void
provision_done (GObject *source, GAsyncResult *async_result, gpointer user_data)
{
  Runner *runner = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (StepsResult) result = worker_run_finish (async_result, &error);

  if (result != NULL)
    {
      printf ("changed: %d\n", result->changed);
      for (guint i = 0; i < result->keys->len; i++)
        {
          const StepsResultKey *key = result->keys->pdata[i];

          printf ("uri: %s\n%s", key->uri, key->csr);
        }
      for (char **warning = result->warnings; *warning != NULL; warning++)
        printf ("warning: %s\n", *warning);
      runner->exit_code = 0;
    }
  else
    print_error (error);
  g_main_loop_quit (runner->loop);
}

static gpointer
op_remove (Tpm *tpm, gpointer args, GCancellable *cancellable, GError **error)
{
  Runner *runner = args;

  return removal_run (runner->tokens, tpm, runner->config, runner->plan->token,
                      runner->plan->dry_run, cancellable, error);
}

static void
remove_done (GObject *source, GAsyncResult *async_result, gpointer user_data)
{
  Runner *runner = user_data;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) lost = worker_run_finish (async_result, &error);

  for (gsize i = 0; lost != NULL && lost[i] != NULL; i++)
    printf ("lost: %s\n", lost[i]);
  if (lost != NULL)
    runner->exit_code = 0;
  else
    print_error (error);
  g_main_loop_quit (runner->loop);
}

static void
on_broker_state (BrokerState state,
                 BrokerFault fault,
                 const char *reason,
                 gboolean tpm_was_reset,
                 gpointer user_data)
{
  Runner *runner = user_data;

  if (state != BROKER_STATE_READY || runner->begun)
    return;
  runner->begun = TRUE;
  if (runner->remove)
    {
      worker_run_async (runner->lane, op_remove, runner, NULL, (GDestroyNotify)g_strfreev,
                        runner->cancellable, remove_done, runner);
      return;
    }
  worker_run_async (runner->lane, op_provision, runner, NULL, (GDestroyNotify)steps_result_free,
                    runner->cancellable, provision_done, runner);
}

static int
connect_broker (gpointer user_data, GError **error)
{
  return broker_connect (user_data, error);
}

/* ---- PINs ---- */

typedef struct
{
  GMainLoop *loop;
  Secret *secret;
} Reading;

static void
read_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Reading *reading = user_data;
  g_autoptr (GError) error = NULL;

  reading->secret = secret_read_fd_finish (result, &error);
  if (reading->secret == NULL)
    print_error (error);
  g_main_loop_quit (reading->loop);
}

static Secret *
read_pin (Runner *runner, int fd)
{
  Reading reading = { runner->loop, NULL };

  if (fd < 0)
    return NULL;
  secret_read_fd_async (fd, PIN_MAX_BYTES, NULL, read_done, &reading);
  g_main_loop_run (runner->loop);
  if (reading.secret == NULL)
    exit (1);
  return reading.secret;
}

/* ---- start ---- */

/* Takes @given unless it is NULL. */
static void
set_text (char **text, char *given)
{
  if (given == NULL)
    return;
  g_free (*text);
  *text = given;
}

static gboolean
parse_options (Runner *runner, int *argc, char ***argv, GError **error)
{
  Plan *plan;
  PlanKey *plan_key;
  gboolean complete = FALSE;
  gboolean dry_run = FALSE;
  int pin_fd = -1;
  int so_pin_fd = -1;
  char *token = NULL, *key = NULL, *algorithm = NULL, *subject = NULL, *plan_path = NULL;
  GOptionEntry entries[] = {
    { "token", 0, 0, G_OPTION_ARG_STRING, &token, NULL, NULL },
    { "key", 0, 0, G_OPTION_ARG_STRING, &key, NULL, NULL },
    { "algorithm", 0, 0, G_OPTION_ARG_STRING, &algorithm, NULL, NULL },
    { "subject", 0, 0, G_OPTION_ARG_STRING, &subject, NULL, NULL },
    { "plan", 0, 0, G_OPTION_ARG_FILENAME, &plan_path, NULL, NULL },
    { "complete", 0, 0, G_OPTION_ARG_NONE, &complete, NULL, NULL },
    { "pin-fd", 0, 0, G_OPTION_ARG_INT, &pin_fd, NULL, NULL },
    { "so-pin-fd", 0, 0, G_OPTION_ARG_INT, &so_pin_fd, NULL, NULL },
    { "remove", 0, 0, G_OPTION_ARG_NONE, &runner->remove, NULL, NULL },
    { "dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, NULL, NULL },
    { "cancel-at", 0, 0, G_OPTION_ARG_STRING, &runner->cancel_at, NULL, NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("CONFIG");

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  plan = runner->plan = plan_path != NULL ? plan_load (plan_path, error) : plan_new ();
  g_free (plan_path);
  if (plan == NULL)
    return FALSE;
  plan_key = plan->keys->pdata[0];
  set_text (&plan->token, token);
  set_text (&plan_key->label, key);
  set_text (&plan_key->algorithm, algorithm);
  set_text (&plan_key->subject, subject);
  plan->exclusive = !complete;
  plan->dry_run = dry_run;
  plan->pin = read_pin (runner, pin_fd);
  plan->so_pin = read_pin (runner, so_pin_fd);
  return TRUE;
}

static gboolean
start (Runner *runner, const char *config_path, GError **error)
{
  runner->config = config_load (config_path, error);
  if (runner->config == NULL)
    return FALSE;
  runner->tokens = tokens_new (runner->config, error);
  if (runner->tokens == NULL)
    return FALSE;
  runner->broker = broker_new (runner->config, on_broker_state, runner);
  runner->lane = worker_new (connect_broker, runner->broker, 1, 1);
  runner->sockets = socket_frontend_new (runner->broker, runner->config, "tss", error);
  return runner->sockets != NULL;
}

int
main (int argc, char **argv)
{
  Runner runner = { .exit_code = 1 };
  g_autoptr (GError) error = NULL;

  runner.loop = g_main_loop_new (NULL, FALSE);
  runner.cancellable = g_cancellable_new ();
  if (!parse_options (&runner, &argc, &argv, &error) || !start (&runner, argv[1], &error))
    {
      print_error (error);
      return 1;
    }
  g_main_loop_run (runner.loop);
  worker_free (runner.lane);
  tokens_free (runner.tokens);
  g_clear_pointer (&runner.sockets, socket_frontend_free);
  broker_free (runner.broker);
  config_free (runner.config);
  plan_free (runner.plan);
  g_free (runner.cancel_at);
  g_object_unref (runner.cancellable);
  g_main_loop_unref (runner.loop);
  return runner.exit_code;
}
