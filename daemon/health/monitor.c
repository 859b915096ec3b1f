/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "monitor.h"

#include "common/log.h"
#include "dbus/error.h"
#include "healing.h"
#include "issues.h"
#include "request.h"

#define FIRST_RETRY_S 1
#define TESTING_INTERVAL_S                                                                         \
  10 /* while a self-test runs or has failed: soon noticed when it is over */

struct _Monitor
{
  GObject parent_instance;

  const Config *config;
  Worker *worker;
  Latency *latency;
  GCancellable *cancellable;

  HealthDevice broker_device;
  guint
      device_generation; /* of the last monitor_set_device(): what was begun before it tells nothing now */

  HealthFacts facts;
  HealthState state;
  GPtrArray *issues;
  gint64 last_check;

  Request running;
  guint running_generation;
  Request next;
  guint timer;
  guint retry_s; /* after a reading that failed; 0: the last one did not */

  Healing healing;
};

G_DEFINE_TYPE (Monitor, monitor, G_TYPE_OBJECT)

enum
{
  SIGNAL_CHECKED,
  SIGNAL_CHANGED,
  SIGNAL_ISSUE_RAISED,
  SIGNAL_ISSUE_CLEARED,
  SIGNAL_STATE_CHANGED,
  SIGNAL_HEALED,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

static void start_reading (Monitor *monitor);

static gint64
now_s (void)
{
  return g_get_real_time () / G_USEC_PER_SEC;
}

static void
on_issue_cleared (const HealthIssue *issue, gpointer user_data)
{
  g_signal_emit (user_data, signals[SIGNAL_ISSUE_CLEARED], 0, issue->id);
}

static void
on_issue_raised (const HealthIssue *issue, gpointer user_data)
{
  g_signal_emit (user_data, signals[SIGNAL_ISSUE_RAISED], 0, issue);
}

static const IssuesFuncs issues_funcs = { .cleared = on_issue_cleared, .raised = on_issue_raised };

/* Applies the rules to the facts and tells who listens. What is the same as before the bus leaves out by itself. */
static void
update (Monitor *monitor)
{
  g_autoptr (GPtrArray) old_issues = g_steal_pointer (&monitor->issues);
  g_autoptr (GPtrArray) issues = NULL;
  g_autoptr (GPtrArray) rules = rules_judge (&monitor->facts, now_s ());
  HealthState old_state = monitor->state;

  issues = rules_evaluate (&monitor->facts, now_s (), old_issues);
  monitor->issues = g_ptr_array_ref (issues);
  monitor->state = rules_get_state (&monitor->facts, monitor->issues);
  g_signal_emit (monitor, signals[SIGNAL_CHANGED], 0);
  issues_tell (old_issues, issues, rules, &issues_funcs, monitor);
  if (old_state != monitor->state)
    {
      g_autofree char *ids = issues_list_ids (issues);

      log_event (LOG_EVENT_STATE_CHANGED, "health: %s, was %s%s%s",
                 health_state_to_string (monitor->state), health_state_to_string (old_state),
                 *ids != '\0' ? ": " : "", ids);
      g_signal_emit (monitor, signals[SIGNAL_STATE_CHANGED], 0, (guint)old_state,
                     (guint)monitor->state);
    }
}

static void
take_values (Monitor *monitor, const Reading *reading, gboolean tpm_was_reset)
{
  monitor->last_check = now_s ();
  monitor->retry_s = 0;
  health_facts_take (&monitor->facts, reading, tpm_was_reset, monitor->last_check);
}

/* A full queue or a busy chip tells nothing about it: the old values stay, the next poll asks again. */
static void
take_failure (Monitor *monitor, const GError *error)
{
  monitor->retry_s = MAX (FIRST_RETRY_S, monitor->retry_s * 2);
  if (g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_BUSY) ||
      g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_NO_RESOURCES) ||
      g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED))
    return;
  health_facts_forget (&monitor->facts);
  health_facts_set_device (&monitor->facts, HEALTH_DEVICE_IO, error->message);
}

static void
on_healed (HealingAction action, GVariant *details, gpointer user_data)
{
  g_signal_emit (user_data, signals[SIGNAL_HEALED], 0, healing_action_to_string (action), details);
}

static void
take_heal_outcome (Monitor *monitor, const Reading *reading, const Request *request)
{
  gboolean is_told = request->reset_lockout; /* to who asked for it */

  monitor->facts.lockout = reading->record;
  healing_take (&monitor->healing, reading, g_get_monotonic_time ());
  if (reading->reset_error != NULL && reading->have_variable && !is_told &&
      (reading->reset_sent || request->tpm_was_reset))
    g_warning ("healing the lockout counter: %s", reading->reset_error->message);
}

static gboolean
on_timer (gpointer data)
{
  Monitor *monitor = data;

  monitor->timer = 0;
  monitor->next.wanted = TRUE;
  start_reading (monitor);
  return G_SOURCE_REMOVE;
}

static void
schedule (Monitor *monitor)
{
  guint seconds = monitor->config->poll_interval_s;

  g_clear_handle_id (&monitor->timer, g_source_remove);
  if (seconds == 0 || monitor->broker_device != HEALTH_DEVICE_OK)
    return;
  if (monitor->retry_s != 0)
    seconds = MIN (seconds, monitor->retry_s);
  else if (monitor->facts.testing_since != 0 ||
           (monitor->facts.have_test_result && monitor->facts.test_result == TPM2_RC_FAILURE))
    seconds = MIN (seconds, TESTING_INTERVAL_S);
  monitor->timer = g_timeout_add_seconds (seconds, on_timer, monitor);
}

static void
take_reading (Monitor *monitor, const Request *request, const Reading *reading, const GError *error)
{
  if (reading != NULL)
    take_heal_outcome (monitor, reading, request);
  if (monitor->running_generation == monitor->device_generation &&
      monitor->broker_device == HEALTH_DEVICE_OK)
    {
      if (reading != NULL)
        take_values (monitor, reading, request->tpm_was_reset);
      else
        take_failure (monitor, error);
      update (monitor);
      if (reading != NULL)
        g_signal_emit (monitor, signals[SIGNAL_CHECKED], 0);
    }
  if (reading != NULL)
    healing_tell (&monitor->healing, reading);
}

static void
reading_done (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (Monitor) monitor = g_weak_ref_get (data);
  g_autoptr (GError) error = NULL;
  g_autoptr (Reading) reading = worker_run_finish (result, &error);
  Request request;

  g_weak_ref_clear (data);
  g_free (data);
  if (monitor == NULL)
    return;

  request = monitor->running;
  request_init (&monitor->running);
  take_reading (monitor, &request, reading, error);
  request_answer (&request, reading, error);

  schedule (monitor);
  start_reading (monitor);
}

static gboolean
are_pins_generated (Monitor *monitor)
{
  const StoreFacts *store = monitor->facts.store;

  return store != NULL && store->pins_are_generated;
}

/* One reading at a time; what is wanted meanwhile is in monitor->next. */
static void
start_reading (Monitor *monitor)
{
  ReadingArgs *args;
  GWeakRef *weak;

  if (monitor->running.wanted || !monitor->next.wanted)
    return;

  request_clear (&monitor->running);
  monitor->running = monitor->next;
  monitor->running_generation = monitor->device_generation;
  request_init (&monitor->next);

  args = g_new0 (ReadingArgs, 1);
  args->want_fixed = monitor->running.fixed || !monitor->facts.have_fixed;
  args->reset_lockout = monitor->running.reset_lockout;
  args->tpm_was_reset = monitor->running.tpm_was_reset;
  args->want_run = !monitor->facts.have_run;
  args->record = monitor->facts.lockout;
  args->power = monitor->facts.power;
  args->trend = monitor->facts.trend;
  args->latency = monitor->latency;
  if (monitor->facts.have_fixed)
    args->fixed = monitor->facts.fixed;
  args->state_dir = g_strdup (monitor->config->state_dir);
  args->now = now_s ();
  healing_plan (&monitor->healing, args->tpm_was_reset, are_pins_generated (monitor),
                g_get_monotonic_time (), args);
  weak = g_new0 (GWeakRef, 1);
  g_weak_ref_init (weak, monitor);
  worker_run_async (monitor->worker, reading_take, args, (GDestroyNotify)reading_args_free,
                    (GDestroyNotify)reading_free, monitor->cancellable, reading_done, weak);
}

void
monitor_set_device (Monitor *monitor,
                    HealthDevice device,
                    const char *reason,
                    gboolean tpm_was_reset,
                    GSourceFunc ready,
                    gpointer user_data)
{
  g_return_if_fail (G_TYPE_CHECK_INSTANCE_TYPE (monitor, TYPE_MONITOR));

  monitor->broker_device = device;
  monitor->device_generation++;
  monitor->retry_s = 0;
  if (device == HEALTH_DEVICE_OK)
    {
      request_add_ready (&monitor->next, ready, user_data);
      monitor->next.wanted = TRUE;
      monitor->next.fixed = TRUE;
      monitor->next.tpm_was_reset |= tpm_was_reset;
      if (tpm_was_reset)
        healing_begin (&monitor->healing);
      start_reading (monitor);
      return;
    }

  health_facts_forget (&monitor->facts);
  health_facts_set_device (&monitor->facts, device, reason);
  schedule (monitor);
  update (monitor);
  if (ready != NULL)
    ready (user_data);
}

void
monitor_set_platform (Monitor *monitor, PlatformFacts *platform)
{
  health_facts_set_platform (&monitor->facts, platform);
  update (monitor);
}

void
monitor_set_store (Monitor *monitor, StoreFacts *store, StoreAccess access)
{
  health_facts_set_store (&monitor->facts, store, access);
  update (monitor);
}

void
monitor_note_key_use (Monitor *monitor, const char *name, const GError *error)
{
  if (health_facts_note_key_use (&monitor->facts, name, error))
    update (monitor);
}

/* ---- checks on demand ---- */

/* A reading that runs already serves a check too if it reads all that a check does. */
static void
wait_for_reading (Monitor *monitor, GTask *task, gboolean is_reset)
{
  gboolean join = monitor->running.wanted && monitor->running.fixed && !is_reset &&
                  monitor->running_generation == monitor->device_generation;
  Request *request = join ? &monitor->running : &monitor->next;

  if (monitor->broker_device != HEALTH_DEVICE_OK)
    {
      g_task_return_new_error (
          task, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE, "the TPM cannot be used: %s",
          monitor->facts.device_reason != NULL ? monitor->facts.device_reason : "not opened yet");
      g_object_unref (task);
      return;
    }
  request_add_task (request, task, is_reset);
  request->wanted = TRUE;
  request->fixed = TRUE;
  request->reset_lockout |= is_reset;
  start_reading (monitor);
}

void
monitor_check_async (Monitor *monitor,
                     GCancellable *cancellable,
                     GAsyncReadyCallback callback,
                     gpointer user_data)
{
  GTask *task = g_task_new (monitor, cancellable, callback, user_data);

  g_task_set_source_tag (task, monitor_check_async);
  wait_for_reading (monitor, task, FALSE);
}

gboolean
monitor_check_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_async_result_is_tagged (result, monitor_check_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

void
monitor_reset_lockout_async (Monitor *monitor,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
  GTask *task = g_task_new (monitor, cancellable, callback, user_data);

  g_task_set_source_tag (task, monitor_reset_lockout_async);
  wait_for_reading (monitor, task, TRUE);
}

gboolean
monitor_reset_lockout_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_async_result_is_tagged (result, monitor_reset_lockout_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

const HealthFacts *
monitor_get_facts (Monitor *monitor)
{
  return &monitor->facts;
}

HealthState
monitor_get_state (Monitor *monitor)
{
  return monitor->state;
}

GPtrArray *
monitor_get_issues (Monitor *monitor)
{
  return monitor->issues;
}

GPtrArray *
monitor_judge (Monitor *monitor)
{
  return rules_judge (&monitor->facts, now_s ());
}

guint
monitor_count_healings (Monitor *monitor, HealingAction action)
{
  return monitor->healing.n_done[action];
}

gint64
monitor_get_last_check (Monitor *monitor)
{
  return monitor->last_check;
}

Monitor *
monitor_new (const Config *config, Worker *worker, Latency *latency, Tally *tally)
{
  Monitor *monitor = g_object_new (TYPE_MONITOR, NULL);

  monitor->config = config;
  monitor->worker = worker;
  monitor->latency = latency;
  healing_init (&monitor->healing, config, tally, on_healed, monitor);
  health_facts_init (&monitor->facts, config);
  return monitor;
}

static void
monitor_init (Monitor *monitor)
{
  monitor->cancellable = g_cancellable_new ();
  monitor->issues = g_ptr_array_new_with_free_func ((GDestroyNotify)health_issue_free);
  request_init (&monitor->running);
  request_init (&monitor->next);
}

static void
monitor_finalize (GObject *object)
{
  Monitor *monitor = (Monitor *)object;

  healing_clear (&monitor->healing);
  g_cancellable_cancel (monitor->cancellable);
  g_clear_object (&monitor->cancellable);
  g_clear_handle_id (&monitor->timer, g_source_remove);
  /* A task holds a reference to us: there is none left, only `ready` callbacks whose owner is going too. */
  request_clear (&monitor->running);
  request_clear (&monitor->next);
  g_clear_pointer (&monitor->issues, g_ptr_array_unref);
  health_facts_clear (&monitor->facts);
  G_OBJECT_CLASS (monitor_parent_class)->finalize (object);
}

static void
monitor_class_init (MonitorClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = monitor_finalize;

  signals[SIGNAL_CHECKED] = g_signal_new ("checked", TYPE_MONITOR, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                          NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_CHANGED] = g_signal_new ("changed", TYPE_MONITOR, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                          NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_ISSUE_RAISED] = g_signal_new ("issue-raised", TYPE_MONITOR, G_SIGNAL_RUN_LAST, 0,
                                               NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_POINTER);
  signals[SIGNAL_ISSUE_CLEARED] = g_signal_new ("issue-cleared", TYPE_MONITOR, G_SIGNAL_RUN_LAST, 0,
                                                NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
  signals[SIGNAL_HEALED] = g_signal_new ("healed", TYPE_MONITOR, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                         NULL, G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_VARIANT);
  signals[SIGNAL_STATE_CHANGED] =
      g_signal_new ("state-changed", TYPE_MONITOR, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 2, G_TYPE_UINT, G_TYPE_UINT);
}
