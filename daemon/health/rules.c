/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "rules.h"

/* A self-test that takes longer than this is worth telling: chips need one or two seconds. */
#define TESTING_PATIENCE_S 10

typedef struct
{
  const char *id;
  HealthState severity;
  gboolean (*is_active) (const HealthFacts *facts, gint64 now);
  char *(*get_text) (const HealthFacts *facts);
  void (*add_evidence) (const HealthFacts *facts, GVariantDict *evidence);
  const char *remedy;
} Rule;

static void
add_uint (GVariantDict *evidence, const char *key, guint32 value)
{
  g_variant_dict_insert (evidence, key, "u", value);
}

/* The device node. The broker has looked at it and has said why. */

static gboolean
is_device_missing (const HealthFacts *facts, gint64 now)
{
  return facts->device == HEALTH_DEVICE_MISSING;
}

static gboolean
is_device_busy (const HealthFacts *facts, gint64 now)
{
  return facts->device == HEALTH_DEVICE_BUSY;
}

static gboolean
is_device_io (const HealthFacts *facts, gint64 now)
{
  return facts->device == HEALTH_DEVICE_IO;
}

static char *
get_device_text (const HealthFacts *facts)
{
  if (facts->device_reason != NULL && *facts->device_reason != '\0')
    return g_strdup (facts->device_reason);
  return g_strdup ("the TPM cannot be used");
}

static void
add_device_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  if (facts->device_reason != NULL)
    g_variant_dict_insert (evidence, "reason", "s", facts->device_reason);
}

/* What the chip is. */

static gboolean
is_not20 (const HealthFacts *facts, gint64 now)
{
  return facts->have_fixed && !g_str_equal (facts->fixed.family, "2.0");
}

static char *
get_not20_text (const HealthFacts *facts)
{
  return g_strdup_printf ("this is not a TPM 2.0: it calls itself '%s'", facts->fixed.family);
}

static void
add_family_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  g_variant_dict_insert (evidence, "family", "s", facts->fixed.family);
}

/* Its self-test. */

static gboolean
is_failure_mode (const HealthFacts *facts, gint64 now)
{
  return facts->have_test_result && facts->test_result == TPM2_RC_FAILURE;
}

static char *
get_failure_mode_text (const HealthFacts *facts)
{
  return g_strdup (
      "the TPM is in failure mode: it has found a fault in itself and does nothing more");
}

static gboolean
is_selftest_pending (const HealthFacts *facts, gint64 now)
{
  return facts->have_test_result && facts->test_result == TPM2_RC_TESTING &&
         facts->testing_since != 0 && now - facts->testing_since >= TESTING_PATIENCE_S;
}

static char *
get_selftest_pending_text (const HealthFacts *facts)
{
  return g_strdup ("the TPM does not come to an end with its self-test");
}

static void
add_test_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  add_uint (evidence, "test-result", facts->test_result);
  if (facts->testing_since != 0)
    g_variant_dict_insert (evidence, "testing-since", "t", (guint64)facts->testing_since);
}

/* Its hierarchies. */

static gboolean
is_storage_disabled (const HealthFacts *facts, gint64 now)
{
  return facts->have_variable && (facts->variable.startup_clear & TPMA_STARTUP_CLEAR_SHENABLE) == 0;
}

static char *
get_storage_disabled_text (const HealthFacts *facts)
{
  return g_strdup ("the storage hierarchy is disabled: no key can be made or used");
}

static gboolean
is_endorsement_disabled (const HealthFacts *facts, gint64 now)
{
  return facts->have_variable && !is_storage_disabled (facts, now) &&
         (facts->variable.startup_clear & TPMA_STARTUP_CLEAR_EHENABLE) == 0;
}

static char *
get_endorsement_disabled_text (const HealthFacts *facts)
{
  return g_strdup ("the endorsement hierarchy is disabled: the TPM cannot prove what it is");
}

static void
add_startup_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  add_uint (evidence, "startup-clear", facts->variable.startup_clear);
}

/* Its dictionary-attack protection. */

static gboolean
is_lockout_active (const HealthFacts *facts, gint64 now)
{
  return facts->have_variable && (facts->variable.permanent & TPMA_PERMANENT_INLOCKOUT) != 0;
}

static char *
get_lockout_active_text (const HealthFacts *facts)
{
  const VariableProperties *variable = &facts->variable;
  g_autofree char *end =
      variable->lockout_interval != 0
          ? g_strdup_printf ("it allows one more in at most %u s", variable->lockout_interval)
          : g_strdup ("only a reset ends this");

  return g_strdup_printf (
      "the TPM is in lockout: it refuses authorisations after %u that failed or were cut off "
      "by a loss of power (limit %u); %s",
      variable->lockout_counter, variable->max_auth_fail, end);
}

static gboolean
is_lockout_near (const HealthFacts *facts, gint64 now)
{
  const VariableProperties *variable = &facts->variable;

  return facts->have_variable && !is_lockout_active (facts, now) && variable->lockout_counter > 0 &&
         variable->lockout_counter >= (variable->max_auth_fail + 1) / 2;
}

static char *
get_lockout_near_text (const HealthFacts *facts)
{
  return g_strdup_printf ("%u of %u failed authorisations are used up; at %u the TPM locks up",
                          facts->variable.lockout_counter, facts->variable.max_auth_fail,
                          facts->variable.max_auth_fail);
}

static void
add_lockout_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  add_uint (evidence, "lockout-counter", facts->variable.lockout_counter);
  add_uint (evidence, "lockout-max", facts->variable.max_auth_fail);
  add_uint (evidence, "lockout-interval", facts->variable.lockout_interval);
  add_uint (evidence, "lockout-recovery", facts->variable.lockout_recovery);
}

static gboolean
is_lockout_auth_unknown (const HealthFacts *facts, gint64 now)
{
  return facts->have_variable && (facts->variable.permanent & TPMA_PERMANENT_LOCKOUTAUTHSET) != 0 &&
         !facts->lockout_auth_known;
}

static char *
get_lockout_auth_unknown_text (const HealthFacts *facts)
{
  return g_strdup ("a lockout auth is set that ggtpmd does not know: it cannot reset a lockout");
}

static gboolean
is_lockout_auth_locked (const HealthFacts *facts, gint64 now)
{
  gint64 end = lockout_record_get_end (&facts->lockout);

  return facts->have_variable && facts->lockout.refused != 0 && (end == 0 || now < end);
}

static char *
get_lockout_auth_locked_text (const HealthFacts *facts)
{
  return g_strdup_printf (
      "the TPM has refused to reset the lockout counter (0x%08x): ggtpmd cannot heal a lockout",
      facts->lockout.refused);
}

static void
add_refusal_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  add_uint (evidence, "refused-with", facts->lockout.refused);
  g_variant_dict_insert (evidence, "refused-at", "t", (guint64)facts->lockout.refused_at);
  g_variant_dict_insert (evidence, "locked-until", "t",
                         (guint64)lockout_record_get_end (&facts->lockout));
}

static void
add_permanent_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  add_uint (evidence, "permanent", facts->variable.permanent);
}

/* Its power. */

/* Cuts in a day from which on it is a habit. */
#define CUTS_A_DAY 3

static gboolean
is_power_often_unclean (const HealthFacts *facts, gint64 now)
{
  return facts->have_run && power_record_count_today (&facts->power, now) >= CUTS_A_DAY;
}

static char *
get_power_often_unclean_text (const HealthFacts *facts)
{
  return g_strdup_printf (
      "the TPM loses its power without notice (TPM2_Shutdown) again and again: %" G_GUINT64_FORMAT
      " times in all, %d and more of them in a day",
      facts->power.n_unclean, CUTS_A_DAY);
}

static gboolean
is_power_unclean (const HealthFacts *facts, gint64 now)
{
  return facts->have_last_shutdown && !facts->last_shutdown_orderly &&
         !is_power_often_unclean (facts, now);
}

static char *
get_power_unclean_text (const HealthFacts *facts)
{
  return g_strdup ("the TPM lost its power without notice (TPM2_Shutdown) the last time");
}

static void
add_power_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  g_variant_dict_insert (evidence, "orderly", "b", facts->last_shutdown_orderly);
  g_variant_dict_insert (evidence, "unclean-shutdowns", "t", facts->power.n_unclean);
}

/* Whether it is the chip that it was. */

static gboolean
is_identity_changed (const HealthFacts *facts, gint64 now)
{
  return facts->have_run && facts->went_back;
}

static char *
get_identity_changed_text (const HealthFacts *facts)
{
  return g_strdup (
      "the TPM counts fewer resets than before: it was cleared, or it is another one; keys that were "
      "made before are lost");
}

static void
add_identity_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  add_uint (evidence, "reset-count", facts->power.reset_count);
}

/* Its room. */

/* A key store needs one for its primary, a repair of it one more. */
#define PERSISTENT_RESERVE 2

static gboolean
is_room_low (const HealthFacts *facts, gint64 now)
{
  return facts->have_variable && facts->variable.persistent_available < PERSISTENT_RESERVE;
}

static char *
get_room_low_text (const HealthFacts *facts)
{
  return g_strdup_printf ("the TPM has room for %u more persistent objects, it holds %u",
                          facts->variable.persistent_available, facts->variable.persistent);
}

static void
add_room_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  add_uint (evidence, "persistent", facts->variable.persistent);
  add_uint (evidence, "persistent-available", facts->variable.persistent_available);
  add_uint (evidence, "nv-indices", facts->variable.nv_indices);
}

/*
 * Order does not matter. Sources: the device's three are what people meet first with eltt2 and tpm2-tools on a busy or
 * absent /dev/tpm0; the others are named at each.
 */
static const Rule rules[] = {
  { "device.missing", HEALTH_STATE_FAILED, is_device_missing, get_device_text, add_device_evidence,
    "Check that the TPM is fitted, switched on in the firmware and named in the device tree "
    "(dtoverlay=tpm-slb9670), then see `dmesg | grep tpm`." },
  { "device.busy", HEALTH_STATE_FAILED, is_device_busy, get_device_text, add_device_evidence,
    "Stop the program that holds the device (`fuser -v /dev/tpm0`), usually tpm2-abrmd, or set "
    "Mode=alongside." },
  { "device.io", HEALTH_STATE_FAILED, is_device_io, get_device_text, add_device_evidence,
    "See `dmesg | grep tpm`; check the SPI wiring and the rights on the device node; switch the device off and "
    "on." },
  /* fwupd's org.fwupd.hsi.Tpm.Version20 */
  { "tpm.not20", HEALTH_STATE_FAILED, is_not20, get_not20_text, add_family_evidence,
    "Use a TPM 2.0." },
  /* TPM 2.0 Library Part 1, 12.4: only TPM2_GetTestResult and some of TPM2_GetCapability still answer. Left by
   * _TPM_Init only. */
  { "tpm.failure_mode", HEALTH_STATE_FAILED, is_failure_mode, get_failure_mode_text,
    add_test_evidence,
    "Switch the device off and on again; if it comes back, the chip is broken." },
  /* Part 3, 10.4: TPM_RC_TESTING */
  { "tpm.selftest_pending", HEALTH_STATE_DEGRADED, is_selftest_pending, get_selftest_pending_text,
    add_test_evidence, "Wait a minute; if it stays, switch the device off and on again." },
  /* Part 2, 8.7 (TPMA_STARTUP_CLEAR); as canonical/secboot checks before it provisions */
  { "tpm.hierarchy_disabled", HEALTH_STATE_FAILED, is_storage_disabled, get_storage_disabled_text,
    add_startup_evidence,
    "Enable it in the firmware's set-up, or switch the device off and on again." },
  { "tpm.hierarchy_disabled", HEALTH_STATE_DEGRADED, is_endorsement_disabled,
    get_endorsement_disabled_text, add_startup_evidence,
    "Enable it in the firmware's set-up, or switch the device off and on again." },
  /* Part 1, 19.8; Windows' Get-Tpm LockedOut */
  { "lockout.active", HEALTH_STATE_FAILED, is_lockout_active, get_lockout_active_text,
    add_lockout_evidence,
    "Wait, or reset it: org.ggtpm1.Health.ResetLockout, or restart ggtpmd. Then find who uses a wrong PIN." },
  /* Part 1, 19.8: also an unclean shutdown after a DA-protected authorisation counts, so that power cuts alone lead
   * here (tpm2-tss issue 2400, tpm2-tools issue 3371) */
  { "lockout.near", HEALTH_STATE_DEGRADED, is_lockout_near, get_lockout_near_text,
    add_lockout_evidence,
    "Find who uses a wrong PIN or cuts the power; reset the counter with org.ggtpm1.Health.ResetLockout." },
  /* One wrong lockoutAuth locks the lockout hierarchy (Part 1, 19.8; tpm2-tools issue 2257), so we do not guess. */
  { "lockout.auth_unknown", HEALTH_STATE_OK, is_lockout_auth_unknown, get_lockout_auth_unknown_text,
    add_permanent_evidence,
    "Reset lockouts with the owner's tool, or remove the lockout auth "
    "(`tpm2_changeauth -c lockout -p OLD`)." },
  /* Part 1, 19.8: GetCapability does not show it, only what a reset was answered with does (canonical/secboot 415) */
  { "lockout.auth_locked", HEALTH_STATE_DEGRADED, is_lockout_auth_locked,
    get_lockout_auth_locked_text, add_refusal_evidence,
    "Wait until it is tried again (LockoutAuthLockedUntil), or clear the TPM in the firmware's set-up; find out "
    "who has tried a wrong lockout auth." },
  /* Part 1, 36.4: resetCount only grows, until TPM2_Clear */
  { "identity.changed", HEALTH_STATE_FAILED, is_identity_changed, get_identity_changed_text,
    add_identity_evidence, "Provision the device anew, or put the former TPM back." },
  /* Part 2, 6.13: TPM_PT_HR_PERSISTENT_AVAIL */
  { "resources.low", HEALTH_STATE_DEGRADED, is_room_low, get_room_low_text, add_room_evidence,
    "Remove persistent objects that nobody uses (`tpm2_getcap handles-persistent`, "
    "`tpm2_evictcontrol`)." },
  { "power.unclean", HEALTH_STATE_DEGRADED, is_power_often_unclean, get_power_often_unclean_text,
    add_power_evidence, "Look for what cuts the power; each cut may count towards a lockout." },
  /* Part 2, 8.7: TPMA_STARTUP_CLEAR.orderly */
  { "power.unclean", HEALTH_STATE_OK, is_power_unclean, get_power_unclean_text, add_power_evidence,
    "Shut the system down before the power is cut; each cut may count towards a lockout." },
};

void
health_issue_free (HealthIssue *issue)
{
  if (issue == NULL)
    return;
  g_free (issue->text);
  g_variant_unref (issue->evidence);
  g_free (issue);
}

static gint64
get_since (GPtrArray *known, const char *id, HealthState severity, gint64 now)
{
  for (guint i = 0; known != NULL && i < known->len; i++)
    {
      const HealthIssue *issue = g_ptr_array_index (known, i);

      if (g_str_equal (issue->id, id) && issue->severity == severity)
        return issue->since;
    }
  return now;
}

static HealthIssue *
new_issue (const Rule *rule, const HealthFacts *facts, gint64 now, GPtrArray *known)
{
  HealthIssue *issue = g_new0 (HealthIssue, 1);
  g_auto (GVariantDict) evidence = G_VARIANT_DICT_INIT (NULL);

  rule->add_evidence (facts, &evidence);
  issue->id = rule->id;
  issue->severity = rule->severity;
  issue->text = rule->get_text (facts);
  issue->remedy = rule->remedy;
  issue->since = get_since (known, rule->id, rule->severity, now);
  issue->evidence = g_variant_ref_sink (g_variant_dict_end (&evidence));
  return issue;
}

static HealthState
parse_severity (const char *severity)
{
  if (g_str_equal (severity, "failed"))
    return HEALTH_STATE_FAILED;
  return g_str_equal (severity, "degraded") ? HEALTH_STATE_DEGRADED : HEALTH_STATE_OK;
}

static HealthIssue *
new_advisory_issue (const Advisory *advisory,
                    const HealthFacts *facts,
                    gint64 now,
                    GPtrArray *known)
{
  HealthIssue *issue = g_new0 (HealthIssue, 1);
  g_auto (GVariantDict) evidence = G_VARIANT_DICT_INIT (NULL);

  add_uint (&evidence, "firmware-1", facts->fixed.firmware_1);
  add_uint (&evidence, "firmware-2", facts->fixed.firmware_2);
  g_variant_dict_insert (&evidence, "source", "s", advisory->source);
  issue->id = advisory->id;
  issue->severity = parse_severity (advisory->severity);
  issue->text = g_strdup (advisory->text);
  issue->remedy = advisory->remedy;
  issue->since = get_since (known, advisory->id, issue->severity, now);
  issue->evidence = g_variant_ref_sink (g_variant_dict_end (&evidence));
  return issue;
}

static void
add_advisories (const HealthFacts *facts, gint64 now, GPtrArray *known, GPtrArray *issues)
{
  for (guint i = 0; facts->advisories != NULL && i < facts->advisories->len; i++)
    {
      const Advisory *advisory = g_ptr_array_index (facts->advisories, i);

      if (advisory_judge (advisory, facts->have_fixed, &facts->fixed) == ADVISORY_AFFECTED)
        g_ptr_array_add (issues, new_advisory_issue (advisory, facts, now, known));
    }
}

static int
compare_issues (gconstpointer a, gconstpointer b)
{
  const HealthIssue *one = *(HealthIssue *const *)a;
  const HealthIssue *other = *(HealthIssue *const *)b;

  if (one->severity != other->severity)
    return one->severity > other->severity ? -1 : 1;
  return strcmp (one->id, other->id);
}

GPtrArray *
rules_evaluate (const HealthFacts *facts, gint64 now, GPtrArray *known)
{
  GPtrArray *issues = g_ptr_array_new_with_free_func ((GDestroyNotify)health_issue_free);

  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
    if (rules[i].is_active (facts, now))
      g_ptr_array_add (issues, new_issue (&rules[i], facts, now, known));
  add_advisories (facts, now, known, issues);
  g_ptr_array_sort (issues, compare_issues);
  return issues;
}

HealthState
rules_get_state (const HealthFacts *facts, GPtrArray *issues)
{
  gboolean all_read = facts->device == HEALTH_DEVICE_OK && facts->have_fixed &&
                      facts->have_variable && facts->have_test_result;
  HealthState state = all_read ? HEALTH_STATE_OK : HEALTH_STATE_UNKNOWN;

  for (guint i = 0; i < issues->len; i++)
    {
      const HealthIssue *issue = g_ptr_array_index (issues, i);

      if (issue->severity > HEALTH_STATE_OK)
        state = MAX (state, issue->severity);
    }
  return state;
}

const char *
health_state_to_string (HealthState state)
{
  switch (state)
    {
    case HEALTH_STATE_OK:
      return "ok";
    case HEALTH_STATE_DEGRADED:
      return "degraded";
    case HEALTH_STATE_FAILED:
      return "failed";
    case HEALTH_STATE_UNKNOWN:
    default:
      return "unknown";
    }
}

const char *
health_severity_to_string (HealthState severity)
{
  return severity == HEALTH_STATE_OK ? "info" : health_state_to_string (severity);
}
