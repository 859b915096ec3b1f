/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* health/monitor.c on a software TPM: what it reads, when, and what it makes of chips that are not well. */

#include "dbus/error.h"
#include "tests/lib/test-monitor.h"

#include <string.h>

static void
test_healthy (TestMonitor *fixture, gconstpointer data)
{
  const HealthFacts *facts = monitor_get_facts (fixture->monitor);

  test_monitor_assert_issues (fixture, HEALTH_STATE_UNKNOWN, "");
  g_assert_cmpint (monitor_get_last_check (fixture->monitor), ==, 0);
  test_monitor_chip_comes_up (fixture, TRUE);
  test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "");
  g_assert_cmpint (monitor_get_last_check (fixture->monitor), >, 0);
  g_assert_cmpstr (facts->fixed.manufacturer, ==, "IBM");
  g_assert_true (facts->have_last_shutdown && facts->last_shutdown_orderly);
  g_assert_cmphex (facts->test_result, ==, TPM2_RC_SUCCESS);
  g_assert_cmpstr (fixture->states->str, ==, "unknown>ok");
  g_assert_cmpuint (fixture->n_changed, ==, 1);
  g_assert_cmpuint (test_monitor_count (fixture, 0), ==, 4);
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 0);
}

static void
test_check (TestMonitor *fixture, gconstpointer data)
{
  Answer answers[3] = { 0 };
  g_autoptr (GError) error = NULL;

  test_monitor_chip_comes_up (fixture, TRUE);
  error = test_monitor_check (fixture);
  g_assert_no_error (error);
  g_assert_cmpuint (test_monitor_count (fixture, 0), ==, 7);
  g_assert_cmpuint (fixture->n_changed, ==, 2); /* the time of the check, at least */

  /* all that ask while one is under way share it */
  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++)
    monitor_check_async (fixture->monitor, NULL, test_monitor_check_done, &answers[i]);
  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++)
    test_monitor_wait_for (&answers[i].done, 1);
  g_assert_cmpuint (test_monitor_count (fixture, 0), ==, 10);
}

static void
test_check_without_chip (TestMonitor *fixture, gconstpointer data)
{
  g_autoptr (GError) first = test_monitor_check (fixture);
  g_autoptr (GError) second = NULL;

  g_assert_error (first, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE);
  monitor_set_device (fixture->monitor, HEALTH_DEVICE_MISSING, "no /dev/tpm0", FALSE,
                      test_monitor_on_ready, fixture);
  g_assert_cmpuint (fixture->n_ready, ==, 1);
  test_monitor_assert_issues (fixture, HEALTH_STATE_FAILED, "device.missing");
  second = test_monitor_check (fixture);
  g_assert_error (second, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (second->message, "no /dev/tpm0"));
  g_assert_cmpuint (test_monitor_count (fixture, 0), ==, 0);
}

static gboolean
on_look (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static void
test_poll (TestMonitor *fixture, gconstpointer data)
{
  guint wake_up = g_timeout_add (50, on_look, NULL);

  fixture->config.poll_interval_s = 1;
  test_monitor_chip_comes_up (fixture, TRUE);
  while (test_monitor_count (fixture, TPM2_CC_GetTestResult) < 3)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (wake_up);
  /* the first reading has the fixed properties and the run too; a poll is two commands */
  g_assert_cmpuint (test_monitor_count (fixture, 0), <=, 8);
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_ReadClock), ==, 1);
  g_assert_cmpuint (fixture->n_changed, >=, 2);
  test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "");
}

/* With polling off nothing wakes us, and nothing is sent. */
static void
test_no_poll (TestMonitor *fixture, gconstpointer data)
{
  gint64 end;
  guint before;
  gboolean has_timer = TRUE;
  GMainContext *context = g_main_context_default ();
  GPollFD fds[16];
  gint priority, timeout;

  test_monitor_chip_comes_up (fixture, TRUE);
  before = test_monitor_count (fixture, 0);
  for (end = g_get_monotonic_time () + 300 * 1000; g_get_monotonic_time () < end;)
    g_main_context_iteration (NULL, FALSE);
  g_assert_cmpuint (test_monitor_count (fixture, 0), ==, before);
  g_assert_true (g_main_context_acquire (context));
  g_main_context_prepare (context, &priority);
  g_main_context_query (context, priority, &timeout, fds, G_N_ELEMENTS (fds));
  has_timer = timeout >= 0;
  g_main_context_release (context);
  g_assert_false (has_timer);
}

/* What the power was is counted once for each run of the chip, whoever restarts. */
static void
test_runs (TestMonitor *fixture, gconstpointer data)
{
  const HealthFacts *facts;

  test_monitor_chip_comes_up (fixture, TRUE);
  for (guint i = 1; i <= 3; i++)
    {
      test_monitor_stop (fixture);
      test_monitor_cut_power (fixture);
      test_monitor_start (fixture);
      test_monitor_chip_comes_up (fixture, TRUE);
      facts = monitor_get_facts (fixture->monitor);
      g_assert_cmpuint (facts->power.n_unclean, ==, i);
      g_assert_cmpstr (fixture->issues->str, ==, "+power.unclean ");
      test_monitor_assert_issues (fixture, i < 3 ? HEALTH_STATE_OK : HEALTH_STATE_DEGRADED,
                                  "power.unclean");
      test_monitor_stop (fixture);
      test_monitor_start (fixture);
      test_monitor_chip_comes_up (fixture, TRUE);
      g_assert_cmpuint (monitor_get_facts (fixture->monitor)->power.n_unclean, ==, i);
    }
}

/* Failure mode: as the self-test's result, and as the answer to anything. */
static void
test_failure_mode (TestMonitor *fixture, gconstpointer data)
{
  static const char *const rules[] = { "17c raw 80010000001000000000000000000101", "17c rc 101",
                                       "17a rc 101", "any rc 101" };

  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
    {
      g_autoptr (GError) error = NULL;

      g_test_message ("%s", rules[i]);
      test_proxy_set_rules (fixture->proxy, rules[i]);
      test_monitor_chip_comes_up (fixture, TRUE);
      test_monitor_assert_issues (fixture, HEALTH_STATE_FAILED, "tpm.failure_mode");
      error = test_monitor_reset (fixture);
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE);
    }
  test_proxy_set_rules (fixture->proxy, "");
  test_monitor_chip_comes_up (fixture, TRUE);
  test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "");
}

/* A chip that answers nonsense, or nothing: an issue, no crash; and well again when it is. */
static void
test_faults (TestMonitor *fixture, gconstpointer data)
{
  static const char *const rules[] = { "any garbage",   "any eof",   "any short 7",
                                       "any short 12",  "any noise", "any size 11",
                                       "any size 9000", "17a lost",  "any stale" };

  test_monitor_chip_comes_up (fixture, TRUE);
  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
    {
      g_autoptr (GError) error = NULL;

      g_test_message ("%s", rules[i]);
      test_proxy_set_rules (fixture->proxy, rules[i]);
      error = test_monitor_check (fixture);
      g_assert_nonnull (error);
      g_test_message ("%s", error->message);
      test_monitor_assert_issues (fixture, HEALTH_STATE_FAILED, "device.io");
      g_assert_true (g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE) ||
                     g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE));
      g_clear_error (&error);

      test_proxy_set_rules (fixture->proxy, "");
      error = test_monitor_check (fixture);
      g_assert_no_error (error);
      test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "");
    }
}

/* Busy is not broken: what is known stays. */
static void
test_busy (TestMonitor *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  test_monitor_chip_comes_up (fixture, TRUE);
  test_proxy_set_rules (fixture->proxy, "17a rc 920");
  error = test_monitor_check (fixture);
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_BUSY);
  test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "");
}

/* The device goes while a reading is under way: what that reading says is of the past. */
static void
test_stale_reading (TestMonitor *fixture, gconstpointer data)
{
  Answer answer = { 0 };

  test_monitor_chip_comes_up (fixture, TRUE);
  test_proxy_set_rules (fixture->proxy, "17c delay 100");
  monitor_check_async (fixture->monitor, NULL, test_monitor_check_done, &answer);
  monitor_set_device (fixture->monitor, HEALTH_DEVICE_MISSING, "gone", FALSE, NULL, NULL);
  test_monitor_wait_for (&answer.done, 1);
  test_monitor_assert_issues (fixture, HEALTH_STATE_FAILED, "device.missing");
  g_clear_error (&answer.error);
}

/* The monitor goes while a reading is under way. */
static void
test_stop_while_reading (TestMonitor *fixture, gconstpointer data)
{
  test_proxy_set_rules (fixture->proxy, "17c delay 50");
  monitor_set_device (fixture->monitor, HEALTH_DEVICE_OK, "", TRUE, test_monitor_on_ready, fixture);
  test_monitor_stop (fixture);
  g_assert_cmpuint (fixture->n_ready, ==, 0);
}

#define ADD(name, function)                                                                        \
  g_test_add ("/health/" name, TestMonitor, NULL, test_monitor_set_up, function,                   \
              test_monitor_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  test_swtpm_require ();
  ADD ("healthy", test_healthy);
  ADD ("check", test_check);
  ADD ("check-without-chip", test_check_without_chip);
  ADD ("poll", test_poll);
  ADD ("no-poll", test_no_poll);
  ADD ("runs", test_runs);
  ADD ("failure-mode", test_failure_mode);
  ADD ("faults", test_faults);
  ADD ("busy", test_busy);
  ADD ("stale-reading", test_stale_reading);
  ADD ("stop-while-reading", test_stop_while_reading);
  return g_test_run ();
}
