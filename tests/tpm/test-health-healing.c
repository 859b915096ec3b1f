/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * health/healing.c and health/lockout.c on a software TPM whose lockout is provoked as in life: by wrong auths and by
 * power cuts.
 */

#include "dbus/error.h"
#include "tests/lib/test-monitor.h"

#include <glib/gstdio.h>
#include <string.h>

static gboolean
on_look (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

/* A lockout by wrong auths, seen; and healed at the next start, before anybody is let in. */
static void
test_lockout_healed (TestMonitor *fixture, gconstpointer data)
{
  test_monitor_fail_auth (fixture, TEST_MONITOR_MAX_AUTH_FAIL);
  g_assert_cmphex (test_monitor_use_key (fixture, "right"), ==, 0x921);

  fixture->config.reset_lockout = FALSE;
  test_monitor_chip_comes_up (fixture, TRUE);
  test_monitor_assert_issues (fixture, HEALTH_STATE_FAILED, "lockout.active");
  g_assert_cmpuint (test_monitor_get_variable (fixture)->lockout_counter, ==,
                    TEST_MONITOR_MAX_AUTH_FAIL);
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 0);

  test_monitor_stop (fixture);
  fixture->config.reset_lockout = TRUE;
  test_monitor_start (fixture);
  test_monitor_chip_comes_up (fixture, TRUE);
  test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "");
  g_assert_cmpuint (test_monitor_get_variable (fixture)->lockout_counter, ==, 0);
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 1);
  g_assert_cmphex (test_monitor_use_key (fixture, "right"), ==, TSS2_RC_SUCCESS);
}

/* The application note's way into a lockout: the right auth and a power cut, again and again. */
static void
test_power_cuts (TestMonitor *fixture, gconstpointer data)
{
  for (guint i = 0; i < TEST_MONITOR_MAX_AUTH_FAIL; i++)
    {
      g_assert_cmphex (test_monitor_use_key (fixture, "right"), ==, TSS2_RC_SUCCESS);
      test_monitor_cut_power (fixture);
      tpm_disconnect (fixture->tpm);
    }
  g_assert_cmphex (test_monitor_use_key (fixture, "right"), ==, 0x921);

  test_monitor_chip_comes_up (fixture, TRUE);
  test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "power.unclean");
  g_assert_cmpuint (test_monitor_get_variable (fixture)->lockout_counter, ==, 0);
  g_assert_cmphex (test_monitor_use_key (fixture, "right"), ==, TSS2_RC_SUCCESS);
}

/* The chip loses its power under the daemon: healed each time that it is back. */
static void
test_power_cut_later (TestMonitor *fixture, gconstpointer data)
{
  test_monitor_chip_comes_up (fixture, TRUE);
  for (guint i = 0; i < 2; i++)
    {
      g_assert_cmphex (test_monitor_use_key (fixture, "right"), ==, TSS2_RC_SUCCESS);
      test_monitor_cut_power (fixture);
      tpm_disconnect (fixture->tpm);
      monitor_set_device (fixture->monitor, HEALTH_DEVICE_IO, "lost", FALSE, NULL, NULL);
      test_monitor_assert_issues (fixture, HEALTH_STATE_FAILED,
                                  i == 0 ? "device.io" : "device.io power.unclean");
      test_monitor_chip_comes_up (fixture, TRUE);
      g_assert_cmpuint (test_monitor_get_variable (fixture)->lockout_counter, ==, 0);
    }
}

/* Wrong auths while we are up are somebody's guesses: not healed without being asked to. */
static void
test_guesses_not_healed (TestMonitor *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  test_monitor_chip_comes_up (fixture, TRUE);
  test_monitor_fail_auth (fixture, 2);
  error = test_monitor_check (fixture);
  g_assert_no_error (error);
  test_monitor_assert_issues (fixture, HEALTH_STATE_DEGRADED, "lockout.near");
  test_monitor_chip_comes_up (fixture, FALSE); /* opened again, and not reset meanwhile */
  test_monitor_assert_issues (fixture, HEALTH_STATE_DEGRADED, "lockout.near");
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 0);

  error = test_monitor_reset (fixture);
  g_assert_no_error (error);
  test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "");
  g_assert_cmpuint (test_monitor_get_variable (fixture)->lockout_counter, ==, 0);
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 1);
  g_assert_cmpstr (fixture->states->str, ==, "unknown>ok ok>degraded degraded>ok");
  g_assert_cmpstr (fixture->issues->str, ==, "+lockout.near -lockout.near ");
  g_assert_cmpuint (monitor_count_healings (fixture->monitor, HEALING_LOCKOUT_RESET), ==, 1);
  g_assert_cmpstr (fixture->healed->str, ==,
                   "lockout-reset{'counter-before': <uint32 2>, 'limit': <uint32 3>} ");

  /* nothing to do: nothing sent, no error */
  error = test_monitor_reset (fixture);
  g_assert_no_error (error);
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 1);
}

static void
set_pins (TestMonitor *fixture, gboolean generated)
{
  StoreFacts *store = store_facts_new_empty ();

  store->n_tokens = 1;
  store->pins_are_generated = generated;
  monitor_set_store (fixture->monitor, store, (StoreAccess){ 0 });
}

/* As fail_auth(), past the broker or through it. */
static void
fail_seen (TestMonitor *fixture, guint times)
{
  tally_add (fixture->tally, TALLY_AUTH_FAILED, times);
  test_monitor_fail_auth (fixture, times);
}

/* Of what comes later nothing that may be a guess of a PIN that people have chosen; the rest once in an interval. */
static void
test_healed_later (TestMonitor *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->config.lockout_reset_interval_s = 3600;
  test_monitor_chip_comes_up (fixture, TRUE);
  set_pins (fixture, FALSE);
  fail_seen (fixture, 1);
  test_monitor_check_well (fixture);
  g_assert_cmpuint (test_monitor_get_variable (fixture)->lockout_counter, ==, 1);
  test_monitor_fail_auth (fixture,
                          1); /* what is on the counter beside guesses cannot be told from them */
  test_monitor_check_well (fixture);
  g_assert_cmpuint (test_monitor_get_variable (fixture)->lockout_counter, ==, 2);
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 0);

  /* a person has taken them off; what is there then was not seen by the broker */
  error = test_monitor_reset (fixture);
  g_assert_no_error (error);
  test_monitor_fail_auth (fixture, 1);
  test_monitor_check_well (fixture);
  g_assert_cmpuint (test_monitor_get_variable (fixture)->lockout_counter, ==,
                    1); /* not so soon after that */
  fixture->config.poll_interval_s = fixture->config.lockout_reset_interval_s = 1;
  test_monitor_check_well (fixture);
  test_monitor_wait_for (&fixture->n_healed, 2);
  g_assert_cmpuint (test_monitor_get_variable (fixture)->lockout_counter, ==, 0);
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 2);
}

static void
test_healed_generated (TestMonitor *fixture, gconstpointer data)
{
  fixture->config.lockout_reset_interval_s = 3600;
  test_monitor_chip_comes_up (fixture, TRUE);
  set_pins (fixture, TRUE);
  fail_seen (fixture, 2);
  test_monitor_check_well (fixture);
  g_assert_cmpuint (test_monitor_get_variable (fixture)->lockout_counter, ==, 0);
  fail_seen (fixture, 1);
  test_monitor_check_well (fixture);
  g_assert_cmpuint (test_monitor_get_variable (fixture)->lockout_counter, ==,
                    1); /* once in an interval */
  set_pins (fixture, FALSE);
  test_monitor_check_well (fixture);
  g_assert_cmpuint (test_monitor_get_variable (fixture)->lockout_counter, ==, 1);
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 1);
  g_assert_cmpstr (fixture->healed->str, ==,
                   "lockout-reset{'counter-before': <uint32 2>, 'limit': <uint32 3>} ");
}

/* By polls alone, interval after interval. */
static void
test_healed_by_polls (TestMonitor *fixture, gconstpointer data)
{
  fixture->config.poll_interval_s = 1;
  fixture->config.lockout_reset_interval_s = 1;
  test_monitor_chip_comes_up (fixture, TRUE);
  for (guint i = 1; i <= 2; i++)
    {
      test_monitor_fail_auth (fixture, 1);
      test_monitor_wait_for (&fixture->n_healed, i);
    }
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 2);
}

/* A refusal: nothing more is sent, however many intervals go by. */
static void
test_refused_later (TestMonitor *fixture, gconstpointer data)
{
  guint wake_up = g_timeout_add (50, on_look, NULL);

  fixture->config.poll_interval_s = 1;
  fixture->config.lockout_reset_interval_s = 1;
  test_monitor_chip_comes_up (fixture, TRUE);
  test_monitor_lock_lockout_hierarchy (fixture);
  test_monitor_fail_auth (fixture, 1);
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*0x00000921*");
  while (test_monitor_count (fixture, TPM2_CC_GetTestResult) < 4)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (wake_up);
  g_test_assert_expected_messages ();
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==,
                    2); /* theirs, ours */
  g_assert_cmpuint (fixture->n_healed, ==, 0);
}

/* A lockout auth that we do not know: no guess, neither at the start nor on demand. */
static void
test_auth_set (TestMonitor *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  test_monitor_set_lockout_auth (fixture, "secret");
  test_monitor_fail_auth (fixture, TEST_MONITOR_MAX_AUTH_FAIL);
  test_monitor_chip_comes_up_unhealed (fixture, "*lockout auth is set*");
  test_monitor_assert_issues (fixture, HEALTH_STATE_FAILED, "lockout.active lockout.auth_unknown");
  error = test_monitor_reset (fixture);
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED);
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 0);
}

/* A refusal is remembered: never a second try, not on demand and not after a restart. */
static void
test_refused_once (TestMonitor *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->config.state_dir, "lockout", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) again = NULL;

  test_monitor_lock_lockout_hierarchy (fixture);
  test_monitor_fail_auth (fixture, 2);
  test_monitor_chip_comes_up_unhealed (fixture, "*0x00000921*");
  test_monitor_assert_issues (fixture, HEALTH_STATE_DEGRADED, "lockout.auth_locked lockout.near");
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==,
                    2); /* theirs, ours */
  g_assert_true (g_file_test (path, G_FILE_TEST_IS_REGULAR));

  error = test_monitor_reset (fixture);
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT);
  g_test_message ("%s", error->message);
  test_monitor_stop (fixture);
  test_monitor_start (fixture);
  test_monitor_chip_comes_up_unhealed (fixture, "*has refused*");
  again = test_monitor_reset (fixture);
  g_assert_error (again, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT);
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 2);
}

static void
write_record (TestMonitor *fixture, const char *code, gint64 age_s)
{
  g_autofree char *path = g_build_filename (fixture->config.state_dir, "lockout", NULL);
  g_autofree char *text =
      g_strdup_printf ("[Refused]\nCode=%s\nTime=%" G_GINT64_FORMAT "\nRecoverySec=1000\n", code,
                       g_get_real_time () / G_USEC_PER_SEC - age_s);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

/* LOCKOUT_RECOVERY has passed since: tried again, and forgotten when it works. A wrong auth stays wrong. */
static void
test_refusal_expires (TestMonitor *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->config.state_dir, "lockout", NULL);

  test_monitor_fail_auth (fixture, 2);
  write_record (fixture, "2446", 100000); /* 0x98e */
  test_monitor_stop (fixture);
  test_monitor_start (fixture);
  test_monitor_chip_comes_up_unhealed (fixture, "*was set anew*");
  test_monitor_assert_issues (fixture, HEALTH_STATE_DEGRADED, "lockout.auth_locked lockout.near");

  write_record (fixture, "2337", 900); /* 0x921 */
  test_monitor_stop (fixture);
  test_monitor_start (fixture);
  test_monitor_chip_comes_up_unhealed (fixture, "*may try again*");
  test_monitor_assert_issues (fixture, HEALTH_STATE_DEGRADED, "lockout.auth_locked lockout.near");
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 0);

  write_record (fixture, "2337", 1001);
  test_monitor_stop (fixture);
  test_monitor_start (fixture);
  test_monitor_chip_comes_up (fixture, TRUE);
  test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "");
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 1);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
}

/* An auth that was set since makes the refusal moot: when it is empty again, we may try. */
static void
test_refusal_moot (TestMonitor *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->config.state_dir, "lockout", NULL);
  TPM2B_AUTH secret = { .size = 6, .buffer = { 's', 'e', 'c', 'r', 'e', 't' } };

  test_monitor_fail_auth (fixture, 2);
  write_record (fixture, "2446", 1);
  test_monitor_set_lockout_auth (fixture, "secret");
  test_monitor_stop (fixture);
  test_monitor_start (fixture);
  test_monitor_chip_comes_up_unhealed (fixture, "*lockout auth is set*");
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));

  g_assert_cmphex (Esys_TR_SetAuth (test_monitor_get_esys (fixture), ESYS_TR_RH_LOCKOUT, &secret),
                   ==, TSS2_RC_SUCCESS);
  test_monitor_set_lockout_auth (fixture, "");
  test_monitor_chip_comes_up (fixture, TRUE);
  test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "");
}

/* No answer, or one that says "later", is no refusal: nothing is written, and the counter is healed on demand. */
static void
test_reset_fails (TestMonitor *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->config.state_dir, "lockout", NULL);
  g_autoptr (GError) error = NULL;

  test_monitor_fail_auth (fixture, 2);
  test_proxy_set_rules (fixture->proxy, "139 rc 923");
  test_monitor_chip_comes_up_unhealed (fixture, "*0x00000923*");
  test_monitor_assert_issues (fixture, HEALTH_STATE_DEGRADED, "lockout.near");
  error = test_monitor_reset (fixture);
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_BUSY);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_clear_error (&error);

  test_proxy_set_rules (fixture->proxy, "");
  error = test_monitor_reset (fixture);
  g_assert_no_error (error);
  test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "");
}

#define FAILED_RESULT  "17c raw 80010000001000000000000000000101"
#define TESTING_RESULT "17c raw 8001000000100000000000000000090a"

/* Failure mode: a full self-test, once; and once more when it was well meanwhile. */
static void
test_self_test_failed (TestMonitor *fixture, gconstpointer data)
{
  fixture->config.run_self_test = TRUE;
  test_monitor_chip_comes_up (fixture, TRUE);
  g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_SelfTest), ==, 0);
  for (guint i = 1; i <= 2; i++)
    {
      test_proxy_set_rules (fixture->proxy, FAILED_RESULT);
      for (guint j = 0; j < 3; j++)
        test_monitor_check_well (fixture);
      test_monitor_assert_issues (fixture, HEALTH_STATE_FAILED, "tpm.failure_mode");
      g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_SelfTest), ==, i);
      test_proxy_set_rules (fixture->proxy, "");
      test_monitor_check_well (fixture);
      test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "");
    }
  g_assert_cmpstr (fixture->healed->str, ==,
                   "self-test{'full': <true>, 'result': <uint32 257>} "
                   "self-test{'full': <true>, 'result': <uint32 257>} ");
}

/* A chip that is well after it is well at once. */
static void
test_self_test_heals (TestMonitor *fixture, gconstpointer data)
{
  fixture->config.run_self_test = TRUE;
  test_monitor_chip_comes_up (fixture, TRUE);
  test_proxy_set_rules (fixture->proxy, FAILED_RESULT " 1");
  test_monitor_check_well (fixture);
  test_monitor_assert_issues (fixture, HEALTH_STATE_OK, "");
  g_assert_cmpstr (fixture->healed->str, ==, "self-test{'full': <true>, 'result': <uint32 0>} ");
}

/* One that does not end is helped along, if that is wanted; the rest of it, not all. */
static void
test_self_test_pending (TestMonitor *fixture, gconstpointer data)
{
  ReadingArgs args = { .state_dir = fixture->config.state_dir, .run_full_test = TRUE };
  g_autoptr (GError) error = NULL;

  test_proxy_set_rules (fixture->proxy, TESTING_RESULT);
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (Reading) reading = NULL;

      args.run_pending_test = i == 1;
      reading = reading_take (fixture->tpm, &args, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmphex (reading->test_result, ==, TPM2_RC_TESTING);
      g_assert_true (reading->pending_test_run == args.run_pending_test);
      g_assert_true (!reading->full_test_run && reading->have_variable);
      g_assert_cmpuint (test_monitor_count (fixture, TPM2_CC_SelfTest), ==, i);
    }
}

#define ADD(name, function)                                                                        \
  g_test_add ("/health/" name, TestMonitor, NULL, test_monitor_set_up, function,                   \
              test_monitor_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  test_swtpm_require ();
  ADD ("lockout-healed", test_lockout_healed);
  ADD ("power-cuts", test_power_cuts);
  ADD ("power-cut-later", test_power_cut_later);
  ADD ("guesses-not-healed", test_guesses_not_healed);
  ADD ("healed-later", test_healed_later);
  ADD ("healed-generated", test_healed_generated);
  ADD ("healed-by-polls", test_healed_by_polls);
  ADD ("refused-later", test_refused_later);
  ADD ("auth-set", test_auth_set);
  ADD ("refused-once", test_refused_once);
  ADD ("refusal-expires", test_refusal_expires);
  ADD ("refusal-moot", test_refusal_moot);
  ADD ("reset-fails", test_reset_fails);
  ADD ("self-test-failed", test_self_test_failed);
  ADD ("self-test-heals", test_self_test_heals);
  ADD ("self-test-pending", test_self_test_pending);
  return g_test_run ();
}
