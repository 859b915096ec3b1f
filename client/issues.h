/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Health.Issues, a(ssssta{sv}); NULL is none. */

/* As aa{sv} for JSON: id, severity, text, remedy, since, evidence. Floating. */
GVariant *issues_describe (GVariant *issues);
/* Two lines for each: what is wrong, and what to do. */
void issues_print (GVariant *issues);

/* Health.Rules, a(sssss); NULL is none. */

/* As aa{sv} for JSON: id, verdict, text, remedy, source. Floating. */
GVariant *issues_describe_rules (GVariant *rules);
/* `30 ok, 1 issue, 2 unknown, 5 not applicable`. Free with g_free(). */
char *issues_count_rules (GVariant *rules);
/* One line for each: verdict, id, what is to be said, what to do, who says so. */
void issues_print_rules (GVariant *rules);

G_END_DECLS
