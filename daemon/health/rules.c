/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "rules.h"

#include "rules-private.h"

#include <stdarg.h>

/* What to do about a fault that a firmware may have or not. */
#define ASK_VENDOR "Ask the chip's vendor about this firmware; until then take it for affected."

/* ---- for conditions ---- */

RuleVerdict
rules_say (RuleVerdict verdict, char **out_text, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  *out_text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  return verdict;
}

void
rules_add_uint (GVariantDict *evidence, const char *key, guint32 value)
{
  g_variant_dict_insert (evidence, key, "u", value);
}

/* ---- the table ---- */

/* What the rows of one id say together. */
typedef struct
{
  const Rule *row; /* whose verdict it is */
  RuleVerdict verdict;
  char *text; /* NULL: nothing to say */
} Judgement;

/* @inout_index: of the first row of an id; then of the next one's */
static Judgement
judge_id (const HealthFacts *facts, gint64 now, gsize *inout_index)
{
  gsize n_rows;
  const Rule *rows = rules_table_get (&n_rows);
  Judgement worst = { &rows[*inout_index], RULE_NOT_APPLICABLE, NULL };
  const char *id = worst.row->id;

  for (gsize i = *inout_index; i < n_rows && g_str_equal (rows[i].id, id); i++)
    {
      g_autofree char *text = NULL;
      RuleVerdict verdict = rows[i].judge (facts, now, &text);

      *inout_index = i + 1;
      if (verdict < worst.verdict || (verdict == worst.verdict && worst.text != NULL))
        continue;
      g_free (worst.text);
      worst = (Judgement){ &rows[i], verdict, g_steal_pointer (&text) };
    }
  return worst;
}

/* ---- advisories ---- */

static HealthState
parse_severity (const char *severity)
{
  if (g_str_equal (severity, "failed"))
    return HEALTH_STATE_FAILED;
  return g_str_equal (severity, "degraded") ? HEALTH_STATE_DEGRADED : HEALTH_STATE_OK;
}

static gboolean
has_rsa_key (const HealthFacts *facts)
{
  for (guint i = 0; facts->store != NULL && i < facts->store->keys->len; i++)
    {
      const StoreKey *key = facts->store->keys->pdata[i];

      if (key->is_rsa && !key->is_imported)
        return TRUE;
    }
  return FALSE;
}

static HealthState
get_advisory_severity (const Advisory *advisory, const HealthFacts *facts)
{
  if (advisory->severity_with_rsa != NULL && has_rsa_key (facts))
    return parse_severity (advisory->severity_with_rsa);
  return parse_severity (advisory->severity);
}

static RuleVerdict
judge_advisory (const Advisory *advisory, const HealthFacts *facts, char **out_text)
{
  switch (advisory_judge (advisory, facts->have_fixed, &facts->fixed))
    {
    case ADVISORY_AFFECTED:
      return rules_say (RULE_ISSUE, out_text, "%s", advisory->text);
    case ADVISORY_NOT_AFFECTED:
      return RULE_OK;
    case ADVISORY_NOT_APPLICABLE:
      return rules_say (RULE_NOT_APPLICABLE, out_text, "this is of %s's chips",
                        advisory->manufacturer);
    case ADVISORY_UNKNOWN:
    default:
      if (!facts->have_fixed)
        return rules_say (RULE_UNKNOWN, out_text, RULES_NOT_READ);
      return rules_say (RULE_UNKNOWN, out_text, "nobody has said whether this firmware has it: %s",
                        advisory->text);
    }
}

/* ---- verdicts ---- */

void
health_rule_free (HealthRule *rule)
{
  g_free (rule->text);
  g_free (rule);
}

/* @text: taken; NULL: nothing to say */
static void
add_rule (GPtrArray *verdicts,
          const char *id,
          RuleVerdict verdict,
          char *text,
          const char *remedy,
          const char *source)
{
  HealthRule *rule = g_new0 (HealthRule, 1);

  rule->id = id;
  rule->verdict = verdict;
  rule->text = text != NULL ? text : g_strdup ("");
  rule->remedy = remedy;
  rule->source = source;
  g_ptr_array_add (verdicts, rule);
}

GPtrArray *
rules_judge (const HealthFacts *facts, gint64 now)
{
  GPtrArray *verdicts = g_ptr_array_new_with_free_func ((GDestroyNotify)health_rule_free);
  gsize n_rows;

  (void)rules_table_get (&n_rows);
  for (gsize i = 0; i < n_rows;)
    {
      Judgement judgement = judge_id (facts, now, &i);

      add_rule (verdicts, judgement.row->id, judgement.verdict, judgement.text,
                judgement.row->remedy, judgement.row->source);
    }
  for (guint i = 0; facts->advisories != NULL && i < facts->advisories->len; i++)
    {
      const Advisory *advisory = g_ptr_array_index (facts->advisories, i);
      char *text = NULL;
      RuleVerdict verdict = judge_advisory (advisory, facts, &text);

      add_rule (verdicts, advisory->id, verdict, text,
                verdict == RULE_UNKNOWN ? ASK_VENDOR : advisory->remedy, advisory->source);
    }
  return verdicts;
}

/* ---- issues ---- */

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

/* @text: taken */
static HealthIssue *
new_issue (const char *id,
           HealthState severity,
           char *text,
           const char *remedy,
           GVariantDict *evidence)
{
  HealthIssue *issue = g_new0 (HealthIssue, 1);

  issue->id = id;
  issue->severity = severity;
  issue->text = text;
  issue->remedy = remedy;
  issue->evidence = g_variant_ref_sink (g_variant_dict_end (evidence));
  return issue;
}

static void
add_issues (const HealthFacts *facts, gint64 now, GPtrArray *issues)
{
  gsize n_rows;

  (void)rules_table_get (&n_rows);
  for (gsize i = 0; i < n_rows;)
    {
      g_auto (GVariantDict) evidence = G_VARIANT_DICT_INIT (NULL);
      Judgement judgement = judge_id (facts, now, &i);
      const Rule *row = judgement.row;

      if (judgement.verdict != RULE_ISSUE)
        {
          g_free (judgement.text);
          continue;
        }
      row->add_evidence (facts, &evidence);
      g_ptr_array_add (issues,
                       new_issue (row->id, row->severity, judgement.text, row->remedy, &evidence));
    }
}

static void
add_advisories (const HealthFacts *facts, GPtrArray *issues)
{
  for (guint i = 0; facts->advisories != NULL && i < facts->advisories->len; i++)
    {
      g_auto (GVariantDict) evidence = G_VARIANT_DICT_INIT (NULL);
      const Advisory *advisory = g_ptr_array_index (facts->advisories, i);
      g_autofree char *text = NULL;

      if (judge_advisory (advisory, facts, &text) != RULE_ISSUE)
        continue;
      rules_add_uint (&evidence, "firmware-1", facts->fixed.firmware_1);
      rules_add_uint (&evidence, "firmware-2", facts->fixed.firmware_2);
      g_variant_dict_insert (&evidence, "source", "s", advisory->source);
      g_variant_dict_insert (&evidence, "rsa-key", "b", has_rsa_key (facts));
      g_ptr_array_add (issues, new_issue (advisory->id, get_advisory_severity (advisory, facts),
                                          g_steal_pointer (&text), advisory->remedy, &evidence));
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

  add_issues (facts, now, issues);
  add_advisories (facts, issues);
  for (guint i = 0; i < issues->len; i++)
    {
      HealthIssue *issue = g_ptr_array_index (issues, i);

      issue->since = get_since (known, issue->id, issue->severity, now);
    }
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

/* ---- words ---- */

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

const char *
rule_verdict_to_string (RuleVerdict verdict)
{
  static const char *const words[] = {
    [RULE_NOT_APPLICABLE] = "not-applicable",
    [RULE_OK] = "ok",
    [RULE_UNKNOWN] = "unknown",
    [RULE_ISSUE] = "issue",
  };

  return words[verdict];
}
