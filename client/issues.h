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

G_END_DECLS
