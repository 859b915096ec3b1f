/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* health/rules.c: what makes each rule fire and what does not, and that what is not known is never good. */

#include "health/rules.h"

#include <string.h>

#define NOW G_GINT64_CONSTANT (1800000000)

#define ALL_ENABLED                                                                                \
  (TPMA_STARTUP_CLEAR_PHENABLE | TPMA_STARTUP_CLEAR_SHENABLE | TPMA_STARTUP_CLEAR_EHENABLE |       \
   TPMA_STARTUP_CLEAR_PHENABLENV | TPMA_STARTUP_CLEAR_ORDERLY)

static HealthFacts
healthy (void)
{
  return (HealthFacts){
    .device = HEALTH_DEVICE_OK,
    .have_fixed = TRUE,
    .fixed = { .family = "2.0" },
    .have_variable = TRUE,
    .variable = {
      .startup_clear = ALL_ENABLED,
      .max_auth_fail = 32,
      .lockout_interval = 7200,
      .lockout_recovery = 86400,
      .persistent_available = 12,
      .transient_available = 3,
      .loaded_available = 3,
      .active_available = 64,
      .nv_counters_available = 8,
    },
    .have_test_result = TRUE,
    .have_last_shutdown = TRUE,
    .last_shutdown_orderly = TRUE,
  };
}

static void
assert_facts (const HealthFacts *facts, HealthState state, const char *ids)
{
  g_autoptr (GPtrArray) issues = rules_evaluate (facts, NOW, NULL);
  g_autoptr (GString) got = g_string_new (NULL);

  for (guint i = 0; i < issues->len; i++)
    {
      const HealthIssue *issue = g_ptr_array_index (issues, i);

      g_string_append_printf (got, "%s%s:%s", i == 0 ? "" : " ", issue->id,
                              health_severity_to_string (issue->severity));
      g_assert_cmpstr (issue->text, !=, "");
      g_assert_cmpstr (issue->remedy, !=, "");
      g_assert_cmpint (issue->since, ==, NOW);
      g_assert_true (g_variant_is_of_type (issue->evidence, G_VARIANT_TYPE_VARDICT));
      g_assert_null (strchr (issue->text, '\n'));
    }
  g_assert_cmpstr (got->str, ==, ids);
  g_assert_cmpstr (health_state_to_string (rules_get_state (facts, issues)), ==,
                   health_state_to_string (state));
}

static void
test_healthy (void)
{
  HealthFacts facts = healthy ();

  assert_facts (&facts, HEALTH_STATE_OK, "");
  facts.test_result = TPM2_RC_NEEDS_TEST; /* tests a function when it is first used: normal */
  assert_facts (&facts, HEALTH_STATE_OK, "");
}

/* Each thing that was not read, alone, is enough not to be ok. */
static void
test_unknown (void)
{
  HealthFacts facts = { 0 };

  assert_facts (&facts, HEALTH_STATE_UNKNOWN, "");
  facts = healthy ();
  facts.device = HEALTH_DEVICE_UNKNOWN;
  assert_facts (&facts, HEALTH_STATE_UNKNOWN, "");
  facts = healthy ();
  facts.have_fixed = FALSE;
  assert_facts (&facts, HEALTH_STATE_UNKNOWN, "");
  facts = healthy ();
  facts.have_variable = FALSE;
  assert_facts (&facts, HEALTH_STATE_UNKNOWN, "");
  facts = healthy ();
  facts.have_test_result = FALSE;
  assert_facts (&facts, HEALTH_STATE_UNKNOWN, "");
  /* not the last shutdown: it says nothing about the chip */
  facts = healthy ();
  facts.have_last_shutdown = FALSE;
  assert_facts (&facts, HEALTH_STATE_OK, "");
}

/* Values beside a `have_` that is FALSE are not looked at, however bad they are. */
static void
test_stale (void)
{
  HealthFacts facts = healthy ();

  facts.variable.permanent = TPMA_PERMANENT_INLOCKOUT | TPMA_PERMANENT_LOCKOUTAUTHSET;
  facts.variable.startup_clear = 0;
  facts.test_result = TPM2_RC_FAILURE;
  facts.last_shutdown_orderly = FALSE;
  g_strlcpy (facts.fixed.family, "1.2", sizeof (facts.fixed.family));
  facts.have_fixed = facts.have_variable = facts.have_test_result = facts.have_last_shutdown =
      FALSE;
  assert_facts (&facts, HEALTH_STATE_UNKNOWN, "");
}

static void
test_device (void)
{
  static const struct
  {
    HealthDevice device;
    const char *ids;
  } devices[] = {
    { HEALTH_DEVICE_MISSING, "device.missing:failed" },
    { HEALTH_DEVICE_BUSY, "device.busy:failed" },
    { HEALTH_DEVICE_IO, "device.io:failed" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (devices); i++)
    {
      HealthFacts facts = { .device = devices[i].device };
      g_autoptr (GPtrArray) issues = NULL;
      HealthIssue *issue;

      assert_facts (&facts, HEALTH_STATE_FAILED, devices[i].ids);
      facts.device_reason = (char *)"the reason";
      issues = rules_evaluate (&facts, NOW, NULL);
      issue = g_ptr_array_index (issues, 0);
      g_assert_cmpstr (issue->text, ==, "the reason");
    }
}

static void
test_chip (void)
{
  HealthFacts facts = healthy ();

  g_strlcpy (facts.fixed.family, "1.2", sizeof (facts.fixed.family));
  assert_facts (&facts, HEALTH_STATE_FAILED, "tpm.not20:failed");

  facts = healthy ();
  facts.test_result = TPM2_RC_FAILURE;
  facts.have_variable = FALSE;
  assert_facts (&facts, HEALTH_STATE_FAILED, "tpm.failure_mode:failed");

  facts = healthy ();
  facts.test_result = TPM2_RC_TESTING;
  facts.testing_since = NOW - 9;
  assert_facts (&facts, HEALTH_STATE_OK, "");
  facts.testing_since = NOW - 10;
  assert_facts (&facts, HEALTH_STATE_DEGRADED, "tpm.selftest_pending:degraded");

  facts = healthy ();
  facts.variable.startup_clear &= ~TPMA_STARTUP_CLEAR_SHENABLE;
  assert_facts (&facts, HEALTH_STATE_FAILED, "tpm.hierarchy_disabled:failed");
  facts.variable.startup_clear &= ~TPMA_STARTUP_CLEAR_EHENABLE;
  assert_facts (&facts, HEALTH_STATE_FAILED, "tpm.hierarchy_disabled:failed");
  facts.variable.startup_clear |= TPMA_STARTUP_CLEAR_SHENABLE;
  assert_facts (&facts, HEALTH_STATE_DEGRADED, "tpm.hierarchy_disabled:degraded");
  facts = healthy ();
  facts.variable.startup_clear &= ~TPMA_STARTUP_CLEAR_PHENABLE; /* as firmware leaves it: normal */
  assert_facts (&facts, HEALTH_STATE_OK, "");
}

static void
test_lockout (void)
{
  static const struct
  {
    guint32 counter;
    guint32 max;
    const char *ids;
  } counters[] = {
    { 0, 32, "" },
    { 15, 32, "" },
    { 16, 32, "lockout.near:degraded" },
    { 31, 32, "lockout.near:degraded" },
    { 4, 9, "" },
    { 5, 9, "lockout.near:degraded" },
    { 1, 3, "lockout.policy_drift:degraded" },
    { 2, 3, "lockout.near:degraded lockout.policy_drift:degraded" },
    { 1, 2, "lockout.near:degraded lockout.policy_drift:degraded" },
    { 0, 1, "lockout.policy_drift:degraded" },
    { 0, 0, "lockout.policy_drift:degraded" },
  };
  HealthFacts facts = healthy ();

  for (gsize i = 0; i < G_N_ELEMENTS (counters); i++)
    {
      facts.variable.lockout_counter = counters[i].counter;
      facts.variable.max_auth_fail = counters[i].max;
      assert_facts (&facts, *counters[i].ids != '\0' ? HEALTH_STATE_DEGRADED : HEALTH_STATE_OK,
                    counters[i].ids);
    }

  facts.variable.lockout_counter = 32;
  facts.variable.max_auth_fail = 32;
  facts.variable.permanent = TPMA_PERMANENT_INLOCKOUT;
  assert_facts (&facts, HEALTH_STATE_FAILED, "lockout.active:failed");
  facts.variable.lockout_interval = 0;
  assert_facts (&facts, HEALTH_STATE_FAILED, "lockout.active:failed");

  facts = healthy ();
  facts.variable.permanent = TPMA_PERMANENT_LOCKOUTAUTHSET | TPMA_PERMANENT_OWNERAUTHSET;
  assert_facts (&facts, HEALTH_STATE_OK, "lockout.auth_unknown:info");
}

static void
test_lockout_evidence (void)
{
  HealthFacts facts = healthy ();
  g_autoptr (GPtrArray) issues = NULL;
  const HealthIssue *issue;
  guint32 value = 0;

  facts.variable.lockout_counter = 32;
  facts.variable.permanent = TPMA_PERMANENT_INLOCKOUT;
  issues = rules_evaluate (&facts, NOW, NULL);
  issue = g_ptr_array_index (issues, 0);
  g_assert_true (g_variant_lookup (issue->evidence, "lockout-counter", "u", &value));
  g_assert_cmpuint (value, ==, 32);
  g_assert_true (g_variant_lookup (issue->evidence, "lockout-interval", "u", &value));
  g_assert_cmpuint (value, ==, 7200);
  g_assert_nonnull (strstr (issue->text, "7200 s"));
}

static void
test_power (void)
{
  HealthFacts facts = healthy ();

  facts.last_shutdown_orderly = FALSE;
  assert_facts (&facts, HEALTH_STATE_OK, "power.unclean:info");

  facts.have_run = TRUE;
  facts.power = (PowerRecord){
    .known = TRUE, .n_unclean = 9, .times = { NOW - 1, NOW - 2, NOW - 86400 }, .n_times = 3
  };
  assert_facts (&facts, HEALTH_STATE_OK, "power.unclean:info");
  facts.power.times[2] = NOW + 10; /* the clock was set since */
  assert_facts (&facts, HEALTH_STATE_OK, "power.unclean:info");
  facts.power.times[2] = NOW - 86399;
  assert_facts (&facts, HEALTH_STATE_DEGRADED, "power.unclean:degraded");
  facts.last_shutdown_orderly = TRUE;
  assert_facts (&facts, HEALTH_STATE_DEGRADED, "power.unclean:degraded");
}

/* Each run of the chip is counted once; a counter that goes back is another chip. */
static void
test_runs (void)
{
  PowerRecord record = { 0 };
  gboolean went_back = TRUE;

  g_assert_true (power_record_take (&record, 5, FALSE, NOW, &went_back));
  g_assert_false (went_back);
  g_assert_cmpuint (record.n_unclean, ==, 1);
  g_assert_false (power_record_take (&record, 5, FALSE, NOW, &went_back));
  g_assert_cmpuint (record.n_unclean, ==, 1);
  g_assert_true (power_record_take (&record, 6, TRUE, NOW, &went_back));
  g_assert_cmpuint (record.n_unclean, ==, 1);
  g_assert_true (power_record_take (&record, 2, TRUE, NOW, &went_back));
  g_assert_true (went_back);
  for (guint32 i = 0; i < 40; i++)
    g_assert_true (power_record_take (&record, 3 + i, FALSE, NOW + i, &went_back));
  g_assert_false (went_back);
  g_assert_cmpuint (record.n_unclean, ==, 41);
  g_assert_cmpuint (record.n_times, ==, POWER_MAX_TIMES);
  g_assert_cmpint (record.times[0], ==, NOW + 39);
  g_assert_cmpuint (power_record_count_today (&record, NOW + 39), ==, POWER_MAX_TIMES);
}

static void
test_identity (void)
{
  HealthFacts facts = healthy ();

  facts.went_back = TRUE;
  assert_facts (&facts, HEALTH_STATE_OK, "");
  facts.have_run = TRUE;
  assert_facts (&facts, HEALTH_STATE_FAILED, "identity.changed:failed");
}

static void
test_room (void)
{
  HealthFacts facts = healthy ();

  facts.variable.persistent_available = 2;
  assert_facts (&facts, HEALTH_STATE_OK, "");
  facts.variable.persistent_available = 1;
  assert_facts (&facts, HEALTH_STATE_DEGRADED, "resources.low:degraded");
  facts.variable.persistent_available = PROPERTY_UNKNOWN;
  assert_facts (&facts, HEALTH_STATE_OK, "");
  facts.variable.transient_available = 0;
  assert_facts (&facts, HEALTH_STATE_DEGRADED, "resources.low:degraded");
  /* the other resource manager's slots */
  facts.is_alongside = TRUE;
  assert_facts (&facts, HEALTH_STATE_OK, "");
  facts.variable.nv_counters_available = 0;
  assert_facts (&facts, HEALTH_STATE_OK, "resources.low:info");
  facts.variable.nv_counters_available = PROPERTY_UNKNOWN;
  assert_facts (&facts, HEALTH_STATE_OK, "");
}

/* A refusal counts until its time is over; a wrong auth does not get right by waiting. */
static void
test_refusal (void)
{
  static const struct
  {
    LockoutRecord record;
    const char *ids;
  } refusals[] = {
    { { 0x921, NOW - 999, 1000 }, "lockout.auth_locked:degraded" },
    { { 0x921, NOW - 1000, 1000 }, "" },
    { { 0x921, NOW - 100000, 0 }, "lockout.auth_locked:degraded" },
    { { 0x98e, NOW - 100000, 1000 }, "lockout.auth_locked:degraded" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (refusals); i++)
    {
      HealthFacts facts = healthy ();

      facts.lockout = refusals[i].record;
      assert_facts (&facts, *refusals[i].ids != '\0' ? HEALTH_STATE_DEGRADED : HEALTH_STATE_OK,
                    refusals[i].ids);
    }
}

static void
test_order (void)
{
  HealthFacts facts = healthy ();

  facts.last_shutdown_orderly = FALSE;
  facts.variable.permanent = TPMA_PERMANENT_INLOCKOUT | TPMA_PERMANENT_LOCKOUTAUTHSET;
  facts.variable.startup_clear &= ~TPMA_STARTUP_CLEAR_EHENABLE;
  g_strlcpy (facts.fixed.family, "", sizeof (facts.fixed.family));
  assert_facts (&facts, HEALTH_STATE_FAILED,
                "lockout.active:failed tpm.not20:failed tpm.hierarchy_disabled:degraded "
                "lockout.auth_unknown:info power.unclean:info");
}

static gint64
get_since (GPtrArray *issues, const char *id)
{
  for (guint i = 0; i < issues->len; i++)
    {
      const HealthIssue *issue = g_ptr_array_index (issues, i);

      if (g_str_equal (issue->id, id))
        return issue->since;
    }
  return 0;
}

static void
test_since (void)
{
  HealthFacts facts = healthy ();
  g_autoptr (GPtrArray) first = NULL;
  g_autoptr (GPtrArray) second = NULL;
  g_autoptr (GPtrArray) gone = NULL;
  g_autoptr (GPtrArray) back = NULL;

  facts.last_shutdown_orderly = FALSE;
  first = rules_evaluate (&facts, NOW, NULL);
  facts.variable.lockout_counter = 20;
  second = rules_evaluate (&facts, NOW + 60, first);
  g_assert_cmpint (get_since (second, "power.unclean"), ==, NOW);
  g_assert_cmpint (get_since (second, "lockout.near"), ==, NOW + 60);
  facts.last_shutdown_orderly = TRUE;
  gone = rules_evaluate (&facts, NOW + 120, second);
  g_assert_cmpint (get_since (gone, "power.unclean"), ==, 0);
  facts.last_shutdown_orderly = FALSE;
  back = rules_evaluate (&facts, NOW + 180, gone);
  g_assert_cmpint (get_since (back, "power.unclean"), ==, NOW + 180);
  g_assert_cmpint (get_since (back, "lockout.near"), ==, NOW + 60);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rules/healthy", test_healthy);
  g_test_add_func ("/rules/unknown", test_unknown);
  g_test_add_func ("/rules/stale", test_stale);
  g_test_add_func ("/rules/device", test_device);
  g_test_add_func ("/rules/chip", test_chip);
  g_test_add_func ("/rules/lockout", test_lockout);
  g_test_add_func ("/rules/lockout-evidence", test_lockout_evidence);
  g_test_add_func ("/rules/power", test_power);
  g_test_add_func ("/rules/runs", test_runs);
  g_test_add_func ("/rules/identity", test_identity);
  g_test_add_func ("/rules/room", test_room);
  g_test_add_func ("/rules/refusal", test_refusal);
  g_test_add_func ("/rules/order", test_order);
  g_test_add_func ("/rules/since", test_since);
  return g_test_run ();
}
