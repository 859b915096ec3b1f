/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "issues.h"

#include "common/log.h"

static const HealthIssue *
find_issue (GPtrArray *issues, const char *id)
{
  for (guint i = 0; i < issues->len; i++)
    {
      const HealthIssue *issue = g_ptr_array_index (issues, i);

      if (g_str_equal (issue->id, id))
        return issue;
    }
  return NULL;
}

static gboolean
is_known (GPtrArray *rules, const char *id)
{
  for (guint i = 0; i < rules->len; i++)
    {
      const HealthRule *rule = g_ptr_array_index (rules, i);

      if (g_str_equal (rule->id, id))
        return rule->verdict != RULE_UNKNOWN;
    }
  return TRUE;
}

void
issues_tell (GPtrArray *old_issues,
             GPtrArray *issues,
             GPtrArray *rules,
             const IssuesFuncs *funcs,
             gpointer user_data)
{
  for (guint i = 0; i < old_issues->len; i++)
    {
      const HealthIssue *issue = g_ptr_array_index (old_issues, i);

      if (find_issue (issues, issue->id) != NULL)
        continue;
      log_issue_cleared (issue->id, is_known (rules, issue->id),
                         health_severity_to_string (issue->severity), issue->text);
      funcs->cleared (issue, user_data);
    }
  for (guint i = 0; i < issues->len; i++)
    {
      const HealthIssue *issue = g_ptr_array_index (issues, i);
      const HealthIssue *old = find_issue (old_issues, issue->id);

      if (old != NULL && old->severity == issue->severity)
        continue;
      log_issue (issue->id, health_severity_to_string (issue->severity), issue->text,
                 issue->remedy);
      funcs->raised (issue, user_data);
    }
}

char *
issues_list_ids (GPtrArray *issues)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < issues->len; i++)
    {
      const HealthIssue *issue = g_ptr_array_index (issues, i);

      g_string_append_printf (text, "%s%s", i == 0 ? "" : ", ", issue->id);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}
