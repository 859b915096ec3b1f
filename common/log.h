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

/* Events with a fixed MESSAGE_ID and an entry in systemd/ggtpmd.catalog. */
typedef enum
{
  LOG_EVENT_STATE_CHANGED,
  LOG_EVENT_LOCKOUT_RESET,
  LOG_EVENT_PROVISIONED,
  LOG_N_EVENTS
} LogEvent;

/* One structured record of @event, level `message`. */
void log_event (LogEvent event, const char *format, ...) G_GNUC_PRINTF (2, 3);

G_END_DECLS
