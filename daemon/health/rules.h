/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "health-facts.h"

G_BEGIN_DECLS

typedef enum
{
  HEALTH_STATE_UNKNOWN,
  HEALTH_STATE_OK,
  HEALTH_STATE_DEGRADED,
  HEALTH_STATE_FAILED,
} HealthState;

/* From then on a self-test that is under way is taken for one that does not end, in seconds. */
#define RULES_TESTING_PATIENCE_S 10

typedef enum
{
  RULE_NOT_APPLICABLE, /* not of this chip, machine or mode */
  RULE_OK,
  RULE_UNKNOWN,
  RULE_ISSUE,
} RuleVerdict;

/* What a rule says of the facts. */
typedef struct
{
  const char *id; /* static, or its advisory's */
  RuleVerdict verdict;
  char *text;         /* what is wrong, or why it is unknown or does not apply; empty: ok */
  const char *remedy; /* as id */
  const char *source; /* as id: who says that this is a fault */
} HealthRule;

void health_rule_free (HealthRule *rule);

typedef struct
{
  const char *id;       /* stable: `lockout.active`; static, or its advisory's */
  HealthState severity; /* HEALTH_STATE_OK stands for `info` */
  char *text;
  const char *remedy; /* as id */
  gint64 since;       /* seconds since the epoch */
  GVariant *evidence; /* a{sv} */
} HealthIssue;

void health_issue_free (HealthIssue *issue);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HealthIssue, health_issue_free)

/*
 * Applies every rule of the table in rules-table.c, and the advisories. Pure: no clock, no chip.
 * @known: issues of the last time, whose `since` is kept (may be NULL)
 * Returns HealthIssues, ordered by severity, then id; free with g_ptr_array_unref().
 */
GPtrArray *rules_evaluate (const HealthFacts *facts, gint64 now, GPtrArray *known);

/*
 * The same with all the rules that see nothing wrong: one HealthRule for each id, in the order of the table and of the
 * advisories; free with g_ptr_array_unref().
 */
GPtrArray *rules_judge (const HealthFacts *facts, gint64 now);
/* `ok`, `issue`, `unknown`, `not-applicable`. */
const char *rule_verdict_to_string (RuleVerdict verdict);

/* The worst severity; UNKNOWN if nothing was read; OK needs a chip that was read. */
HealthState rules_get_state (const HealthFacts *facts, GPtrArray *issues);

const char *health_state_to_string (HealthState state);
/* `info`, `degraded`, `failed`. */
const char *health_severity_to_string (HealthState severity);

G_END_DECLS
