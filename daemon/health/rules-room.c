/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "rules-private.h"

/* A key store needs one for its primary, a repair of it one more. */
#define PERSISTENT_RESERVE 2
/* One client's login needs two, ESYS's parameter encryption one more. */
#define SESSIONS_RESERVE 4

#define NOT_TOLD "the TPM does not say how much room it has"

RuleVerdict
rules_judge_room (const HealthFacts *facts, gint64 now, char **out_text)
{
  const VariableProperties *variable = &facts->variable;

  if (!facts->have_variable)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (variable->persistent_available == PROPERTY_UNKNOWN)
    return rules_say (RULE_UNKNOWN, out_text, NOT_TOLD);
  if (variable->persistent_available >= PERSISTENT_RESERVE)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text,
                    "the TPM has room for %u more persistent objects, it holds %u",
                    variable->persistent_available, variable->persistent);
}

/* Another resource manager below shows its own room. */
static RuleVerdict
begin_volatile (const HealthFacts *facts, char **out_text)
{
  if (facts->is_alongside)
    return rules_say (RULE_NOT_APPLICABLE, out_text,
                      "slots are another resource manager's (mode alongside)");
  if (!facts->have_variable)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  return RULE_OK;
}

/* What the broker itself has loaded can be put out and is no loss; capability.c counts it as free. */
RuleVerdict
rules_judge_slots (const HealthFacts *facts, gint64 now, char **out_text)
{
  const VariableProperties *variable = &facts->variable;
  RuleVerdict verdict = begin_volatile (facts, out_text);

  if (verdict != RULE_OK)
    return verdict;
  if (variable->transient_available == PROPERTY_UNKNOWN ||
      variable->loaded_available == PROPERTY_UNKNOWN)
    return rules_say (RULE_UNKNOWN, out_text, NOT_TOLD);
  if (variable->transient_available > 0 && variable->loaded_available > 0)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text, "somebody else's %s fill the TPM's slots",
                    variable->transient_available == 0 ? "objects" : "sessions");
}

RuleVerdict
rules_judge_sessions (const HealthFacts *facts, gint64 now, char **out_text)
{
  guint32 left = facts->variable.active_available;
  RuleVerdict verdict = begin_volatile (facts, out_text);

  if (verdict != RULE_OK)
    return verdict;
  if (left == PROPERTY_UNKNOWN)
    return rules_say (RULE_UNKNOWN, out_text, NOT_TOLD);
  if (left >= SESSIONS_RESERVE)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text, "the TPM can start %u more sessions", left);
}

RuleVerdict
rules_judge_nv (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (!facts->have_variable)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (facts->variable.nv_counters_available == PROPERTY_UNKNOWN)
    return rules_say (RULE_UNKNOWN, out_text, NOT_TOLD);
  if (facts->variable.nv_counters_available > 0)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text,
                    "the TPM has no room for an NV counter; %u NV indices are defined",
                    facts->variable.nv_indices);
}

void
rules_add_room_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  const VariableProperties *variable = &facts->variable;

  rules_add_uint (evidence, "persistent", variable->persistent);
  rules_add_uint (evidence, "persistent-available", variable->persistent_available);
  rules_add_uint (evidence, "transient-available", variable->transient_available);
  rules_add_uint (evidence, "loaded-sessions-available", variable->loaded_available);
  rules_add_uint (evidence, "sessions-available", variable->active_available);
  rules_add_uint (evidence, "nv-indices", variable->nv_indices);
  rules_add_uint (evidence, "nv-counters-available", variable->nv_counters_available);
}
