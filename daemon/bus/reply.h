/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* The only way a method ends in an error: converts it (ggtpm_error_convert()), logs it once, answers. Takes both. */
void reply_error (GDBusMethodInvocation *invocation, GError *error);

/* Converts @error and logs it once, at the level that its code deserves: for a job, which nobody waits for. */
void reply_log_error (const char *what, GError *error);

G_END_DECLS
