/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * health/monitor.c and health/lockout.c on a software TPM whose lockout is provoked as in life: by wrong auths and by
 * power cuts. swtpm locks up at 3.
 */

#include "health/monitor.h"

#include "dbus/error.h"
#include "tests/lib/test-proxy.h"

#include <glib/gstdio.h>
#include <string.h>

#define MAX_AUTH_FAIL 3
#define TIMEOUT_US    (30 * G_USEC_PER_SEC)

typedef struct
{
  TestSwtpm *swtpm;
  TestProxy *proxy;
  Config config;
  Worker *worker;
  Monitor *monitor;
  Tpm *tpm; /* somebody else's */
  guint n_ready;
  guint n_changed;
  GString *states; /* as "state-changed" told them */
  GString *issues; /* as "issue-raised" and "issue-cleared" told them */
  guint n_lockout_resets;
} Fixture;

static void
on_changed (Monitor *monitor, Fixture *fixture)
{
  fixture->n_changed++;
}

static void
on_state_changed (Monitor *monitor, HealthState old, HealthState new, Fixture *fixture)
{
  g_string_append_printf (fixture->states, "%s%s>%s", fixture->states->len > 0 ? " " : "",
                          health_state_to_string (old), health_state_to_string (new));
}

static void
on_issue_raised (Monitor *monitor, const HealthIssue *issue, Fixture *fixture)
{
  g_string_append_printf (fixture->issues, "+%s ", issue->id);
}

static void
on_issue_cleared (Monitor *monitor, const char *id, Fixture *fixture)
{
  g_string_append_printf (fixture->issues, "-%s ", id);
}

static void
on_lockout_reset (Monitor *monitor, guint before, Fixture *fixture)
{
  g_assert_cmpuint (before, >, 0);
  g_assert_cmpuint (monitor_get_lockout_resets (monitor), ==, ++fixture->n_lockout_resets);
}

static void
start_monitor (Fixture *fixture)
{
  fixture->worker = worker_new (test_proxy_connect, fixture->proxy, 1, 4);
  fixture->monitor = monitor_new (&fixture->config, fixture->worker, NULL);
  g_signal_connect (fixture->monitor, "changed", G_CALLBACK (on_changed), fixture);
  g_signal_connect (fixture->monitor, "state-changed", G_CALLBACK (on_state_changed), fixture);
  g_signal_connect (fixture->monitor, "issue-raised", G_CALLBACK (on_issue_raised), fixture);
  g_signal_connect (fixture->monitor, "issue-cleared", G_CALLBACK (on_issue_cleared), fixture);
  g_signal_connect (fixture->monitor, "lockout-reset", G_CALLBACK (on_lockout_reset), fixture);
  fixture->n_ready = fixture->n_changed = fixture->n_lockout_resets = 0;
  g_string_truncate (fixture->issues, 0);
  g_string_truncate (fixture->states, 0);
}

static void
stop_monitor (Fixture *fixture)
{
  g_clear_object (&fixture->monitor);
  g_clear_pointer (&fixture->worker, worker_free);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->swtpm = test_swtpm_new ();
  fixture->proxy = test_proxy_new (fixture->swtpm);
  fixture->config.state_dir = (char *)test_swtpm_get_dir (fixture->swtpm);
  fixture->config.reset_lockout = TRUE;
  fixture->tpm = tpm_new (test_proxy_connect, fixture->proxy);
  fixture->states = g_string_new (NULL);
  fixture->issues = g_string_new (NULL);
  start_monitor (fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  stop_monitor (fixture);
  tpm_free (fixture->tpm);
  test_proxy_free (fixture->proxy);
  test_swtpm_free (fixture->swtpm);
  g_string_free (fixture->states, TRUE);
  g_string_free (fixture->issues, TRUE);
}

static gboolean
on_timeout (gpointer data)
{
  g_assert_not_reached ();
}

/* Iterates until @number is at least @least. */
static void
wait_for (const guint *number, guint least)
{
  guint timeout = g_timeout_add_seconds (TIMEOUT_US / G_USEC_PER_SEC, on_timeout, NULL);

  while (*number < least)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (timeout);
}

static gboolean
on_ready (gpointer data)
{
  ((Fixture *)data)->n_ready++;
  return G_SOURCE_REMOVE;
}

/* The broker has the chip; returns when the daemon would let clients in. */
static void
chip_comes_up (Fixture *fixture, gboolean tpm_was_reset)
{
  guint before = fixture->n_ready;

  monitor_set_device (fixture->monitor, HEALTH_DEVICE_OK, "", tpm_was_reset, on_ready, fixture);
  wait_for (&fixture->n_ready, before + 1);
  g_assert_cmpuint (fixture->n_ready, ==, before + 1);
}

/* As chip_comes_up(), with a healing that was needed and did not come about, which is told. */
static void
chip_comes_up_unhealed (Fixture *fixture, const char *warning)
{
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, warning);
  chip_comes_up (fixture, TRUE);
  g_test_assert_expected_messages ();
}

typedef struct
{
  guint done;
  GError *error;
} Answer;

static void
check_done (GObject *source, GAsyncResult *result, gpointer data)
{
  Answer *answer = data;

  answer->done++;
  g_assert_true (monitor_check_finish (result, &answer->error) == (answer->error == NULL));
}

static void
reset_done (GObject *source, GAsyncResult *result, gpointer data)
{
  Answer *answer = data;

  answer->done++;
  g_assert_true (monitor_reset_lockout_finish (result, &answer->error) == (answer->error == NULL));
}

static GError *
check (Fixture *fixture)
{
  Answer answer = { 0 };

  monitor_check_async (fixture->monitor, NULL, check_done, &answer);
  wait_for (&answer.done, 1);
  return answer.error;
}

static GError *
reset (Fixture *fixture)
{
  Answer answer = { 0 };

  monitor_reset_lockout_async (fixture->monitor, NULL, reset_done, &answer);
  wait_for (&answer.done, 1);
  return answer.error;
}

static void
assert_issues (Fixture *fixture, HealthState state, const char *ids)
{
  GPtrArray *issues = monitor_get_issues (fixture->monitor);
  g_autoptr (GString) got = g_string_new (NULL);

  for (guint i = 0; i < issues->len; i++)
    g_string_append_printf (got, "%s%s", i == 0 ? "" : " ",
                            ((HealthIssue *)g_ptr_array_index (issues, i))->id);
  g_assert_cmpstr (got->str, ==, ids);
  g_assert_cmpstr (health_state_to_string (monitor_get_state (fixture->monitor)), ==,
                   health_state_to_string (state));
}

static guint
count (Fixture *fixture, guint32 command)
{
  return test_swtpm_count (fixture->swtpm, command);
}

static const VariableProperties *
get_variable (Fixture *fixture)
{
  const HealthFacts *facts = monitor_get_facts (fixture->monitor);

  g_assert_true (facts->have_variable);
  return &facts->variable;
}

/* What others do to the chip. */

static ESYS_CONTEXT *
get_esys (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  ESYS_CONTEXT *esys = tpm_get_esys (fixture->tpm, &error);

  g_assert_no_error (error);
  return esys;
}

/* A DA-protected key with the auth `right`, used once with @auth. */
static TSS2_RC
use_key (Fixture *fixture, const char *auth)
{
  static const TPM2B_PUBLIC template = {
    .publicArea = {
      .type = TPM2_ALG_KEYEDHASH,
      .nameAlg = TPM2_ALG_SHA256,
      .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT
                          | TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH
                          | TPMA_OBJECT_SIGN_ENCRYPT,
      .parameters.keyedHashDetail.scheme = {
        .scheme = TPM2_ALG_HMAC, .details.hmac.hashAlg = TPM2_ALG_SHA256
      },
    },
  };
  const TPM2B_SENSITIVE_CREATE sensitive = {
    .sensitive.userAuth = { .size = 5, .buffer = { 'r', 'i', 'g', 'h', 't' } }
  };
  const TPM2B_DATA outside = { 0 };
  const TPML_PCR_SELECTION pcrs = { 0 };
  const TPM2B_MAX_BUFFER data = { .size = 1 };
  TPM2B_AUTH used = { .size = (UINT16)strlen (auth) };
  g_autoptr (TPM2B_DIGEST) mac = NULL;
  ESYS_CONTEXT *esys = get_esys (fixture);
  ESYS_TR tr = ESYS_TR_NONE;
  TSS2_RC rc;

  g_assert_cmphex (Esys_CreatePrimary (esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                       ESYS_TR_NONE, &sensitive, &template, &outside, &pcrs, &tr,
                                       NULL, NULL, NULL, NULL),
                   ==, TSS2_RC_SUCCESS);
  memcpy (used.buffer, auth, used.size);
  g_assert_cmphex (Esys_TR_SetAuth (esys, tr, &used), ==, TSS2_RC_SUCCESS);
  rc = Esys_HMAC (esys, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data, TPM2_ALG_SHA256,
                  &mac);
  g_assert_cmphex (Esys_FlushContext (esys, tr), ==, TSS2_RC_SUCCESS);
  return rc;
}

static void
fail_auth (Fixture *fixture, guint times)
{
  for (guint i = 0; i < times; i++)
    g_assert_cmphex (use_key (fixture, "wrong"), ==, 0x98e);
}

static void
set_lockout_auth (Fixture *fixture, const char *new_auth)
{
  TPM2B_AUTH auth = { .size = (UINT16)strlen (new_auth) };

  memcpy (auth.buffer, new_auth, auth.size);
  g_assert_cmphex (Esys_HierarchyChangeAuth (get_esys (fixture), ESYS_TR_RH_LOCKOUT,
                                             ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &auth),
                   ==, TSS2_RC_SUCCESS);
}

/* One wrong lockout auth: from now on the lockout hierarchy is locked, and GetCapability does not show it. */
static void
lock_lockout_hierarchy (Fixture *fixture)
{
  const TPM2B_AUTH wrong = { .size = 5, .buffer = { 'w', 'r', 'o', 'n', 'g' } };
  const TPM2B_AUTH none = { 0 };
  ESYS_CONTEXT *esys = get_esys (fixture);

  g_assert_cmphex (Esys_TR_SetAuth (esys, ESYS_TR_RH_LOCKOUT, &wrong), ==, TSS2_RC_SUCCESS);
  g_assert_cmphex (Esys_DictionaryAttackLockReset (esys, ESYS_TR_RH_LOCKOUT, ESYS_TR_PASSWORD,
                                                   ESYS_TR_NONE, ESYS_TR_NONE),
                   ==, 0x98e);
  g_assert_cmphex (Esys_TR_SetAuth (esys, ESYS_TR_RH_LOCKOUT, &none), ==, TSS2_RC_SUCCESS);
}

static void
cut_power (Fixture *fixture)
{
  test_swtpm_kill (fixture->swtpm);
  test_swtpm_start (fixture->swtpm);
}

static void
test_healthy (Fixture *fixture, gconstpointer data)
{
  const HealthFacts *facts = monitor_get_facts (fixture->monitor);

  assert_issues (fixture, HEALTH_STATE_UNKNOWN, "");
  g_assert_cmpint (monitor_get_last_check (fixture->monitor), ==, 0);
  chip_comes_up (fixture, TRUE);
  assert_issues (fixture, HEALTH_STATE_OK, "");
  g_assert_cmpint (monitor_get_last_check (fixture->monitor), >, 0);
  g_assert_cmpstr (facts->fixed.manufacturer, ==, "IBM");
  g_assert_true (facts->have_last_shutdown && facts->last_shutdown_orderly);
  g_assert_cmphex (facts->test_result, ==, TPM2_RC_SUCCESS);
  g_assert_cmpstr (fixture->states->str, ==, "unknown>ok");
  g_assert_cmpuint (fixture->n_changed, ==, 1);
  g_assert_cmpuint (count (fixture, 0), ==, 4);
  g_assert_cmpuint (count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 0);
}

static void
test_check (Fixture *fixture, gconstpointer data)
{
  Answer answers[3] = { 0 };
  g_autoptr (GError) error = NULL;

  chip_comes_up (fixture, TRUE);
  error = check (fixture);
  g_assert_no_error (error);
  g_assert_cmpuint (count (fixture, 0), ==, 7);
  g_assert_cmpuint (fixture->n_changed, ==, 2); /* the time of the check, at least */

  /* all that ask while one is under way share it */
  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++)
    monitor_check_async (fixture->monitor, NULL, check_done, &answers[i]);
  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++)
    wait_for (&answers[i].done, 1);
  g_assert_cmpuint (count (fixture, 0), ==, 10);
}

static void
test_check_without_chip (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) first = check (fixture);
  g_autoptr (GError) second = NULL;

  g_assert_error (first, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE);
  monitor_set_device (fixture->monitor, HEALTH_DEVICE_MISSING, "no /dev/tpm0", FALSE, on_ready,
                      fixture);
  g_assert_cmpuint (fixture->n_ready, ==, 1);
  assert_issues (fixture, HEALTH_STATE_FAILED, "device.missing");
  second = check (fixture);
  g_assert_error (second, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (second->message, "no /dev/tpm0"));
  g_assert_cmpuint (count (fixture, 0), ==, 0);
}

static gboolean
on_look (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static void
test_poll (Fixture *fixture, gconstpointer data)
{
  guint wake_up = g_timeout_add (50, on_look, NULL);

  fixture->config.poll_interval_s = 1;
  chip_comes_up (fixture, TRUE);
  while (count (fixture, TPM2_CC_GetTestResult) < 3)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (wake_up);
  /* the first reading has the fixed properties and the run too; a poll is two commands */
  g_assert_cmpuint (count (fixture, 0), <=, 8);
  g_assert_cmpuint (count (fixture, TPM2_CC_ReadClock), ==, 1);
  g_assert_cmpuint (fixture->n_changed, >=, 2);
  assert_issues (fixture, HEALTH_STATE_OK, "");
}

/* With polling off nothing wakes us, and nothing is sent. */
static void
test_no_poll (Fixture *fixture, gconstpointer data)
{
  gint64 end;
  guint before;
  gboolean has_timer = TRUE;
  GMainContext *context = g_main_context_default ();
  GPollFD fds[16];
  gint priority, timeout;

  chip_comes_up (fixture, TRUE);
  before = count (fixture, 0);
  for (end = g_get_monotonic_time () + 300 * 1000; g_get_monotonic_time () < end;)
    g_main_context_iteration (NULL, FALSE);
  g_assert_cmpuint (count (fixture, 0), ==, before);
  g_assert_true (g_main_context_acquire (context));
  g_main_context_prepare (context, &priority);
  g_main_context_query (context, priority, &timeout, fds, G_N_ELEMENTS (fds));
  has_timer = timeout >= 0;
  g_main_context_release (context);
  g_assert_false (has_timer);
}

/* What the power was is counted once for each run of the chip, whoever restarts. */
static void
test_runs (Fixture *fixture, gconstpointer data)
{
  const HealthFacts *facts;

  chip_comes_up (fixture, TRUE);
  for (guint i = 1; i <= 3; i++)
    {
      stop_monitor (fixture);
      cut_power (fixture);
      start_monitor (fixture);
      chip_comes_up (fixture, TRUE);
      facts = monitor_get_facts (fixture->monitor);
      g_assert_cmpuint (facts->power.n_unclean, ==, i);
      g_assert_cmpstr (fixture->issues->str, ==, "+power.unclean ");
      assert_issues (fixture, i < 3 ? HEALTH_STATE_OK : HEALTH_STATE_DEGRADED, "power.unclean");
      stop_monitor (fixture);
      start_monitor (fixture);
      chip_comes_up (fixture, TRUE);
      g_assert_cmpuint (monitor_get_facts (fixture->monitor)->power.n_unclean, ==, i);
    }
}

/* A lockout by wrong auths, seen; and healed at the next start, before anybody is let in. */
static void
test_lockout_healed (Fixture *fixture, gconstpointer data)
{
  fail_auth (fixture, MAX_AUTH_FAIL);
  g_assert_cmphex (use_key (fixture, "right"), ==, 0x921);

  fixture->config.reset_lockout = FALSE;
  chip_comes_up (fixture, TRUE);
  assert_issues (fixture, HEALTH_STATE_FAILED, "lockout.active");
  g_assert_cmpuint (get_variable (fixture)->lockout_counter, ==, MAX_AUTH_FAIL);
  g_assert_cmpuint (count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 0);

  stop_monitor (fixture);
  fixture->config.reset_lockout = TRUE;
  start_monitor (fixture);
  chip_comes_up (fixture, TRUE);
  assert_issues (fixture, HEALTH_STATE_OK, "");
  g_assert_cmpuint (get_variable (fixture)->lockout_counter, ==, 0);
  g_assert_cmpuint (count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 1);
  g_assert_cmphex (use_key (fixture, "right"), ==, TSS2_RC_SUCCESS);
}

/* The application note's way into a lockout: the right auth and a power cut, again and again. */
static void
test_power_cuts (Fixture *fixture, gconstpointer data)
{
  for (guint i = 0; i < MAX_AUTH_FAIL; i++)
    {
      g_assert_cmphex (use_key (fixture, "right"), ==, TSS2_RC_SUCCESS);
      cut_power (fixture);
      tpm_disconnect (fixture->tpm);
    }
  g_assert_cmphex (use_key (fixture, "right"), ==, 0x921);

  chip_comes_up (fixture, TRUE);
  assert_issues (fixture, HEALTH_STATE_OK, "power.unclean");
  g_assert_cmpuint (get_variable (fixture)->lockout_counter, ==, 0);
  g_assert_cmphex (use_key (fixture, "right"), ==, TSS2_RC_SUCCESS);
}

/* The chip loses its power under the daemon: healed each time that it is back. */
static void
test_power_cut_later (Fixture *fixture, gconstpointer data)
{
  chip_comes_up (fixture, TRUE);
  for (guint i = 0; i < 2; i++)
    {
      g_assert_cmphex (use_key (fixture, "right"), ==, TSS2_RC_SUCCESS);
      cut_power (fixture);
      tpm_disconnect (fixture->tpm);
      monitor_set_device (fixture->monitor, HEALTH_DEVICE_IO, "lost", FALSE, NULL, NULL);
      assert_issues (fixture, HEALTH_STATE_FAILED,
                     i == 0 ? "device.io" : "device.io power.unclean");
      chip_comes_up (fixture, TRUE);
      g_assert_cmpuint (get_variable (fixture)->lockout_counter, ==, 0);
    }
}

/* Wrong auths while we are up are somebody's guesses: not healed without being asked to. */
static void
test_guesses_not_healed (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  chip_comes_up (fixture, TRUE);
  fail_auth (fixture, 2);
  error = check (fixture);
  g_assert_no_error (error);
  assert_issues (fixture, HEALTH_STATE_DEGRADED, "lockout.near");
  chip_comes_up (fixture, FALSE); /* opened again, and not reset meanwhile */
  assert_issues (fixture, HEALTH_STATE_DEGRADED, "lockout.near");
  g_assert_cmpuint (count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 0);

  error = reset (fixture);
  g_assert_no_error (error);
  assert_issues (fixture, HEALTH_STATE_OK, "");
  g_assert_cmpuint (get_variable (fixture)->lockout_counter, ==, 0);
  g_assert_cmpuint (count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 1);
  g_assert_cmpstr (fixture->states->str, ==, "unknown>ok ok>degraded degraded>ok");
  g_assert_cmpstr (fixture->issues->str, ==, "+lockout.near -lockout.near ");
  g_assert_cmpuint (fixture->n_lockout_resets, ==, 1);

  /* nothing to do: nothing sent, no error */
  error = reset (fixture);
  g_assert_no_error (error);
  g_assert_cmpuint (count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 1);
}

/* A lockout auth that we do not know: no guess, neither at the start nor on demand. */
static void
test_auth_set (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  set_lockout_auth (fixture, "secret");
  fail_auth (fixture, MAX_AUTH_FAIL);
  chip_comes_up_unhealed (fixture, "*lockout auth is set*");
  assert_issues (fixture, HEALTH_STATE_FAILED, "lockout.active lockout.auth_unknown");
  error = reset (fixture);
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED);
  g_assert_cmpuint (count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 0);
}

/* A refusal is remembered: never a second try, not on demand and not after a restart. */
static void
test_refused_once (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->config.state_dir, "lockout", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) again = NULL;

  lock_lockout_hierarchy (fixture);
  fail_auth (fixture, 2);
  chip_comes_up_unhealed (fixture, "*0x00000921*");
  assert_issues (fixture, HEALTH_STATE_DEGRADED, "lockout.auth_locked lockout.near");
  g_assert_cmpuint (count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 2); /* theirs, ours */
  g_assert_true (g_file_test (path, G_FILE_TEST_IS_REGULAR));

  error = reset (fixture);
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT);
  g_test_message ("%s", error->message);
  stop_monitor (fixture);
  start_monitor (fixture);
  chip_comes_up_unhealed (fixture, "*has refused*");
  again = reset (fixture);
  g_assert_error (again, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT);
  g_assert_cmpuint (count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 2);
}

static void
write_record (Fixture *fixture, const char *code, gint64 age_s)
{
  g_autofree char *path = g_build_filename (fixture->config.state_dir, "lockout", NULL);
  g_autofree char *text =
      g_strdup_printf ("[Refused]\nCode=%s\nTime=%" G_GINT64_FORMAT "\nRecoverySec=1000\n", code,
                       g_get_real_time () / G_USEC_PER_SEC - age_s);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

/* LOCKOUT_RECOVERY has passed since: tried again, and forgotten when it works. A wrong auth stays wrong. */
static void
test_refusal_expires (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->config.state_dir, "lockout", NULL);

  fail_auth (fixture, 2);
  write_record (fixture, "2446", 100000); /* 0x98e */
  stop_monitor (fixture);
  start_monitor (fixture);
  chip_comes_up_unhealed (fixture, "*was set anew*");
  assert_issues (fixture, HEALTH_STATE_DEGRADED, "lockout.auth_locked lockout.near");

  write_record (fixture, "2337", 900); /* 0x921 */
  stop_monitor (fixture);
  start_monitor (fixture);
  chip_comes_up_unhealed (fixture, "*may try again*");
  assert_issues (fixture, HEALTH_STATE_DEGRADED, "lockout.auth_locked lockout.near");
  g_assert_cmpuint (count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 0);

  write_record (fixture, "2337", 1001);
  stop_monitor (fixture);
  start_monitor (fixture);
  chip_comes_up (fixture, TRUE);
  assert_issues (fixture, HEALTH_STATE_OK, "");
  g_assert_cmpuint (count (fixture, TPM2_CC_DictionaryAttackLockReset), ==, 1);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
}

/* An auth that was set since makes the refusal moot: when it is empty again, we may try. */
static void
test_refusal_moot (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->config.state_dir, "lockout", NULL);
  TPM2B_AUTH secret = { .size = 6, .buffer = { 's', 'e', 'c', 'r', 'e', 't' } };

  fail_auth (fixture, 2);
  write_record (fixture, "2446", 1);
  set_lockout_auth (fixture, "secret");
  stop_monitor (fixture);
  start_monitor (fixture);
  chip_comes_up_unhealed (fixture, "*lockout auth is set*");
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));

  g_assert_cmphex (Esys_TR_SetAuth (get_esys (fixture), ESYS_TR_RH_LOCKOUT, &secret), ==,
                   TSS2_RC_SUCCESS);
  set_lockout_auth (fixture, "");
  chip_comes_up (fixture, TRUE);
  assert_issues (fixture, HEALTH_STATE_OK, "");
}

/* No answer, or one that says "later", is no refusal: nothing is written, and the counter is healed on demand. */
static void
test_reset_fails (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->config.state_dir, "lockout", NULL);
  g_autoptr (GError) error = NULL;

  fail_auth (fixture, 2);
  test_proxy_set_rules (fixture->proxy, "139 rc 923");
  chip_comes_up_unhealed (fixture, "*0x00000923*");
  assert_issues (fixture, HEALTH_STATE_DEGRADED, "lockout.near");
  error = reset (fixture);
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_BUSY);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_clear_error (&error);

  test_proxy_set_rules (fixture->proxy, "");
  error = reset (fixture);
  g_assert_no_error (error);
  assert_issues (fixture, HEALTH_STATE_OK, "");
}

/* Failure mode: as the self-test's result, and as the answer to anything. */
static void
test_failure_mode (Fixture *fixture, gconstpointer data)
{
  static const char *const rules[] = { "17c raw 80010000001000000000000000000101", "17c rc 101",
                                       "17a rc 101", "any rc 101" };

  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
    {
      g_autoptr (GError) error = NULL;

      g_test_message ("%s", rules[i]);
      test_proxy_set_rules (fixture->proxy, rules[i]);
      chip_comes_up (fixture, TRUE);
      assert_issues (fixture, HEALTH_STATE_FAILED, "tpm.failure_mode");
      error = reset (fixture);
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE);
    }
  test_proxy_set_rules (fixture->proxy, "");
  chip_comes_up (fixture, TRUE);
  assert_issues (fixture, HEALTH_STATE_OK, "");
}

/* A chip that answers nonsense, or nothing: an issue, no crash; and well again when it is. */
static void
test_faults (Fixture *fixture, gconstpointer data)
{
  static const char *const rules[] = { "any garbage",   "any eof",   "any short 7",
                                       "any short 12",  "any noise", "any size 11",
                                       "any size 9000", "17a lost",  "any stale" };

  chip_comes_up (fixture, TRUE);
  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
    {
      g_autoptr (GError) error = NULL;

      g_test_message ("%s", rules[i]);
      test_proxy_set_rules (fixture->proxy, rules[i]);
      error = check (fixture);
      g_assert_nonnull (error);
      g_test_message ("%s", error->message);
      assert_issues (fixture, HEALTH_STATE_FAILED, "device.io");
      g_assert_true (g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE) ||
                     g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE));
      g_clear_error (&error);

      test_proxy_set_rules (fixture->proxy, "");
      error = check (fixture);
      g_assert_no_error (error);
      assert_issues (fixture, HEALTH_STATE_OK, "");
    }
}

/* Busy is not broken: what is known stays. */
static void
test_busy (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  chip_comes_up (fixture, TRUE);
  test_proxy_set_rules (fixture->proxy, "17a rc 920");
  error = check (fixture);
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_BUSY);
  assert_issues (fixture, HEALTH_STATE_OK, "");
}

/* The device goes while a reading is under way: what that reading says is of the past. */
static void
test_stale_reading (Fixture *fixture, gconstpointer data)
{
  Answer answer = { 0 };

  chip_comes_up (fixture, TRUE);
  test_proxy_set_rules (fixture->proxy, "17c delay 100");
  monitor_check_async (fixture->monitor, NULL, check_done, &answer);
  monitor_set_device (fixture->monitor, HEALTH_DEVICE_MISSING, "gone", FALSE, NULL, NULL);
  wait_for (&answer.done, 1);
  assert_issues (fixture, HEALTH_STATE_FAILED, "device.missing");
  g_clear_error (&answer.error);
}

/* The monitor goes while a reading is under way. */
static void
test_stop_while_reading (Fixture *fixture, gconstpointer data)
{
  test_proxy_set_rules (fixture->proxy, "17c delay 50");
  monitor_set_device (fixture->monitor, HEALTH_DEVICE_OK, "", TRUE, on_ready, fixture);
  stop_monitor (fixture);
  g_assert_cmpuint (fixture->n_ready, ==, 0);
}

#define ADD(name, function) g_test_add ("/health/" name, Fixture, NULL, set_up, function, tear_down)

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
  ADD ("lockout-healed", test_lockout_healed);
  ADD ("power-cuts", test_power_cuts);
  ADD ("power-cut-later", test_power_cut_later);
  ADD ("guesses-not-healed", test_guesses_not_healed);
  ADD ("auth-set", test_auth_set);
  ADD ("refused-once", test_refused_once);
  ADD ("refusal-expires", test_refusal_expires);
  ADD ("refusal-moot", test_refusal_moot);
  ADD ("reset-fails", test_reset_fails);
  ADD ("failure-mode", test_failure_mode);
  ADD ("faults", test_faults);
  ADD ("busy", test_busy);
  ADD ("stale-reading", test_stale_reading);
  ADD ("stop-while-reading", test_stop_while_reading);
  return g_test_run ();
}
