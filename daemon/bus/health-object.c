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

struct _HealthObject
{
  const Context *context;
  Monitor *monitor;
  GgtpmHealth *skeleton;
};

/* ---- properties ---- */

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

static void
show (HealthObject *object)
{
  GgtpmHealth *skeleton = object->skeleton;
  const HealthFacts *facts = monitor_get_facts (object->monitor);

  ggtpm_health_set_state (skeleton, health_state_to_string (monitor_get_state (object->monitor)));
  ggtpm_health_set_issues (skeleton, make_issues (monitor_get_issues (object->monitor)));
  ggtpm_health_set_last_check (skeleton, (guint64)monitor_get_last_check (object->monitor));
  show_variable (skeleton, &facts->variable);
  ggtpm_health_set_last_shutdown_orderly (skeleton, facts->last_shutdown_orderly);
  ggtpm_health_set_self_test_result (skeleton, facts->test_result);
  ggtpm_health_set_self_test_text (skeleton, describe_test_result (facts));
}

static void
on_state_changed (Monitor *monitor, int old_state, int new_state, gpointer user_data)
{
  HealthObject *object = user_data;

  show (object);
  /* first the properties, then the signal that sends people to read them */
  g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (object->skeleton));
  ggtpm_health_emit_state_changed (object->skeleton,
                                   health_state_to_string ((HealthState)old_state),
                                   health_state_to_string ((HealthState)new_state));
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
  object->skeleton = gate_new_skeleton (context->gate, GGTPM_TYPE_HEALTH_SKELETON);
  show (object);
  g_signal_connect_swapped (monitor, "changed", G_CALLBACK (show), object);
  g_signal_connect (monitor, "state-changed", G_CALLBACK (on_state_changed), object);
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
  g_object_unref (object->skeleton);
  g_free (object);
}
