/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "reading.h"

#include "dbus/error.h"
#include "tpm/auths.h"
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

/* In this order: in failure mode only the first tells the truth. */
static gboolean
read_all (Tpm *tpm, gboolean want_fixed, Reading *reading, GError **error)
{
  if (!properties_read_test_result (tpm, &reading->test_result, error))
    return FALSE;
  if (reading->test_result == TPM2_RC_FAILURE)
    return TRUE;
  if (want_fixed)
    {
      if (!properties_read_fixed (tpm, &reading->fixed, error))
        return FALSE;
      reading->have_fixed = TRUE;
    }
  if (!properties_read_variable (tpm, &reading->variable, error))
    return FALSE;
  reading->have_variable = TRUE;
  return TRUE;
}

/* No file need be read where none is set. */
static gboolean
know_lockout_auth (const ReadingArgs *args, const Reading *reading)
{
  return reading->have_variable &&
         (reading->variable.permanent & TPMA_PERMANENT_LOCKOUTAUTHSET) != 0 &&
         auths_know_lockout (args->state_dir);
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
  guint32 reset_count;

  if (!properties_read_reset_count (tpm, &reset_count, &local_error))
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
  if (power_record_take (&reading->power, reset_count, orderly, args->now, &reading->went_back) &&
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
  ok = read_all (tpm, args->want_fixed, reading, &local_error);
  reading->lockout_auth_known = know_lockout_auth (args, reading);
  if (ok && reading->have_variable && (args->want_run || args->tpm_was_reset))
    ok = take_run (tpm, args, reading, &local_error);
  if (ok && reading->have_variable && args->reset_lockout && reading->variable.lockout_counter > 0)
    {
      reset_lockout (tpm, args, reading);
      if (reading->was_reset)
        ok = properties_read_variable (tpm, &reading->variable, &local_error);
    }
  if (!ok && rc_from_error (local_error) == TPM2_RC_FAILURE)
    {
      reading->have_variable = FALSE;
      reading->test_result = TPM2_RC_FAILURE;
      ok = TRUE;
    }
  if (ok && reading->test_result == TPM2_RC_FAILURE && args->reset_lockout)
    {
      g_clear_error (&reading->reset_error);
      (void)!rc_check (TPM2_RC_FAILURE, "resetting the lockout counter", &reading->reset_error);
    }
  if (ok && reading->have_variable)
    take_trend (args, reading);
  if (ok && args->latency != NULL)
    reading->latencies =
        list_latencies (args, reading->have_fixed ? &reading->fixed : &args->fixed);
  if (ok)
    return g_steal_pointer (&reading);
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}
