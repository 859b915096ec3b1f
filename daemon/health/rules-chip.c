/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "rules-private.h"

#include "tpm/names.h"

/* So many times its baseline is slow, not an algorithm that takes longer (RSA-2048 takes 2.4 times P-256's time). */
#define SLOW_FACTOR    5
#define SLOW_MIN_COUNT 32

/* ---- the device node; the broker has looked at it and has said why ---- */

static RuleVerdict
judge_device (const HealthFacts *facts, HealthDevice fault, char **out_text)
{
  const char *reason = facts->device_reason;

  if (facts->device == fault)
    return rules_say (RULE_ISSUE, out_text, "%s",
                      reason != NULL && *reason != '\0' ? reason : "the TPM cannot be used");
  if (facts->device == HEALTH_DEVICE_UNKNOWN)
    return rules_say (RULE_UNKNOWN, out_text, "the TPM has not been opened yet");
  if (facts->is_alongside && fault != HEALTH_DEVICE_IO)
    return rules_say (RULE_NOT_APPLICABLE, out_text,
                      "the device is another resource manager's (mode alongside)");
  return RULE_OK;
}

RuleVerdict
rules_judge_device_missing (const HealthFacts *facts, gint64 now, char **out_text)
{
  return judge_device (facts, HEALTH_DEVICE_MISSING, out_text);
}

RuleVerdict
rules_judge_device_busy (const HealthFacts *facts, gint64 now, char **out_text)
{
  return judge_device (facts, HEALTH_DEVICE_BUSY, out_text);
}

RuleVerdict
rules_judge_device_io (const HealthFacts *facts, gint64 now, char **out_text)
{
  return judge_device (facts, HEALTH_DEVICE_IO, out_text);
}

void
rules_add_device_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  if (facts->device_reason != NULL)
    g_variant_dict_insert (evidence, "reason", "s", facts->device_reason);
}

/* ---- what it is ---- */

RuleVerdict
rules_judge_not20 (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (!facts->have_fixed)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (g_str_equal (facts->fixed.family, "2.0"))
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text, "this is not a TPM 2.0: it calls itself '%s'",
                    facts->fixed.family);
}

void
rules_add_family_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  g_variant_dict_insert (evidence, "family", "s", facts->fixed.family);
}

/* Whether it is the chip that it was. */
RuleVerdict
rules_judge_identity (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (!facts->have_run)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (!facts->went_back)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text,
                    "the TPM counts fewer resets than before: it was cleared, or it is another "
                    "one; keys that were made before are lost");
}

void
rules_add_run_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  rules_add_uint (evidence, "reset-count", facts->power.reset_count);
}

RuleVerdict
rules_judge_update_mode (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (facts->platform == NULL)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (*facts->platform->update_mode == '\0')
    return rules_say (RULE_NOT_APPLICABLE, out_text, "this TPM has no such mode");
  if (g_str_equal (facts->platform->update_mode, "normal"))
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text,
                    "an update of the TPM's firmware was begun and not finished (mode %s)",
                    facts->platform->update_mode);
}

void
rules_add_update_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  g_variant_dict_insert (evidence, "update-mode", "s", facts->platform->update_mode);
}

/* ---- its self-test ---- */

RuleVerdict
rules_judge_failure_mode (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (!facts->have_test_result)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (facts->test_result != TPM2_RC_FAILURE)
    return RULE_OK;
  return rules_say (
      RULE_ISSUE, out_text,
      "the TPM is in failure mode: it has found a fault in itself and does nothing more");
}

RuleVerdict
rules_judge_selftest_pending (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (!facts->have_test_result)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (facts->test_result != TPM2_RC_TESTING || facts->testing_since == 0 ||
      now - facts->testing_since < RULES_TESTING_PATIENCE_S)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text, "the TPM does not come to an end with its self-test");
}

void
rules_add_test_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  rules_add_uint (evidence, "test-result", facts->test_result);
  if (facts->testing_since != 0)
    g_variant_dict_insert (evidence, "testing-since", "t", (guint64)facts->testing_since);
}

/* ---- its hierarchies ---- */

static gboolean
is_enabled (const HealthFacts *facts, TPMA_STARTUP_CLEAR bit)
{
  return (facts->variable.startup_clear & bit) != 0;
}

RuleVerdict
rules_judge_storage_disabled (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (!facts->have_variable)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (is_enabled (facts, TPMA_STARTUP_CLEAR_SHENABLE))
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text,
                    "the storage hierarchy is disabled: no key can be made or used");
}

RuleVerdict
rules_judge_endorsement_disabled (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (!facts->have_variable)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (is_enabled (facts, TPMA_STARTUP_CLEAR_EHENABLE))
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text,
                    "the endorsement hierarchy is disabled: the TPM cannot prove what it is");
}

void
rules_add_startup_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  rules_add_uint (evidence, "startup-clear", facts->variable.startup_clear);
}

/* ---- its speed ---- */

/* What these take is a matter of luck: primes are searched for, or all is tested. */
static gboolean
takes_what_it_takes (TPM2_CC command)
{
  return command == TPM2_CC_Create || command == TPM2_CC_CreatePrimary ||
         command == TPM2_CC_CreateLoaded || command == TPM2_CC_SelfTest ||
         command == TPM2_CC_IncrementalSelfTest;
}

/* The command that is slowest against its baseline; NULL: none is slow. */
static const HealthLatency *
find_slow (const HealthFacts *facts)
{
  const HealthLatency *slowest = NULL;

  for (guint i = 0; facts->latencies != NULL && i < facts->latencies->len; i++)
    {
      const HealthLatency *latency = &g_array_index (facts->latencies, HealthLatency, i);
      const LatencyFigures *figures = &latency->figures;

      if (latency->baseline_us == 0 || figures->count < SLOW_MIN_COUNT ||
          takes_what_it_takes (figures->kind) ||
          figures->p50_us / SLOW_FACTOR < latency->baseline_us)
        continue;
      if (slowest == NULL || (guint64)figures->p50_us * slowest->baseline_us >
                                 (guint64)slowest->figures.p50_us * latency->baseline_us)
        slowest = latency;
    }
  return slowest;
}

RuleVerdict
rules_judge_slow (const HealthFacts *facts, gint64 now, char **out_text)
{
  const HealthLatency *slow = find_slow (facts);
  g_autofree char *code = NULL;
  const char *name;

  if (facts->latencies == NULL)
    return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
  if (slow == NULL)
    return RULE_OK;
  code = g_strdup_printf ("0x%x", slow->figures.kind);
  name = names_get_command (slow->figures.kind);
  return rules_say (RULE_ISSUE, out_text,
                    "%s takes the TPM %u us now (median), and took %u us at first",
                    name != NULL ? name : code, slow->figures.p50_us, slow->baseline_us);
}

void
rules_add_slow_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  const HealthLatency *slow = find_slow (facts);

  if (slow == NULL)
    return;
  rules_add_uint (evidence, "command", slow->figures.kind);
  rules_add_uint (evidence, "median-us", slow->figures.p50_us);
  rules_add_uint (evidence, "baseline-us", slow->baseline_us);
}
