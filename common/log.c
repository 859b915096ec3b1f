/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "log.h"

#include <stdarg.h>

/* Random, fixed for ever; texts for each are in systemd/ggtpmd.catalog. */
static const char *const message_ids[] = {
  [LOG_EVENT_STATE_CHANGED] = "6d1c3f0a5b7e4e0f9a2b8c41d7e36f52",
  [LOG_EVENT_LOCKOUT_RESET] = "e0b94a6c2f1d47c8b35a90d4177c8ea3",
  [LOG_EVENT_PROVISIONED] = "94f7d2b81c6a4d3e8e05f1b3a26c7d90",
};

G_STATIC_ASSERT (G_N_ELEMENTS (message_ids) == LOG_N_EVENTS);

/* GLib's own writer chooses between journal and stream, and leaves out debug and info unless told. */
void
log_init (gboolean verbose)
{
  g_log_set_debug_enabled (verbose);
  g_log_set_writer_func (g_log_writer_default, NULL, NULL);
}

void
log_event (LogEvent event, const char *format, ...)
{
  va_list args;
  g_autofree char *message = NULL;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_log_structured (G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, "MESSAGE_ID", message_ids[event], "MESSAGE",
                    "%s", message);
}
