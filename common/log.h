/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Logging is GLib's: g_debug() to g_warning(), one line, lower case, no full stop; to the journal if stderr is one,
 * else to stderr. Levels below `message` need --verbose or G_MESSAGES_DEBUG. Secrets never.
 */
void log_init (gboolean verbose);
/* Its GLogWriterFunc: hands a record on with SYSLOG_IDENTIFIER, which GLib leaves out. @next: GLogWriterFunc * */
GLogWriterOutput
log_write (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer next);

/* Events with a fixed MESSAGE_ID and an entry in systemd/ggtpmd.catalog. */
typedef enum
{
  LOG_EVENT_STATE_CHANGED,
  LOG_EVENT_PROVISIONED,
  LOG_EVENT_ISSUE_CLEARED,
  LOG_EVENT_HEALED,
  LOG_N_EVENTS
} LogEvent;

/* One structured record of @event, level `message`. */
void log_event (LogEvent event, const char *format, ...) G_GNUC_PRINTF (2, 3);

/*
 * An issue is there, or is of another severity than it was: a record with the fields GGTPM_ISSUE, GGTPM_SEVERITY and
 * GGTPM_REMEDY, a priority after the severity, and the MESSAGE_ID of the issue, which follows from its id.
 * @severity: `info`, `degraded`, `failed`
 */
void log_issue (const char *id, const char *severity, const char *text, const char *remedy);
/* It is gone: LOG_EVENT_ISSUE_CLEARED with the field GGTPM_ISSUE. @known: FALSE: whether it is over cannot be read now;
 * @severity, @text: as it was */
void log_issue_cleared (const char *id, gboolean known, const char *severity, const char *text);

/* A step of healing was done: LOG_EVENT_HEALED with the field GGTPM_HEALING. @action: of Health.Healings; any thread */
void log_healing (const char *action, const char *text);

G_END_DECLS
