/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "health-object.h"

#include "bus/chip-call.h"
#include "bus/health-properties.h"
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

/* ---- what the monitor tells ---- */

static void
on_checked (Monitor *monitor, gpointer user_data)
{
  HealthObject *object = user_data;

  health_properties_show_reading (object->skeleton, monitor);
}

static void
on_changed (Monitor *monitor, gpointer user_data)
{
  HealthObject *object = user_data;

  health_properties_show (object->skeleton, monitor);
}

static void
on_healed (Monitor *monitor, const char *action, GVariant *details, gpointer user_data)
{
  HealthObject *object = user_data;

  g_hash_table_replace (object->healed, g_strdup (action), g_variant_ref (details));
  on_changed (monitor, object);
}

/* ---- methods ---- */

static void
check_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GDBusMethodInvocation *invocation = user_data;
  HealthState state = monitor_get_state ((Monitor *)source);
  GError *error = NULL;

  if (!monitor_check_finish (result, &error))
    reply_error (invocation, error);
  else
    ggtpm_health_complete_check (NULL, invocation, health_state_to_string (state));
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
    monitor_check_async (object->monitor, NULL, check_done, invocation);
  return TRUE;
}

static void
reset_lockout_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GDBusMethodInvocation *invocation = user_data;
  GError *error = NULL;

  if (!monitor_reset_lockout_finish (result, &error))
    reply_error (invocation, error);
  else
    ggtpm_health_complete_reset_lockout (NULL, invocation);
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
    monitor_reset_lockout_async (object->monitor, NULL, reset_lockout_done, invocation);
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
  on_changed (monitor, object);
  on_checked (monitor, object);
  g_object_connect (monitor, "signal::checked", on_checked, object, "signal::changed", on_changed,
                    object, "signal::healed", on_healed, object, NULL);
  g_object_connect (object->skeleton, "signal::handle-check", handle_check, object,
                    "signal::handle-reset-lockout", handle_reset_lockout, object,
                    "signal::handle-self-test", handle_self_test, object,
                    "signal::handle-get-test-result", handle_get_test_result, object, NULL);
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
