/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "client.h"

G_BEGIN_DECLS

/*
 * Waits for the end of a job, showing on standard error what it does: one line that changes on a terminal, a line for
 * each step elsewhere, nothing with --json. Ctrl-C ends the waiting, the job goes on.
 * @hint: how to come back to the job's work, for people; whole sentence. NULL: nothing is shown, it is soon done
 * Returns the job's result (a{sv}), free with g_variant_unref().
 * Errors: the job's; GGTPM_ERROR_CANCELLED (Ctrl-C), TIMEOUT (--timeout), UNAVAILABLE (the daemon went away).
 */
GVariant *progress_wait (Client *client, const char *job_path, const char *hint, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* A step of our own behind a job's: a line on standard error, unless that is a terminal, or with --json. */
void progress_tell (Client *client, const char *step);

/* `[#####.....]  50% step` in at most @width columns. Free with g_free(). */
char *progress_format (double progress, const char *step, gsize width);

G_END_DECLS
