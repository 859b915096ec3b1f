/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* health/healing.c: when which step is due. */

#include "health/healing.h"

#include "health/rules.h"

#define SECOND   G_USEC_PER_SEC
#define START    (1000 * (gint64)SECOND)
#define INTERVAL 3600

typedef struct
{
  Config config;
  Tally *tally;
  Healing healing;
  GString *healed;
} Fixture;

static void
on_healed (HealingAction action, GVariant *details, gpointer user_data)
{
  Fixture *fixture = user_data;
  g_autofree char *text = g_variant_print (details, FALSE);

  g_string_append_printf (fixture->healed, "%s%s ", healing_action_to_string (action), text);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->config.reset_lockout = fixture->config.run_self_test = TRUE;
  fixture->config.lockout_reset_interval_s = INTERVAL;
  fixture->tally = tally_new ();
  fixture->healed = g_string_new (NULL);
  healing_init (&fixture->healing, &fixture->config, fixture->tally, on_healed, fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  healing_clear (&fixture->healing);
  tally_free (fixture->tally);
  g_string_free (fixture->healed, TRUE);
}

static ReadingArgs
plan (Fixture *fixture, gboolean tpm_was_reset, gboolean generated, gint64 now_us)
{
  ReadingArgs args = { 0 };

  healing_plan (&fixture->healing, tpm_was_reset, generated, now_us, &args);
  return args;
}

static void
take (Fixture *fixture, guint32 counter, gboolean reset_sent, gint64 now_us)
{
  const Reading reading = { .have_variable = TRUE,
                            .variable.lockout_counter = counter,
                            .reset_sent = reset_sent,
                            .failures = tally_get (fixture->tally, TALLY_AUTH_FAILED) };

  healing_take (&fixture->healing, &reading, now_us);
}

/* What is on the counter when the chip comes up goes in any case; what comes later if nobody has guessed. */
static void
test_start (Fixture *fixture, gconstpointer data)
{
  ReadingArgs args;

  healing_begin (&fixture->healing);
  g_assert_true (plan (fixture, TRUE, FALSE, START).reset_lockout);
  take (fixture, 0, FALSE, START);
  args = plan (fixture, FALSE, FALSE, START + 1);
  g_assert_false (args.reset_lockout);
  g_assert_true (args.reset_unless_guessed && args.tally == fixture->tally);
  g_assert_true (plan (fixture, FALSE, TRUE, START + 1).reset_lockout);

  fixture->config.reset_lockout = FALSE;
  args = plan (fixture, TRUE, TRUE, START + 1);
  g_assert_false (args.reset_lockout || args.reset_unless_guessed);
}

static void
test_interval (Fixture *fixture, gconstpointer data)
{
  const gint64 interval_us = INTERVAL * (gint64)SECOND;

  healing_begin (&fixture->healing);
  take (fixture, 1, TRUE, START);
  g_assert_false (plan (fixture, FALSE, FALSE, START + interval_us - 1).reset_unless_guessed);
  g_assert_false (plan (fixture, FALSE, TRUE, START + interval_us - 1).reset_lockout);
  g_assert_true (plan (fixture, FALSE, FALSE, START + interval_us).reset_unless_guessed);
  g_assert_true (plan (fixture, FALSE, TRUE, START + interval_us).reset_lockout);
  take (fixture, 0, TRUE, START + interval_us);
  g_assert_false (plan (fixture, FALSE, TRUE, START + interval_us + 1).reset_lockout);

  /* another power cycle */
  healing_begin (&fixture->healing);
  g_assert_true (plan (fixture, FALSE, TRUE, START + interval_us + 1).reset_lockout);
}

/* 0: at the start alone; and again if the first reading has failed */
static void
test_start_only (Fixture *fixture, gconstpointer data)
{
  fixture->config.lockout_reset_interval_s = 0;
  healing_begin (&fixture->healing);
  g_assert_true (plan (fixture, FALSE, FALSE, START).reset_unless_guessed);
  take (fixture, 1, FALSE, START);
  g_assert_false (plan (fixture, FALSE, FALSE, START + 1).reset_unless_guessed);
  g_assert_false (plan (fixture, FALSE, TRUE, START + 1).reset_lockout);
}

/* What failed before the counter was 0 is not on it. */
static void
test_known_failures (Fixture *fixture, gconstpointer data)
{
  tally_add (fixture->tally, TALLY_AUTH_FAILED, 3);
  take (fixture, 2, FALSE, START);
  g_assert_cmpuint (plan (fixture, FALSE, FALSE, START).known_failures, ==, 0);
  take (fixture, 0, FALSE, START);
  g_assert_cmpuint (plan (fixture, FALSE, FALSE, START).known_failures, ==, 3);

  fixture->config.mode = CONFIG_MODE_ALONGSIDE; /* others fail past the broker */
  g_assert_null (plan (fixture, FALSE, FALSE, START).tally);
}

static void
take_test (Fixture *fixture, TPM2_RC result, const ReadingArgs *args, gint64 now_us)
{
  const Reading reading = { .test_result = result,
                            .full_test_run = result == TPM2_RC_FAILURE && args->run_full_test,
                            .pending_test_run =
                                result != TPM2_RC_FAILURE && args->run_pending_test };

  healing_take (&fixture->healing, &reading, now_us);
}

/* Once for each time that it fails, and after the patience once for each time that it does not end. */
static void
test_self_test (Fixture *fixture, gconstpointer data)
{
  static const TPM2_RC pending[] = { TPM2_RC_TESTING, TPM2_RC_NEEDS_TEST };
  const gint64 patience_us = RULES_TESTING_PATIENCE_S * (gint64)SECOND;
  gint64 now_us = START;
  ReadingArgs args = plan (fixture, FALSE, FALSE, now_us);

  g_assert_true (args.run_full_test && !args.run_pending_test);
  for (gsize i = 0; i < G_N_ELEMENTS (pending); i++)
    {
      args = plan (fixture, FALSE, FALSE, now_us);
      take_test (fixture, pending[i], &args, now_us);
      g_assert_false (plan (fixture, FALSE, FALSE, now_us + patience_us - 1).run_pending_test);
      args = plan (fixture, FALSE, FALSE, now_us + patience_us);
      g_assert_true (args.run_pending_test);
      take_test (fixture, pending[i], &args, now_us + patience_us);
      g_assert_false (plan (fixture, FALSE, FALSE, now_us + 100 * patience_us).run_pending_test);

      args = plan (fixture, FALSE, FALSE, now_us);
      take_test (fixture, TPM2_RC_FAILURE, &args, now_us);
      g_assert_false (plan (fixture, FALSE, FALSE, now_us).run_full_test);
      args = (ReadingArgs){ 0 };
      take_test (fixture, TPM2_RC_SUCCESS, &args, now_us);
      g_assert_true (plan (fixture, FALSE, FALSE, now_us).run_full_test);
      now_us += 1000 * (gint64)SECOND;
    }
  fixture->config.run_self_test = FALSE;
  g_assert_false (plan (fixture, FALSE, FALSE, now_us).run_full_test);
}

static gpointer
befall (gpointer tally)
{
  tally_add (tally, TALLY_AUTH_FAILED, 1);
  tally_add (tally, TALLY_REOPENED, 1);
  tally_add (tally, TALLY_FLUSHED, 2);
  tally_add (tally, TALLY_FLUSHED, 1);
  tally_add (tally, TALLY_SHUT_DOWN, 1);
  return NULL;
}

/* What the broker's thread counts is told on ours, once. */
static void
test_tally (Fixture *fixture, gconstpointer data)
{
  g_thread_join (g_thread_new ("broker", befall, fixture->tally));
  g_assert_cmpstr (fixture->healed->str, ==, "");
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpstr (fixture->healed->str, ==, "reopen{} flush{'count': <uint32 3>} shutdown{} ");
  g_assert_cmpuint (fixture->healing.n_done[HEALING_FLUSH], ==, 1);
  g_assert_cmpuint (fixture->healing.n_done[HEALING_REOPEN], ==, 1);
  g_assert_cmpuint (fixture->healing.n_done[HEALING_SHUTDOWN], ==, 1);

  tally_add (fixture->tally, TALLY_AUTH_FAILED, 1);
  g_assert_false (g_main_context_iteration (NULL, FALSE));
  g_assert_cmpuint (tally_get (fixture->tally, TALLY_AUTH_FAILED), ==, 2);

  healing_clear (&fixture->healing);
  befall (fixture->tally);
  g_assert_false (g_main_context_iteration (NULL, FALSE));
}

#define ADD(name, function)                                                                        \
  g_test_add ("/healing/" name, Fixture, NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("start", test_start);
  ADD ("interval", test_interval);
  ADD ("start-only", test_start_only);
  ADD ("known-failures", test_known_failures);
  ADD ("self-test", test_self_test);
  ADD ("tally", test_tally);
  return g_test_run ();
}
