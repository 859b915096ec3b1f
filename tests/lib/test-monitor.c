/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "test-monitor.h"

#include <string.h>

#define TIMEOUT_US (30 * G_USEC_PER_SEC)

static void
on_changed (Monitor *monitor, TestMonitor *fixture)
{
  fixture->n_changed++;
}

static void
on_state_changed (Monitor *monitor, HealthState old, HealthState new, TestMonitor *fixture)
{
  g_string_append_printf (fixture->states, "%s%s>%s", fixture->states->len > 0 ? " " : "",
                          health_state_to_string (old), health_state_to_string (new));
}

static void
on_issue_raised (Monitor *monitor, const HealthIssue *issue, TestMonitor *fixture)
{
  g_string_append_printf (fixture->issues, "+%s ", issue->id);
}

static void
on_issue_cleared (Monitor *monitor, const char *id, TestMonitor *fixture)
{
  g_string_append_printf (fixture->issues, "-%s ", id);
}

static void
on_healed (Monitor *monitor, const char *action, GVariant *details, TestMonitor *fixture)
{
  g_autofree char *text = g_variant_print (details, FALSE);

  fixture->n_healed++;
  g_string_append_printf (fixture->healed, "%s%s ", action, text);
}

void
test_monitor_start (TestMonitor *fixture)
{
  fixture->worker = worker_new (test_proxy_connect, fixture->proxy, 1, 4);
  fixture->monitor = monitor_new (&fixture->config, fixture->worker, NULL, fixture->tally);
  g_signal_connect (fixture->monitor, "changed", G_CALLBACK (on_changed), fixture);
  g_signal_connect (fixture->monitor, "state-changed", G_CALLBACK (on_state_changed), fixture);
  g_signal_connect (fixture->monitor, "issue-raised", G_CALLBACK (on_issue_raised), fixture);
  g_signal_connect (fixture->monitor, "issue-cleared", G_CALLBACK (on_issue_cleared), fixture);
  g_signal_connect (fixture->monitor, "healed", G_CALLBACK (on_healed), fixture);
  fixture->n_ready = fixture->n_changed = fixture->n_healed = 0;
  g_string_truncate (fixture->healed, 0);
  g_string_truncate (fixture->issues, 0);
  g_string_truncate (fixture->states, 0);
}

void
test_monitor_stop (TestMonitor *fixture)
{
  g_clear_object (&fixture->monitor);
  g_clear_pointer (&fixture->worker, worker_free);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

void
test_monitor_set_up (TestMonitor *fixture, gconstpointer data)
{
  fixture->swtpm = test_swtpm_new ();
  fixture->proxy = test_proxy_new (fixture->swtpm);
  fixture->config.state_dir = (char *)test_swtpm_get_dir (fixture->swtpm);
  fixture->config.reset_lockout = TRUE;
  fixture->tpm = tpm_new (test_proxy_connect, fixture->proxy);
  fixture->states = g_string_new (NULL);
  fixture->issues = g_string_new (NULL);
  fixture->healed = g_string_new (NULL);
  fixture->tally = tally_new ();
  test_monitor_start (fixture);
}

void
test_monitor_tear_down (TestMonitor *fixture, gconstpointer data)
{
  test_monitor_stop (fixture);
  tpm_free (fixture->tpm);
  test_proxy_free (fixture->proxy);
  test_swtpm_free (fixture->swtpm);
  g_string_free (fixture->states, TRUE);
  g_string_free (fixture->issues, TRUE);
  g_string_free (fixture->healed, TRUE);
  tally_free (fixture->tally);
}

static gboolean
on_timeout (gpointer data)
{
  g_assert_not_reached ();
}

/* Iterates until @number is at least @least. */
void
test_monitor_wait_for (const guint *number, guint least)
{
  guint timeout = g_timeout_add_seconds (TIMEOUT_US / G_USEC_PER_SEC, on_timeout, NULL);

  while (*number < least)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (timeout);
}

gboolean
test_monitor_on_ready (gpointer data)
{
  ((TestMonitor *)data)->n_ready++;
  return G_SOURCE_REMOVE;
}

/* The broker has the chip; returns when the daemon would let clients in. */
void
test_monitor_chip_comes_up (TestMonitor *fixture, gboolean tpm_was_reset)
{
  guint before = fixture->n_ready;

  monitor_set_device (fixture->monitor, HEALTH_DEVICE_OK, "", tpm_was_reset, test_monitor_on_ready,
                      fixture);
  test_monitor_wait_for (&fixture->n_ready, before + 1);
  g_assert_cmpuint (fixture->n_ready, ==, before + 1);
}

/* As chip_comes_up(), with a healing that was needed and did not come about, which is told. */
void
test_monitor_chip_comes_up_unhealed (TestMonitor *fixture, const char *warning)
{
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, warning);
  test_monitor_chip_comes_up (fixture, TRUE);
  g_test_assert_expected_messages ();
}

void
test_monitor_check_done (GObject *source, GAsyncResult *result, gpointer data)
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

GError *
test_monitor_check (TestMonitor *fixture)
{
  Answer answer = { 0 };

  monitor_check_async (fixture->monitor, NULL, test_monitor_check_done, &answer);
  test_monitor_wait_for (&answer.done, 1);
  return answer.error;
}

GError *
test_monitor_reset (TestMonitor *fixture)
{
  Answer answer = { 0 };

  monitor_reset_lockout_async (fixture->monitor, NULL, reset_done, &answer);
  test_monitor_wait_for (&answer.done, 1);
  return answer.error;
}

void
test_monitor_assert_issues (TestMonitor *fixture, HealthState state, const char *ids)
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

guint
test_monitor_count (TestMonitor *fixture, guint32 command)
{
  return test_swtpm_count (fixture->swtpm, command);
}

const VariableProperties *
test_monitor_get_variable (TestMonitor *fixture)
{
  const HealthFacts *facts = monitor_get_facts (fixture->monitor);

  g_assert_true (facts->have_variable);
  return &facts->variable;
}

/* What others do to the chip. */

ESYS_CONTEXT *
test_monitor_get_esys (TestMonitor *fixture)
{
  g_autoptr (GError) error = NULL;
  ESYS_CONTEXT *esys = tpm_get_esys (fixture->tpm, &error);

  g_assert_no_error (error);
  return esys;
}

/* A DA-protected key with the auth `right`, used once with @auth. */
TSS2_RC
test_monitor_use_key (TestMonitor *fixture, const char *auth)
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
  ESYS_CONTEXT *esys = test_monitor_get_esys (fixture);
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

void
test_monitor_fail_auth (TestMonitor *fixture, guint times)
{
  for (guint i = 0; i < times; i++)
    g_assert_cmphex (test_monitor_use_key (fixture, "wrong"), ==, 0x98e);
}

void
test_monitor_set_lockout_auth (TestMonitor *fixture, const char *new_auth)
{
  TPM2B_AUTH auth = { .size = (UINT16)strlen (new_auth) };

  memcpy (auth.buffer, new_auth, auth.size);
  g_assert_cmphex (Esys_HierarchyChangeAuth (test_monitor_get_esys (fixture), ESYS_TR_RH_LOCKOUT,
                                             ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &auth),
                   ==, TSS2_RC_SUCCESS);
}

/* One wrong lockout auth: from now on the lockout hierarchy is locked, and GetCapability does not show it. */
void
test_monitor_lock_lockout_hierarchy (TestMonitor *fixture)
{
  const TPM2B_AUTH wrong = { .size = 5, .buffer = { 'w', 'r', 'o', 'n', 'g' } };
  const TPM2B_AUTH none = { 0 };
  ESYS_CONTEXT *esys = test_monitor_get_esys (fixture);

  g_assert_cmphex (Esys_TR_SetAuth (esys, ESYS_TR_RH_LOCKOUT, &wrong), ==, TSS2_RC_SUCCESS);
  g_assert_cmphex (Esys_DictionaryAttackLockReset (esys, ESYS_TR_RH_LOCKOUT, ESYS_TR_PASSWORD,
                                                   ESYS_TR_NONE, ESYS_TR_NONE),
                   ==, 0x98e);
  g_assert_cmphex (Esys_TR_SetAuth (esys, ESYS_TR_RH_LOCKOUT, &none), ==, TSS2_RC_SUCCESS);
}

void
test_monitor_cut_power (TestMonitor *fixture)
{
  test_swtpm_kill (fixture->swtpm);
  test_swtpm_start (fixture->swtpm);
}

void
test_monitor_check_well (TestMonitor *fixture)
{
  g_autoptr (GError) error = test_monitor_check (fixture);

  g_assert_no_error (error);
}
