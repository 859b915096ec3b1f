/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "rules.h"

G_BEGIN_DECLS

/* Issues: lists of HealthIssue, as rules_evaluate() makes them. */

typedef struct
{
  void (*cleared) (const HealthIssue *issue, gpointer user_data);
  void (*raised) (const HealthIssue *issue, gpointer user_data);
} IssuesFuncs;

/*
 * Logs and tells what is in @old_issues only, then what is in @issues only, or there with another severity.
 * @rules: rules_judge()'s: whether what is not there any more is over, or only not known
 */
void issues_tell (GPtrArray *old_issues,
                  GPtrArray *issues,
                  GPtrArray *rules,
                  const IssuesFuncs *funcs,
                  gpointer user_data);

/* Their ids, with commas. */
char *issues_list_ids (GPtrArray *issues);

G_END_DECLS
