/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "health-properties.h"

#include "tpm/names.h"
#include "tpm/rc.h"

static gint64
now_s (void)
{
  return g_get_real_time () / G_USEC_PER_SEC;
}

static GVariant *
make_issues (GPtrArray *issues)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(ssssta{sv})"));
  for (guint i = 0; issues != NULL && i < issues->len; i++)
    {
      const HealthIssue *issue = g_ptr_array_index (issues, i);

      g_variant_builder_add (&builder, "(sssst@a{sv})", issue->id,
                             health_severity_to_string (issue->severity), issue->text,
                             issue->remedy, (guint64)issue->since, issue->evidence);
    }
  return g_variant_builder_end (&builder);
}

static GVariant *
make_rules (Monitor *monitor)
{
  g_autoptr (GPtrArray) rules = monitor_judge (monitor);
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(sssss)"));
  for (guint i = 0; i < rules->len; i++)
    {
      const HealthRule *rule = g_ptr_array_index (rules, i);

      g_variant_builder_add (&builder, "(sssss)", rule->id, rule_verdict_to_string (rule->verdict),
                             rule->text, rule->remedy, rule->source);
    }
  return g_variant_builder_end (&builder);
}

static GVariant *
make_healings (Monitor *monitor)
{
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{su}"));

  for (HealingAction action = 0; action < HEALING_N_ACTIONS; action++)
    g_variant_builder_add (&builder, "{su}", healing_action_to_string (action),
                           monitor_count_healings (monitor, action));
  return g_variant_builder_end (&builder);
}

static void
show_variable (GgtpmHealth *skeleton, const VariableProperties *variable)
{
  TPMA_PERMANENT permanent = variable->permanent;
  TPMA_STARTUP_CLEAR startup_clear = variable->startup_clear;

  ggtpm_health_set_in_lockout (skeleton, (permanent & TPMA_PERMANENT_INLOCKOUT) != 0);
  ggtpm_health_set_lockout_counter (skeleton, variable->lockout_counter);
  ggtpm_health_set_lockout_max (skeleton, variable->max_auth_fail);
  ggtpm_health_set_lockout_interval (skeleton, variable->lockout_interval);
  ggtpm_health_set_lockout_recovery (skeleton, variable->lockout_recovery);
  ggtpm_health_set_owner_auth_set (skeleton, (permanent & TPMA_PERMANENT_OWNERAUTHSET) != 0);
  ggtpm_health_set_endorsement_auth_set (skeleton,
                                         (permanent & TPMA_PERMANENT_ENDORSEMENTAUTHSET) != 0);
  ggtpm_health_set_lockout_auth_set (skeleton, (permanent & TPMA_PERMANENT_LOCKOUTAUTHSET) != 0);
  ggtpm_health_set_disable_clear (skeleton, (permanent & TPMA_PERMANENT_DISABLECLEAR) != 0);
  ggtpm_health_set_tpm_generated_eps (skeleton, (permanent & TPMA_PERMANENT_TPMGENERATEDEPS) != 0);
  ggtpm_health_set_platform_enabled (skeleton, (startup_clear & TPMA_STARTUP_CLEAR_PHENABLE) != 0);
  ggtpm_health_set_storage_enabled (skeleton, (startup_clear & TPMA_STARTUP_CLEAR_SHENABLE) != 0);
  ggtpm_health_set_endorsement_enabled (skeleton,
                                        (startup_clear & TPMA_STARTUP_CLEAR_EHENABLE) != 0);
}

static const char *
describe_test_result (const HealthFacts *facts)
{
  if (!facts->have_test_result)
    return "unknown";
  switch (facts->test_result)
    {
    case TPM2_RC_SUCCESS:
    case TPM2_RC_NEEDS_TEST: /* nothing has failed; the rest is tested when it is first used */
      return "passed";
    case TPM2_RC_TESTING:
      return "testing";
    case TPM2_RC_FAILURE:
      return "failure";
    default:
      return "unknown";
    }
}

static guint
get_failures_left (const HealthFacts *facts)
{
  const VariableProperties *variable = &facts->variable;

  if (!facts->have_variable)
    return PROPERTY_UNKNOWN;
  if ((variable->permanent & TPMA_PERMANENT_INLOCKOUT) != 0 ||
      variable->lockout_counter >= variable->max_auth_fail)
    return 0;
  return variable->max_auth_fail - variable->lockout_counter;
}

static const char *
describe_lockout_auth (const HealthFacts *facts)
{
  gint64 end = lockout_record_get_end (&facts->lockout);

  if (!facts->have_variable)
    return "unknown";
  if ((facts->variable.permanent & TPMA_PERMANENT_LOCKOUTAUTHSET) != 0 &&
      !facts->lockout_auth_known)
    return "set";
  if (facts->lockout.refused != 0 && (end == 0 || now_s () < end))
    return "locked";
  return facts->lockout_auth_known ? "known" : "unset";
}

static void
show_foresight (GgtpmHealth *skeleton, const HealthFacts *facts)
{
  const VariableProperties *variable = &facts->variable;
  gboolean known = facts->have_variable;

  ggtpm_health_set_lockout_failures_left (skeleton, get_failures_left (facts));
  ggtpm_health_set_lockout_failures_today (skeleton,
                                           trend_record_count_recent (&facts->trend, now_s ()));
  ggtpm_health_set_lockout_expected_at (
      skeleton, known ? (guint64)trend_record_foresee (&facts->trend, variable->lockout_counter,
                                                       variable->max_auth_fail, now_s ())
                      : 0);
  ggtpm_health_set_lockout_auth_state (skeleton, describe_lockout_auth (facts));
  ggtpm_health_set_lockout_auth_locked_until (skeleton,
                                              (guint64)lockout_record_get_end (&facts->lockout));
  ggtpm_health_set_unclean_shutdowns (skeleton, facts->power.n_unclean);
  ggtpm_health_set_unclean_shutdowns_today (skeleton,
                                            power_record_count_today (&facts->power, now_s ()));
  ggtpm_health_set_reset_count (skeleton, facts->power.reset_count);
  ggtpm_health_set_persistent_used (skeleton, known ? variable->persistent : PROPERTY_UNKNOWN);
  ggtpm_health_set_persistent_available (skeleton,
                                         known ? variable->persistent_available : PROPERTY_UNKNOWN);
  ggtpm_health_set_transient_available (skeleton,
                                        known ? variable->transient_available : PROPERTY_UNKNOWN);
  ggtpm_health_set_sessions_available (skeleton,
                                       known ? variable->active_available : PROPERTY_UNKNOWN);
  ggtpm_health_set_nv_indices (skeleton, known ? variable->nv_indices : PROPERTY_UNKNOWN);
  ggtpm_health_set_nv_counters_available (skeleton, known ? variable->nv_counters_available
                                                          : PROPERTY_UNKNOWN);
}

static void
add_latency (GVariantBuilder *now, GVariantBuilder *baseline, const HealthLatency *latency)
{
  g_autofree char *code = g_strdup_printf ("0x%x", latency->figures.kind);
  const char *known = names_get_command (latency->figures.kind);
  const char *name = known != NULL ? known : code;

  g_variant_builder_add (now, "{s(uuu)}", name, latency->figures.p50_us, latency->figures.p95_us,
                         latency->figures.max_us);
  if (latency->baseline_us != 0)
    g_variant_builder_add (baseline, "{su}", name, latency->baseline_us);
}

/* @totals: of commands that the chip has refused one at least */
static GVariant *
make_last_error (const LatencyTotals *totals)
{
  g_autofree char *code = g_strdup_printf ("0x%x", totals->last_kind);
  g_autofree char *meaning = rc_to_string (totals->last_code);
  const char *known = names_get_command (totals->last_kind);
  g_autofree char *text =
      g_strdup_printf ("%s: %s (0x%x)", known != NULL ? known : code, meaning, totals->last_code);

  return g_variant_new ("(uts)", totals->last_code, (guint64)totals->last_time,
                        totals->last_time != 0 ? text : "");
}

void
health_properties_show_reading (GgtpmHealth *skeleton, Monitor *monitor)
{
  const HealthFacts *facts = monitor_get_facts (monitor);
  const LatencyTotals *totals = &facts->totals;
  GVariantBuilder now = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{s(uuu)}"));
  GVariantBuilder baseline = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{su}"));

  ggtpm_health_set_last_check (skeleton, (guint64)monitor_get_last_check (monitor));
  for (guint i = 0; facts->latencies != NULL && i < facts->latencies->len; i++)
    add_latency (&now, &baseline, &g_array_index (facts->latencies, HealthLatency, i));
  ggtpm_health_set_command_count (skeleton, totals->done + totals->failed);
  ggtpm_health_set_error_count (skeleton, totals->failed);
  ggtpm_health_set_last_error (skeleton, make_last_error (totals));
  ggtpm_health_set_latency_us (skeleton, g_variant_builder_end (&now));
  ggtpm_health_set_latency_baseline_us (skeleton, g_variant_builder_end (&baseline));
}

void
health_properties_show (GgtpmHealth *skeleton, Monitor *monitor)
{
  const HealthFacts *facts = monitor_get_facts (monitor);

  ggtpm_health_set_state (skeleton, health_state_to_string (monitor_get_state (monitor)));
  ggtpm_health_set_issues (skeleton, make_issues (monitor_get_issues (monitor)));
  ggtpm_health_set_rules (skeleton, make_rules (monitor));
  show_variable (skeleton, &facts->variable);
  ggtpm_health_set_last_shutdown_orderly (skeleton, facts->last_shutdown_orderly);
  ggtpm_health_set_self_test_result (skeleton, facts->test_result);
  ggtpm_health_set_self_test_text (skeleton, describe_test_result (facts));
  ggtpm_health_set_healings (skeleton, make_healings (monitor));
  show_foresight (skeleton, facts);
}
