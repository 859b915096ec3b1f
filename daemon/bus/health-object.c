/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "health-object.h"

#include "bus/chip-call.h"
#include "bus/options.h"
#include "bus/reply.h"
#include "bus/teller.h"
#include "ggtpm-generated.h"
#include "tpm/diagnosis.h"
#include "tpm/names.h"
#include "tpm/rc.h"

/* What the signals have said so far; nobody is told twice, and of what comes and goes nothing. */
struct _HealthObject
{
  const Context *context;
  Monitor *monitor;
  GgtpmHealth *skeleton;
  HealthState told_state;
  GHashTable *told_issues; /* id to severity (HealthState), of those that were raised */
  GHashTable *healed;      /* action to details (GVariant), since the last time */
};

/* ---- telling ---- */

static void
tell_cleared (HealthObject *object, GHashTable *now)
{
  GHashTableIter iter;
  gpointer id = NULL;

  g_hash_table_iter_init (&iter, object->told_issues);
  while (g_hash_table_iter_next (&iter, &id, NULL))
    if (!g_hash_table_contains (now, id))
      ggtpm_health_emit_issue_cleared (object->skeleton, id);
}

static gboolean
is_told (HealthObject *object, const HealthIssue *issue)
{
  gpointer severity = NULL;

  return g_hash_table_lookup_extended (object->told_issues, issue->id, NULL, &severity) &&
         GPOINTER_TO_INT (severity) == (gint)issue->severity;
}

static void
tell_issues (HealthObject *object)
{
  GPtrArray *issues = monitor_get_issues (object->monitor);
  g_autoptr (GHashTable) now = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < issues->len; i++)
    {
      const HealthIssue *issue = g_ptr_array_index (issues, i);

      g_hash_table_insert (now, g_strdup (issue->id), GINT_TO_POINTER (issue->severity));
    }
  tell_cleared (object, now);
  for (guint i = 0; i < issues->len; i++)
    {
      const HealthIssue *issue = g_ptr_array_index (issues, i);

      if (!is_told (object, issue))
        ggtpm_health_emit_issue_raised (object->skeleton, issue->id,
                                        health_severity_to_string (issue->severity), issue->text,
                                        issue->evidence);
    }
  g_hash_table_unref (object->told_issues);
  object->told_issues = g_steal_pointer (&now);
}

static void
tell_healed (HealthObject *object)
{
  GHashTableIter iter;
  gpointer action = NULL;
  gpointer details = NULL;

  g_hash_table_iter_init (&iter, object->healed);
  while (g_hash_table_iter_next (&iter, &action, &details))
    ggtpm_health_emit_healed (object->skeleton, action, details);
  g_hash_table_remove_all (object->healed);
}

/* After the properties, at most once a second: the signals send people to read them. */
static void
on_told (gpointer user_data)
{
  HealthObject *object = user_data;
  HealthState state = monitor_get_state (object->monitor);
  HealthState told = object->told_state;

  object->told_state = state;
  tell_healed (object);
  tell_issues (object);
  if (told != state)
    ggtpm_health_emit_state_changed (object->skeleton, health_state_to_string (told),
                                     health_state_to_string (state));
}

/* ---- properties ---- */

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

/* Properties of which no change is told. */
static void
on_checked (Monitor *monitor, gpointer user_data)
{
  HealthObject *object = user_data;
  GArray *latencies = monitor_get_facts (monitor)->latencies;
  const LatencyTotals *totals = &monitor_get_facts (monitor)->totals;
  GVariantBuilder now = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{s(uuu)}"));
  GVariantBuilder baseline = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{su}"));

  ggtpm_health_set_last_check (object->skeleton, (guint64)monitor_get_last_check (monitor));
  for (guint i = 0; latencies != NULL && i < latencies->len; i++)
    add_latency (&now, &baseline, &g_array_index (latencies, HealthLatency, i));
  ggtpm_health_set_command_count (object->skeleton, totals->done + totals->failed);
  ggtpm_health_set_error_count (object->skeleton, totals->failed);
  ggtpm_health_set_last_error (object->skeleton, make_last_error (totals));
  ggtpm_health_set_latency_us (object->skeleton, g_variant_builder_end (&now));
  ggtpm_health_set_latency_baseline_us (object->skeleton, g_variant_builder_end (&baseline));
}

static void
show (HealthObject *object)
{
  GgtpmHealth *skeleton = object->skeleton;
  const HealthFacts *facts = monitor_get_facts (object->monitor);

  ggtpm_health_set_state (skeleton, health_state_to_string (monitor_get_state (object->monitor)));
  ggtpm_health_set_issues (skeleton, make_issues (monitor_get_issues (object->monitor)));
  ggtpm_health_set_rules (skeleton, make_rules (object->monitor));
  show_variable (skeleton, &facts->variable);
  ggtpm_health_set_last_shutdown_orderly (skeleton, facts->last_shutdown_orderly);
  ggtpm_health_set_self_test_result (skeleton, facts->test_result);
  ggtpm_health_set_self_test_text (skeleton, describe_test_result (facts));
  ggtpm_health_set_healings (skeleton, make_healings (object->monitor));
  show_foresight (skeleton, facts);
}

static void
on_healed (Monitor *monitor, const char *action, GVariant *details, gpointer user_data)
{
  HealthObject *object = user_data;

  g_hash_table_replace (object->healed, g_strdup (action), g_variant_ref (details));
  show (object);
}

/* ---- methods ---- */

typedef struct
{
  GgtpmHealth *skeleton;
  GDBusMethodInvocation *invocation;
} Call;

static Call *
call_new (GgtpmHealth *skeleton, GDBusMethodInvocation *invocation)
{
  Call *call = g_new0 (Call, 1);

  call->skeleton = g_object_ref (skeleton);
  call->invocation = invocation;
  return call;
}

static void
call_free (Call *call)
{
  g_object_unref (call->skeleton);
  g_free (call);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Call, call_free)

static void
check_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  GError *error = NULL;

  if (!monitor_check_finish (result, &error))
    reply_error (call->invocation, error);
  else
    ggtpm_health_complete_check (call->skeleton, call->invocation,
                                 ggtpm_health_get_state (call->skeleton));
}

static gboolean
handle_check (GgtpmHealth *skeleton,
              GDBusMethodInvocation *invocation,
              GVariant *options,
              gpointer user_data)
{
  HealthObject *object = user_data;
  GError *error = NULL;

  if (!options_check_empty (options, &error))
    reply_error (invocation, error);
  else
    monitor_check_async (object->monitor, NULL, check_done, call_new (skeleton, invocation));
  return TRUE;
}

static void
reset_lockout_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  GError *error = NULL;

  if (!monitor_reset_lockout_finish (result, &error))
    reply_error (call->invocation, error);
  else
    ggtpm_health_complete_reset_lockout (call->skeleton, call->invocation);
}

static gboolean
handle_reset_lockout (GgtpmHealth *skeleton,
                      GDBusMethodInvocation *invocation,
                      GVariant *options,
                      gpointer user_data)
{
  HealthObject *object = user_data;
  GError *error = NULL;

  if (!options_check_empty (options, &error))
    reply_error (invocation, error);
  else
    monitor_reset_lockout_async (object->monitor, NULL, reset_lockout_done,
                                 call_new (skeleton, invocation));
  return TRUE;
}

static GVariant *
make_pending (const GArray *algorithms)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE_STRING_ARRAY);
  for (guint i = 0; algorithms != NULL && i < algorithms->len; i++)
    g_variant_builder_add_value (&builder, g_variant_new_take_string (names_describe_algorithm (
                                               g_array_index (algorithms, TPM2_ALG_ID, i))));
  return g_variant_builder_end (&builder);
}

static GVariant *
run_self_test (Tpm *tpm, GVariant *parameters, GError **error)
{
  g_autoptr (GArray) pending = NULL;
  const char *mode = NULL;
  TPM2_RC result = TPM2_RC_FAILURE;

  g_variant_get (parameters, "(&sa{sv})", &mode, NULL);
  if (g_str_equal (mode, "incremental"))
    {
      if (!diagnosis_test_incrementally (tpm, &result, &pending, error))
        return NULL;
    }
  else if (!diagnosis_self_test (tpm, g_str_equal (mode, "full"), &result, error))
    return NULL;
  return g_variant_new ("(u@as)", result, make_pending (pending));
}

static gboolean
handle_self_test (GgtpmHealth *skeleton,
                  GDBusMethodInvocation *invocation,
                  const char *mode,
                  GVariant *options,
                  gpointer user_data)
{
  static const char *const modes[] = { "full", "pending", "incremental", NULL };
  HealthObject *object = user_data;
  GError *error = NULL;

  if (!options_check_choice ("mode", mode, modes, &error) || !options_check_empty (options, &error))
    reply_error (invocation, error);
  else
    chip_call_start (object->context, invocation, run_self_test);
  return TRUE;
}

static GVariant *
run_get_test_result (Tpm *tpm, GVariant *parameters, GError **error)
{
  g_autoptr (GBytes) data = NULL;
  g_autofree char *text = NULL;
  TPM2_RC result = TPM2_RC_FAILURE;

  if (!diagnosis_read_test_result (tpm, &result, &data, error))
    return NULL;
  text = rc_to_string (result);
  return g_variant_new ("(us@ay)", result, text,
                        g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, data, TRUE));
}

static gboolean
handle_get_test_result (GgtpmHealth *skeleton,
                        GDBusMethodInvocation *invocation,
                        gpointer user_data)
{
  HealthObject *object = user_data;

  chip_call_start (object->context, invocation, run_get_test_result);
  return TRUE;
}

/* ---- the object ---- */

GDBusInterfaceSkeleton *
health_object_get_skeleton (HealthObject *object)
{
  return G_DBUS_INTERFACE_SKELETON (object->skeleton);
}

HealthObject *
health_object_new (const Context *context, Monitor *monitor)
{
  HealthObject *object = g_new0 (HealthObject, 1);

  object->context = context;
  object->monitor = monitor;
  object->told_issues = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  object->healed =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_variant_unref);
  object->skeleton = gate_new_skeleton (context->gate, GGTPM_TYPE_HEALTH_SKELETON);
  teller_set_told (object->skeleton, on_told, object);
  show (object);
  on_checked (monitor, object);
  g_signal_connect (monitor, "checked", G_CALLBACK (on_checked), object);
  g_signal_connect_swapped (monitor, "changed", G_CALLBACK (show), object);
  g_signal_connect (monitor, "healed", G_CALLBACK (on_healed), object);
  g_signal_connect (object->skeleton, "handle-check", G_CALLBACK (handle_check), object);
  g_signal_connect (object->skeleton, "handle-reset-lockout", G_CALLBACK (handle_reset_lockout),
                    object);
  g_signal_connect (object->skeleton, "handle-self-test", G_CALLBACK (handle_self_test), object);
  g_signal_connect (object->skeleton, "handle-get-test-result", G_CALLBACK (handle_get_test_result),
                    object);
  return object;
}

void
health_object_free (HealthObject *object)
{
  g_signal_handlers_disconnect_by_data (object->monitor, object);
  teller_set_told (object->skeleton, NULL, NULL);
  g_hash_table_unref (object->told_issues);
  g_hash_table_unref (object->healed);
  g_object_unref (object->skeleton);
  g_free (object);
}
