/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "rules.h"

G_BEGIN_DECLS

/*
 * A condition: a pure function of the facts.
 * @out_text: written unless RULE_OK is returned: what is wrong, why that is unknown, or why it does not apply; one
 *   line, without a full stop
 */
typedef RuleVerdict (*RuleJudge) (const HealthFacts *facts, gint64 now, char **out_text);

/* The values that a verdict rests on. */
typedef void (*RuleAddEvidence) (const HealthFacts *facts, GVariantDict *evidence);

/* Rows with the same id stand together; of their verdicts and severities the worst counts. */
typedef struct
{
  const char *id;
  HealthState severity; /* HEALTH_STATE_OK stands for `info` */
  RuleJudge judge;
  RuleAddEvidence add_evidence;
  const char *remedy;
  const char *source;
} Rule;

/* The one table of issues; @out_n: how many rows. */
const Rule *rules_table_get (gsize *out_n);

/* Writes @out_text and returns @verdict. */
RuleVerdict rules_say (RuleVerdict verdict, char **out_text, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

#define RULES_NOT_READ "the TPM has not been read"

void rules_add_uint (GVariantDict *evidence, const char *key, guint32 value);

/* rules-chip.c: the device, what the chip is, whether it works. */
RuleVerdict rules_judge_device_missing (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_device_busy (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_device_io (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_not20 (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_failure_mode (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_selftest_pending (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_slow (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_storage_disabled (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict
rules_judge_endorsement_disabled (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_identity (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_update_mode (const HealthFacts *facts, gint64 now, char **out_text);
void rules_add_device_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_family_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_test_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_slow_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_startup_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_run_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_update_evidence (const HealthFacts *facts, GVariantDict *evidence);

/* rules-room.c: slots, sessions, NV. */
RuleVerdict rules_judge_room (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_slots (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_sessions (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_nv (const HealthFacts *facts, gint64 now, char **out_text);
void rules_add_room_evidence (const HealthFacts *facts, GVariantDict *evidence);

/* rules-lockout.c: dictionary-attack protection, and the power cuts that count for it. */
RuleVerdict rules_judge_lockout_active (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_lockout_near (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_lockout_foreseen (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_lockout_policy (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_auth_unset (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_auth_unknown (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_auth_locked (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_power_habit (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_power_cut (const HealthFacts *facts, gint64 now, char **out_text);
void rules_add_lockout_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_trend_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_permanent_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_refusal_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_power_evidence (const HealthFacts *facts, GVariantDict *evidence);

/* rules-store.c: keys, certificates, the store's permissions. */
RuleVerdict rules_judge_key_unusable (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_key_roca (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_cert_expiring (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_cert_expired (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_cert_mismatch (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_time_skew (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_store_access (const HealthFacts *facts, gint64 now, char **out_text);
void rules_add_unusable_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_roca_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_validity_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_mismatch_evidence (const HealthFacts *facts, GVariantDict *evidence);
void rules_add_access_evidence (const HealthFacts *facts, GVariantDict *evidence);

/* rules-platform.c: measured boot. */
RuleVerdict rules_judge_pcr_bank (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_pcr_empty (const HealthFacts *facts, gint64 now, char **out_text);
RuleVerdict rules_judge_event_log (const HealthFacts *facts, gint64 now, char **out_text);
void rules_add_pcr_evidence (const HealthFacts *facts, GVariantDict *evidence);

G_END_DECLS
