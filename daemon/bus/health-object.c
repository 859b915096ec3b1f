/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "health-object.h"

#include "bus/chip-call.h"
#include "bus/options.h"
#include "bus/reply.h"
#include "ggtpm-generated.h"
#include "tpm/diagnosis.h"
#include "tpm/names.h"
#include "tpm/rc.h"

/* Changes are told at most once in this time: a chip that comes and goes is no storm on the bus. */
#define TELL_INTERVAL_US G_USEC_PER_SEC

/*
 * The properties' values are always the latest. While `frozen`, what has changed is not told, and what signals are to
 * be sent waits in `signals`: first the properties, then the signals that send people to read them.
 */
struct _HealthObject
{
  const Context *context;
  Monitor *monitor;
  GgtpmHealth *skeleton;
  gboolean frozen;
  guint timer;
  gint64 last_told_us; /* monotonic; 0: never */
  GPtrArray *signals;  /* of Signal */
};

typedef struct
{
  const char *name;
  GVariant *arguments;
} Signal;

static void
signal_free (gpointer data)
{
  Signal *signal = data;

  g_variant_unref (signal->arguments);
  g_free (signal);
}

/* ---- telling ---- */

static void
emit_signal (HealthObject *object, const Signal *signal)
{
  GDBusInterfaceSkeleton *skeleton = G_DBUS_INTERFACE_SKELETON (object->skeleton);
  const char *path = g_dbus_interface_skeleton_get_object_path (skeleton);
  GList *connections = g_dbus_interface_skeleton_get_connections (skeleton);

  for (GList *each = connections; each != NULL; each = each->next)
    g_dbus_connection_emit_signal (each->data, NULL, path,
                                   g_dbus_interface_skeleton_get_info (skeleton)->name,
                                   signal->name, signal->arguments, NULL);
  g_list_free_full (connections, g_object_unref);
}

static gboolean
on_tell (gpointer user_data)
{
  HealthObject *object = user_data;

  object->timer = 0;
  object->frozen = FALSE;
  object->last_told_us = g_get_monotonic_time ();
  g_object_thaw_notify (G_OBJECT (object->skeleton));
  g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (object->skeleton));
  for (guint i = 0; i < object->signals->len; i++)
    emit_signal (object, object->signals->pdata[i]);
  g_ptr_array_set_size (object->signals, 0);
  return G_SOURCE_REMOVE;
}

/* Before any change of a property. All that one look at the chip has changed is told together. */
static void
tell_later (HealthObject *object)
{
  gint64 wait = object->last_told_us + TELL_INTERVAL_US - g_get_monotonic_time ();

  if (object->frozen)
    return;
  object->frozen = TRUE;
  g_object_freeze_notify (G_OBJECT (object->skeleton));
  if (object->last_told_us == 0 || wait <= 0)
    object->timer = g_idle_add_full (G_PRIORITY_DEFAULT, on_tell, object, NULL);
  else
    object->timer = g_timeout_add ((guint)(wait / 1000) + 1, on_tell, object);
}

/* @arguments: floating */
static void
queue_signal (HealthObject *object, const char *name, GVariant *arguments)
{
  Signal *signal = g_new0 (Signal, 1);

  signal->name = name;
  signal->arguments = g_variant_ref_sink (arguments);
  g_ptr_array_add (object->signals, signal);
  tell_later (object);
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
make_advisories (const HealthFacts *facts)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(ssss)"));
  for (guint i = 0; facts->advisories != NULL && i < facts->advisories->len; i++)
    {
      const Advisory *advisory = g_ptr_array_index (facts->advisories, i);
      AdvisoryVerdict verdict = advisory_judge (advisory, facts->have_fixed, &facts->fixed);

      g_variant_builder_add (&builder, "(ssss)", advisory->id, advisory_verdict_to_string (verdict),
                             advisory->text, advisory->source);
    }
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

/* Properties of which no change is told. */
static void
on_checked (Monitor *monitor, gpointer user_data)
{
  HealthObject *object = user_data;
  GArray *latencies = monitor_get_facts (monitor)->latencies;
  GVariantBuilder now = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{s(uuu)}"));
  GVariantBuilder baseline = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{su}"));

  ggtpm_health_set_last_check (object->skeleton, (guint64)monitor_get_last_check (monitor));
  for (guint i = 0; latencies != NULL && i < latencies->len; i++)
    add_latency (&now, &baseline, &g_array_index (latencies, HealthLatency, i));
  ggtpm_health_set_latency_us (object->skeleton, g_variant_builder_end (&now));
  ggtpm_health_set_latency_baseline_us (object->skeleton, g_variant_builder_end (&baseline));
}

static void
show (HealthObject *object)
{
  GgtpmHealth *skeleton = object->skeleton;
  const HealthFacts *facts = monitor_get_facts (object->monitor);

  tell_later (object);
  ggtpm_health_set_state (skeleton, health_state_to_string (monitor_get_state (object->monitor)));
  ggtpm_health_set_issues (skeleton, make_issues (monitor_get_issues (object->monitor)));
  ggtpm_health_set_advisories (skeleton, make_advisories (facts));
  show_variable (skeleton, &facts->variable);
  ggtpm_health_set_last_shutdown_orderly (skeleton, facts->last_shutdown_orderly);
  ggtpm_health_set_self_test_result (skeleton, facts->test_result);
  ggtpm_health_set_self_test_text (skeleton, describe_test_result (facts));
  ggtpm_health_set_lockout_resets (skeleton, monitor_get_lockout_resets (object->monitor));
  show_foresight (skeleton, facts);
}

static void
on_state_changed (Monitor *monitor, int old_state, int new_state, gpointer user_data)
{
  HealthObject *object = user_data;

  show (object);
  queue_signal (object, "StateChanged",
                g_variant_new ("(ss)", health_state_to_string ((HealthState)old_state),
                               health_state_to_string ((HealthState)new_state)));
}

static void
on_issue_raised (Monitor *monitor, const HealthIssue *issue, gpointer user_data)
{
  queue_signal (user_data, "IssueRaised",
                g_variant_new ("(sss@a{sv})", issue->id,
                               health_severity_to_string (issue->severity), issue->text,
                               issue->evidence));
}

static void
on_issue_cleared (Monitor *monitor, const char *id, gpointer user_data)
{
  queue_signal (user_data, "IssueCleared", g_variant_new ("(s)", id));
}

static void
on_lockout_reset (Monitor *monitor, guint before, gpointer user_data)
{
  HealthObject *object = user_data;

  show (object);
  queue_signal (object, "LockoutReset", g_variant_new ("(u)", before));
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
  object->signals = g_ptr_array_new_with_free_func (signal_free);
  object->skeleton = gate_new_skeleton (context->gate, GGTPM_TYPE_HEALTH_SKELETON);
  show (object);
  on_checked (monitor, object);
  g_signal_connect (monitor, "checked", G_CALLBACK (on_checked), object);
  g_signal_connect_swapped (monitor, "changed", G_CALLBACK (show), object);
  g_signal_connect (monitor, "state-changed", G_CALLBACK (on_state_changed), object);
  g_signal_connect (monitor, "issue-raised", G_CALLBACK (on_issue_raised), object);
  g_signal_connect (monitor, "issue-cleared", G_CALLBACK (on_issue_cleared), object);
  g_signal_connect (monitor, "lockout-reset", G_CALLBACK (on_lockout_reset), object);
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
  g_clear_handle_id (&object->timer, g_source_remove);
  g_ptr_array_unref (object->signals);
  g_object_unref (object->skeleton);
  g_free (object);
}
