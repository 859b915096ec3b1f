/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "rules-private.h"

#include "tpm/vendor.h"

/* Fewer tries than this are used up by power cuts alone (systemd issue 20668: a Steam Deck has 3). */
#define TRIES_MIN 8
/* Cuts in a day from which on it is a habit. */
#define CUTS_A_DAY 3

/* ---- the counter ---- */

static gboolean
is_permanent (const HealthFacts *facts, TPMA_PERMANENT bit)
{
  return (facts->variable.permanent & bit) != 0;
}

RuleVerdict
rules_judge_lockout_active (const HealthFacts *facts, gint64 now, char **out_text)
{
  const VariableProperties *variable = &facts->variable;
  g_autofree char *end = NULL;

  if (!facts->have_variable)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (!is_permanent (facts, TPMA_PERMANENT_INLOCKOUT))
    return RULE_OK;
  end = variable->lockout_interval != 0
            ? g_strdup_printf ("it allows one more in at most %u s", variable->lockout_interval)
            : g_strdup ("only a reset ends this");
  return rules_say (RULE_ISSUE, out_text,
                    "the TPM is in lockout: it refuses authorisations after %u that failed or were "
                    "cut off by a loss of power (limit %u); %s",
                    variable->lockout_counter, variable->max_auth_fail, end);
}

RuleVerdict
rules_judge_lockout_near (const HealthFacts *facts, gint64 now, char **out_text)
{
  const VariableProperties *variable = &facts->variable;

  if (!facts->have_variable)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (is_permanent (facts, TPMA_PERMANENT_INLOCKOUT) || variable->lockout_counter == 0 ||
      variable->lockout_counter < (variable->max_auth_fail + 1) / 2)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text,
                    "%u of %u failed authorisations are used up; at %u the TPM locks up",
                    variable->lockout_counter, variable->max_auth_fail, variable->max_auth_fail);
}

static gint64
foresee (const HealthFacts *facts, gint64 now)
{
  return trend_record_foresee (&facts->trend, facts->variable.lockout_counter,
                               facts->variable.max_auth_fail, now);
}

/* Half of the tries are gone, or are not: it is the pace that tells. */
RuleVerdict
rules_judge_lockout_foreseen (const HealthFacts *facts, gint64 now, char **out_text)
{
  gint64 end;

  if (!facts->have_variable)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (is_permanent (facts, TPMA_PERMANENT_INLOCKOUT))
    return rules_say (RULE_NOT_APPLICABLE, out_text, "it has come");
  end = foresee (facts, now);
  if (end == 0)
    return RULE_OK;
  return rules_say (
      RULE_ISSUE, out_text,
      "%u authorisations have failed in the last 24 hours: at this pace the TPM locks up in %" G_GINT64_FORMAT
      " minutes",
      trend_record_count_recent (&facts->trend, now), (end - now + 59) / 60);
}

void
rules_add_trend_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  rules_add_lockout_evidence (facts, evidence);
  rules_add_uint (evidence, "rises", facts->trend.n_rises);
}

/* Writes @out_text if @value is not what was configured; 0: nothing was */
static gboolean
has_drifted (const char *what, guint configured, guint32 value, char **out_text)
{
  if (configured == 0 || configured == value)
    return FALSE;
  *out_text = g_strdup_printf ("the TPM's %s is %u, and should be %u", what, value, configured);
  return TRUE;
}

RuleVerdict
rules_judge_lockout_policy (const HealthFacts *facts, gint64 now, char **out_text)
{
  const VariableProperties *variable = &facts->variable;
  const LockoutPolicy *policy = &facts->policy;

  if (!facts->have_variable)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (has_drifted ("limit of failed authorisations", policy->max, variable->max_auth_fail,
                   out_text) ||
      has_drifted ("time to forget one of them", policy->interval_s, variable->lockout_interval,
                   out_text) ||
      has_drifted ("time to recover from a wrong lockout auth", policy->recovery_s,
                   variable->lockout_recovery, out_text))
    return RULE_ISSUE;
  if (policy->max == 0 && facts->have_fixed && vendor_is_software (&facts->fixed))
    return rules_say (RULE_NOT_APPLICABLE, out_text, "nothing is configured for this software TPM");
  if (variable->max_auth_fail >= TRIES_MIN || policy->max != 0)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text,
                    "the TPM locks up after %u failed authorisations: power cuts alone bring it "
                    "there",
                    variable->max_auth_fail);
}

void
rules_add_lockout_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  rules_add_uint (evidence, "lockout-counter", facts->variable.lockout_counter);
  rules_add_uint (evidence, "lockout-max", facts->variable.max_auth_fail);
  rules_add_uint (evidence, "lockout-interval", facts->variable.lockout_interval);
  rules_add_uint (evidence, "lockout-recovery", facts->variable.lockout_recovery);
}

/* ---- the lockout auth ---- */

RuleVerdict
rules_judge_auth_unset (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (!facts->have_variable || facts->store == NULL)
    return rules_say (RULE_UNKNOWN, out_text, "TPM or key store have not been read");
  if (facts->store->n_tokens == 0)
    return rules_say (RULE_NOT_APPLICABLE, out_text, "nothing has been provisioned");
  if (is_permanent (facts, TPMA_PERMANENT_LOCKOUTAUTHSET))
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text,
                    "the lockout auth is empty: who reaches the TPM may clear it, keys and all");
}

RuleVerdict
rules_judge_auth_unknown (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (!facts->have_variable)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (!is_permanent (facts, TPMA_PERMANENT_LOCKOUTAUTHSET) || facts->lockout_auth_known)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text,
                    "a lockout auth is set that ggtpmd does not know: it cannot reset a lockout");
}

RuleVerdict
rules_judge_auth_locked (const HealthFacts *facts, gint64 now, char **out_text)
{
  gint64 end = lockout_record_get_end (&facts->lockout);

  if (!facts->have_variable)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (facts->lockout.refused == 0 || (end != 0 && now >= end))
    return RULE_OK;
  return rules_say (
      RULE_ISSUE, out_text,
      "the TPM has refused to reset the lockout counter (0x%08x): ggtpmd cannot heal a lockout",
      facts->lockout.refused);
}

void
rules_add_refusal_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  rules_add_uint (evidence, "refused-with", facts->lockout.refused);
  g_variant_dict_insert (evidence, "refused-at", "t", (guint64)facts->lockout.refused_at);
  g_variant_dict_insert (evidence, "locked-until", "t",
                         (guint64)lockout_record_get_end (&facts->lockout));
}

void
rules_add_permanent_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  rules_add_uint (evidence, "permanent", facts->variable.permanent);
}

/* ---- power ---- */

RuleVerdict
rules_judge_power_habit (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (!facts->have_run)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (power_record_count_today (&facts->power, now) < CUTS_A_DAY)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text,
                    "the TPM loses its power without notice (TPM2_Shutdown) again and again: "
                    "%" G_GUINT64_FORMAT " times in all, %d and more of them in a day",
                    facts->power.n_unclean, CUTS_A_DAY);
}

RuleVerdict
rules_judge_power_cut (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (!facts->have_last_shutdown)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (facts->last_shutdown_orderly)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text,
                    "the TPM lost its power without notice (TPM2_Shutdown) the last time");
}

void
rules_add_power_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  g_variant_dict_insert (evidence, "orderly", "b", facts->last_shutdown_orderly);
  g_variant_dict_insert (evidence, "unclean-shutdowns", "t", facts->power.n_unclean);
}
