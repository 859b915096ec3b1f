/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define EVENT_LOG_PCRS        24
#define EVENT_LOG_DIGEST_SIZE 32

/* What the SHA-256 bank should be by the log of what firmware and boot loader have measured. */
typedef struct
{
  guint8 values[EVENT_LOG_PCRS][EVENT_LOG_DIGEST_SIZE];
  guint32 extended; /* bit n: there is an event of PCR n */
} EventLogReplay;

/*
 * Replays a log of the form that Linux gives out as binary_bios_measurements: TCG PC Client Platform Firmware Profile,
 * 10.2 (Spec ID Event03, TCG_PCR_EVENT2). Any bytes may come.
 * Errors: GGTPM_ERROR_NOT_SUPPORTED: the log has no SHA-256 digests; GGTPM_ERROR_INVALID_ARGS: it is no such log.
 */
gboolean event_log_replay (const guint8 *log, gsize len, EventLogReplay *out, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
