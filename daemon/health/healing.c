/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "healing.h"

#include "common/log.h"
#include "rules.h"
#include "tpm/rc.h"

const char *
healing_action_to_string (HealingAction action)
{
  static const char *const names[] = {
    [HEALING_LOCKOUT_RESET] = "lockout-reset",
    [HEALING_SHUTDOWN] = "shutdown",
    [HEALING_FLUSH] = "flush",
    [HEALING_REOPEN] = "reopen",
    [HEALING_SELF_TEST] = "self-test",
  };

  return names[action];
}

void
healing_begin (Healing *healing)
{
  /* The interval is between healings of one power cycle: what another one counted is not somebody's guessing. */
  healing->start_due = TRUE;
  healing->last_reset_us = 0;
}

static gboolean
is_interval_over (const Healing *healing, gint64 now_us)
{
  gint64 interval_us = (gint64)healing->config->lockout_reset_interval_s * G_USEC_PER_SEC;

  if (healing->last_reset_us == 0)
    return healing->start_due || interval_us > 0;
  return interval_us > 0 && now_us - healing->last_reset_us >= interval_us;
}

static gboolean
is_patience_over (const Healing *healing, gint64 now_us)
{
  return healing->untested_since != 0 &&
         now_us - healing->untested_since >= RULES_TESTING_PATIENCE_S * G_USEC_PER_SEC;
}

void
healing_plan (const Healing *healing,
              gboolean tpm_was_reset,
              gboolean pins_are_generated,
              gint64 now_us,
              ReadingArgs *args)
{
  const Config *config = healing->config;
  gboolean is_due = config->reset_lockout && is_interval_over (healing, now_us);

  args->reset_lockout |= config->reset_lockout && tpm_was_reset;
  args->reset_lockout |= is_due && pins_are_generated;
  args->reset_unless_guessed = is_due;
  /* Whoever else uses the chip does so past the broker. */
  args->tally = config->mode == CONFIG_MODE_ALONGSIDE ? NULL : healing->tally;
  args->known_failures = healing->known_failures;
  args->run_full_test = config->run_self_test && !healing->full_test_run;
  args->run_pending_test =
      config->run_self_test && !healing->pending_test_run && is_patience_over (healing, now_us);
}

static void
take_test_result (Healing *healing, const Reading *reading, gint64 now_us)
{
  healing->full_test_run |= reading->full_test_run;
  healing->pending_test_run |= reading->pending_test_run;
  switch (reading->test_result)
    {
    case TPM2_RC_SUCCESS:
      healing->full_test_run = healing->pending_test_run = FALSE;
      healing->untested_since = 0;
      break;
    case TPM2_RC_TESTING:
    case TPM2_RC_NEEDS_TEST:
      if (healing->untested_since == 0)
        healing->untested_since = now_us;
      break;
    default:
      healing->untested_since = 0;
      break;
    }
}

void
healing_take (Healing *healing, const Reading *reading, gint64 now_us)
{
  take_test_result (healing, reading, now_us);
  if (reading->reset_sent)
    healing->last_reset_us = now_us;
  if (!reading->have_variable)
    return;
  healing->start_due = FALSE;
  if (reading->variable.lockout_counter == 0)
    healing->known_failures = reading->failures;
}

/* ---- telling ---- */

/* @details: taken; NULL: none. The journal has that of @text, unless whoever did it has written it. */
static void
tell (Healing *healing, HealingAction action, guint n, GVariantDict *details, const char *text)
{
  g_autoptr (GVariant) variant = g_variant_ref_sink (
      details != NULL ? g_variant_dict_end (details) : g_variant_new ("a{sv}", NULL));

  healing->n_done[action] += n;
  if (text != NULL)
    log_healing (healing_action_to_string (action), text);
  healing->func (action, variant, healing->user_data);
}

static void
tell_lockout_reset (Healing *healing, const Reading *reading)
{
  guint32 limit = reading->variable.max_auth_fail;
  g_autofree char *text = g_strdup_printf ("the lockout counter was reset, it was %u of %u",
                                           reading->counter_before, limit);
  GVariantDict details = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&details, "counter-before", "u", reading->counter_before);
  g_variant_dict_insert (&details, "limit", "u", limit);
  tell (healing, HEALING_LOCKOUT_RESET, 1, &details, text);
}

static void
tell_self_test (Healing *healing, const Reading *reading)
{
  g_autofree char *result = rc_to_string (reading->test_result);
  g_autofree char *text =
      g_strdup_printf ("%s was run, the result is %s",
                       reading->full_test_run ? "a full self-test" : "the rest of the self-test",
                       reading->test_result == 0 ? "passed" : result);
  GVariantDict details = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&details, "full", "b", reading->full_test_run);
  g_variant_dict_insert (&details, "result", "u", reading->test_result);
  tell (healing, HEALING_SELF_TEST, 1, &details, text);
}

static void
tell_flushed (Healing *healing, guint n)
{
  g_autofree char *text =
      g_strdup_printf ("%u objects or sessions in the TPM that were nobody's were flushed", n);
  GVariantDict details = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&details, "count", "u", n);
  tell (healing, HEALING_FLUSH, 1, &details, text);
}

static guint
take_news (Healing *healing, TallyKind kind)
{
  guint now = tally_get (healing->tally, kind);
  guint news = now - healing->told[kind];

  healing->told[kind] = now;
  return news;
}

/* What the broker has done. */
static void
on_tally (gpointer user_data)
{
  Healing *healing = user_data;
  guint n_flushed = take_news (healing, TALLY_FLUSHED);
  guint n_reopened = take_news (healing, TALLY_REOPENED);
  guint n_shut_down = take_news (healing, TALLY_SHUT_DOWN);

  if (n_reopened > 0)
    tell (healing, HEALING_REOPEN, n_reopened, NULL, "the device was opened again");
  if (n_flushed > 0)
    tell_flushed (healing, n_flushed);
  if (n_shut_down > 0)
    tell (healing, HEALING_SHUTDOWN, n_shut_down, NULL, NULL);
}

void
healing_tell (Healing *healing, const Reading *reading)
{
  if (reading->was_reset)
    tell_lockout_reset (healing, reading);
  if (reading->full_test_run || reading->pending_test_run)
    tell_self_test (healing, reading);
}

void
healing_init (Healing *healing,
              const Config *config,
              Tally *tally,
              HealingFunc func,
              gpointer user_data)
{
  *healing = (Healing){ .config = config, .tally = tally, .func = func, .user_data = user_data };
  if (tally != NULL)
    tally_watch (tally, on_tally, healing);
}

void
healing_clear (Healing *healing)
{
  if (healing->tally != NULL)
    tally_watch (healing->tally, NULL, NULL);
}
