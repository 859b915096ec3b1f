/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "rules-private.h"

static char *
list_pcrs (guint32 bits)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < PLATFORM_FACTS_PCRS; i++)
    if ((bits & 1u << i) != 0)
      g_string_append_printf (text, "%s%u", text->len > 0 ? ", " : "", i);
  return g_string_free (text, FALSE);
}

RuleVerdict
rules_judge_pcr_bank (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (facts->platform == NULL)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (facts->platform->has_sha256)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text, "the SHA-256 bank of the PCRs is not allocated");
}

/* RULE_OK: there are values to look at */
static RuleVerdict
judge_measured (const HealthFacts *facts, char **out_text)
{
  const PlatformFacts *platform = facts->platform;

  if (platform == NULL)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (!platform->is_measured)
    return rules_say (RULE_NOT_APPLICABLE, out_text, "this machine has no measured boot");
  if (!platform->has_sha256 || !platform->have_pcrs)
    return rules_say (RULE_UNKNOWN, out_text, "there are no SHA-256 PCRs to be read");
  return RULE_OK;
}

RuleVerdict
rules_judge_pcr_empty (const HealthFacts *facts, gint64 now, char **out_text)
{
  RuleVerdict verdict = judge_measured (facts, out_text);
  g_autofree char *pcrs = NULL;

  if (verdict != RULE_OK || facts->platform->empty_pcrs == 0)
    return verdict;
  pcrs = list_pcrs (facts->platform->empty_pcrs);
  return rules_say (RULE_ISSUE, out_text,
                    "the firmware measures what it starts, and has measured nothing into PCR %s",
                    pcrs);
}

RuleVerdict
rules_judge_event_log (const HealthFacts *facts, gint64 now, char **out_text)
{
  RuleVerdict verdict = judge_measured (facts, out_text);
  g_autofree char *pcrs = NULL;

  if (verdict != RULE_OK)
    return verdict;
  if (!facts->platform->have_replay)
    return rules_say (RULE_UNKNOWN, out_text, "the firmware's log cannot be used: %s",
                      facts->platform->log_error);
  if (facts->platform->mismatches == 0)
    return RULE_OK;
  pcrs = list_pcrs (facts->platform->mismatches);
  return rules_say (RULE_ISSUE, out_text, "PCR %s is not what the firmware's log says", pcrs);
}

void
rules_add_pcr_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  g_variant_dict_insert (evidence, "measured", "b", facts->platform->is_measured);
  rules_add_uint (evidence, "empty-pcrs", facts->platform->empty_pcrs);
  rules_add_uint (evidence, "mismatching-pcrs", facts->platform->mismatches);
}
