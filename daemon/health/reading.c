/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "reading.h"

#include "dbus/error.h"
#include "tpm/auths.h"
#include "tpm/diagnosis.h"
#include "tpm/rc.h"

void
reading_args_free (ReadingArgs *args)
{
  g_free (args->state_dir);
  g_free (args);
}

void
reading_free (Reading *reading)
{
  if (reading == NULL)
    return;
  g_clear_error (&reading->reset_error);
  g_clear_pointer (&reading->latencies, g_array_unref);
  g_free (reading);
}

static guint
count_failures (const ReadingArgs *args)
{
  return args->tally != NULL ? tally_get (args->tally, TALLY_AUTH_FAILED) : 0;
}

static gboolean
read_variable (Tpm *tpm, const ReadingArgs *args, Reading *reading, GError **error)
{
  guint failures = count_failures (args); /* before: what fails meanwhile counts as unknown */

  if (!properties_read_variable (tpm, &reading->variable, error))
    return FALSE;
  reading->failures = failures;
  return TRUE;
}

/* In this order: in failure mode only the first tells the truth. */
static gboolean
read_in_order (Tpm *tpm, const ReadingArgs *args, Reading *reading, GError **error)
{
  if (!diagnosis_read_test_result (tpm, &reading->test_result, NULL, error))
    return FALSE;
  if (reading->test_result == TPM2_RC_FAILURE)
    return TRUE;
  if (args->want_fixed)
    {
      if (!properties_read_fixed (tpm, &reading->fixed, error))
        return FALSE;
      reading->have_fixed = TRUE;
    }
  if (!read_variable (tpm, args, reading, error))
    return FALSE;
  reading->have_variable = TRUE;
  return TRUE;
}

/* That the chip refuses anything because it is in failure mode is a result. */
static gboolean
take_failure_mode (Reading *reading, GError **error)
{
  if (rc_from_error (*error) != TPM2_RC_FAILURE)
    return FALSE;
  g_clear_error (error);
  reading->have_variable = FALSE;
  reading->test_result = TPM2_RC_FAILURE;
  return TRUE;
}

/* Returns whether it was run; what has come out of it is to be read then. */
static gboolean
run_self_test (Tpm *tpm, const ReadingArgs *args, Reading *reading)
{
  gboolean has_failed = reading->test_result == TPM2_RC_FAILURE;
  g_autoptr (GError) error = NULL;
  TPM2_RC result = TPM2_RC_SUCCESS;

  if (has_failed)
    reading->full_test_run = args->run_full_test;
  else if (reading->test_result == TPM2_RC_TESTING || reading->test_result == TPM2_RC_NEEDS_TEST)
    reading->pending_test_run = args->run_pending_test;
  if (!reading->full_test_run && !reading->pending_test_run)
    return FALSE;
  if (!diagnosis_self_test (tpm, has_failed, &result, &error))
    g_info ("running the self-test: %s", error->message);
  return TRUE;
}

static gboolean
read_all (Tpm *tpm, const ReadingArgs *args, Reading *reading, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  gboolean ok =
      read_in_order (tpm, args, reading, &local_error) || take_failure_mode (reading, &local_error);

  if (ok && run_self_test (tpm, args, reading))
    {
      reading->have_fixed = reading->have_variable = FALSE;
      ok = read_in_order (tpm, args, reading, &local_error) ||
           take_failure_mode (reading, &local_error);
    }
  if (!ok)
    g_propagate_error (error, g_steal_pointer (&local_error));
  return ok;
}

/* No file need be read where none is set. */
static gboolean
know_lockout_auth (const ReadingArgs *args, const Reading *reading)
{
  return reading->have_variable &&
         (reading->variable.permanent & TPMA_PERMANENT_LOCKOUTAUTHSET) != 0 &&
         auths_know_lockout (args->state_dir);
}

/* With no tally, any may be. */
static gboolean
may_be_guesses (const ReadingArgs *args)
{
  return args->tally == NULL || count_failures (args) != args->known_failures;
}

static gboolean
is_reset_due (const ReadingArgs *args, const Reading *reading)
{
  return reading->have_variable && reading->variable.lockout_counter > 0 &&
         (args->reset_lockout || (args->reset_unless_guessed && !may_be_guesses (args)));
}

static void
reset_lockout (Tpm *tpm, const ReadingArgs *args, Reading *reading)
{
  VariableProperties *variable = &reading->variable;

  lockout_forget_if_moot (args->state_dir, reading->lockout_auth_known, variable, &reading->record);
  if (!lockout_may_reset (&reading->record, reading->lockout_auth_known, variable, args->now,
                          args->tpm_was_reset, &reading->reset_error))
    return;
  reading->reset_sent = TRUE;
  reading->counter_before = variable->lockout_counter;
  reading->was_reset = lockout_reset (tpm, args->state_dir, variable, args->now, &reading->record,
                                      &reading->reset_error);
}

/* A record that cannot be written costs a count after the next start, no more. */
static gboolean
take_run (Tpm *tpm, const ReadingArgs *args, Reading *reading, GError **error)
{
  gboolean orderly = (reading->variable.startup_clear & TPMA_STARTUP_CLEAR_ORDERLY) != 0;
  g_autoptr (GError) save_error = NULL;
  g_autoptr (GError) local_error = NULL;
  TPMS_TIME_INFO time;

  if (!diagnosis_read_clock (tpm, &time, &local_error))
    {
      /* The chip has just said that it is well: whoever stands before it has not noticed yet. Asked again at the next
       * reading. */
      if (rc_from_error (local_error) == TPM2_RC_FAILURE)
        {
          tpm_disconnect (tpm);
          return TRUE;
        }
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  reading->have_run = TRUE;
  if (power_record_take (&reading->power, time.clockInfo.resetCount, orderly, args->now,
                         &reading->went_back) &&
      !power_record_save (args->state_dir, &reading->power, &save_error))
    g_warning ("the count of power cuts is not kept: %s", save_error->message);
  return TRUE;
}

/* A record that cannot be written is a trend that begins with the next start. */
static void
take_trend (const ReadingArgs *args, Reading *reading)
{
  g_autoptr (GError) error = NULL;
  gboolean changed = FALSE;

  if (reading->was_reset)
    changed = trend_record_take (&reading->trend, reading->counter_before, args->now);
  changed |= trend_record_take (&reading->trend, reading->variable.lockout_counter, args->now);
  if (changed && !trend_record_save (args->state_dir, &reading->trend, &error))
    g_warning ("the course of the lockout counter is not kept: %s", error->message);
}

/* A baseline that cannot be kept is taken anew after the next start. */
static GArray *
list_latencies (const ReadingArgs *args, const FixedProperties *fixed)
{
  g_autofree char *chip = g_strdup_printf ("%08x-%08x%08x", fixed->manufacturer_id,
                                           fixed->firmware_1, fixed->firmware_2);
  g_autoptr (GArray) figures = latency_list (args->latency);
  GArray *latencies = g_array_sized_new (FALSE, TRUE, sizeof (HealthLatency), figures->len);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < figures->len; i++)
    {
      const HealthLatency latency = { .figures = g_array_index (figures, LatencyFigures, i) };

      g_array_append_val (latencies, latency);
    }
  if (fixed->manufacturer_id != 0 && !baseline_apply (args->state_dir, chip, latencies, &error))
    g_warning ("what the chip's commands took at first is not known: %s", error->message);
  return latencies;
}

gpointer
reading_take (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  const ReadingArgs *args = data;
  g_autoptr (Reading) reading = g_new0 (Reading, 1);
  g_autoptr (GError) local_error = NULL;
  gboolean ok;

  reading->access = store_access_read (args->state_dir);
  reading->record = args->record;
  reading->power = args->power;
  reading->trend = args->trend;
  ok = read_all (tpm, args, reading, &local_error);
  reading->lockout_auth_known = know_lockout_auth (args, reading);
  if (ok && reading->have_variable && (args->want_run || args->tpm_was_reset))
    ok = take_run (tpm, args, reading, &local_error);
  if (ok && is_reset_due (args, reading))
    {
      reset_lockout (tpm, args, reading);
      if (reading->was_reset)
        ok = read_variable (tpm, args, reading, &local_error);
    }
  ok = ok || take_failure_mode (reading, &local_error);
  if (ok && reading->test_result == TPM2_RC_FAILURE && args->reset_lockout)
    {
      g_clear_error (&reading->reset_error);
      (void)!rc_check (TPM2_RC_FAILURE, "resetting the lockout counter", &reading->reset_error);
    }
  if (ok && reading->have_variable)
    take_trend (args, reading);
  if (ok && args->latency != NULL)
    {
      reading->latencies =
          list_latencies (args, reading->have_fixed ? &reading->fixed : &args->fixed);
      latency_get_totals (args->latency, &reading->totals);
    }
  if (ok)
    return g_steal_pointer (&reading);
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}
