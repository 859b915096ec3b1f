/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "log.h"

#include <stdarg.h>
#include <string.h>

/* Random, fixed for ever; texts for each are in systemd/ggtpmd.catalog. */
static const char *const message_ids[] = {
  [LOG_EVENT_STATE_CHANGED] = "6d1c3f0a5b7e4e0f9a2b8c41d7e36f52",
  [LOG_EVENT_PROVISIONED] = "94f7d2b81c6a4d3e8e05f1b3a26c7d90",
  [LOG_EVENT_ISSUE_CLEARED] = "51c8e7a20d9b4f6c9e13b7045af2d86e",
  [LOG_EVENT_HEALED] = "b8d2f61c90a74e3f8c5506e1d37a9b24",
};

G_STATIC_ASSERT (G_N_ELEMENTS (message_ids) == LOG_N_EVENTS);

/* Random, fixed for ever: 6b0fbd4c-54d7-4e0f-a6a1-6a3c1c7d2f58 */
static const guint8 issue_namespace[] = { 0x6b, 0x0f, 0xbd, 0x4c, 0x54, 0xd7, 0x4e, 0x0f,
                                          0xa6, 0xa1, 0x6a, 0x3c, 0x1c, 0x7d, 0x2f, 0x58 };

/* As who the journal shows it: `journalctl -t ggtpmd` */
#define LOG_IDENTIFIER "ggtpmd"

#define UUID_SIZE 16
#define SHA1_SIZE 20

GLogWriterOutput
log_write (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer next)
{
  g_autofree GLogField *named = g_new (GLogField, n_fields + 1);

  memcpy (named, fields, n_fields * sizeof (GLogField));
  named[n_fields] = (GLogField){ "SYSLOG_IDENTIFIER", LOG_IDENTIFIER, -1 };
  return (*(GLogWriterFunc *)next) (level, named, n_fields + 1, NULL);
}

/* GLib's own writer chooses between journal and stream, and leaves out debug and info unless told. */
void
log_init (gboolean verbose)
{
  static GLogWriterFunc next = g_log_writer_default;

  g_log_set_debug_enabled (verbose);
  g_log_set_writer_func (log_write, &next, NULL);
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

/* ---- issues ---- */

/* UUID of version 5 (RFC 4122, 4.3) in a namespace of our own */
static char *
get_issue_message_id (const char *id)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA1);
  GString *text = g_string_sized_new (2 * UUID_SIZE);
  guint8 uuid[SHA1_SIZE];
  gsize len = sizeof (uuid);

  g_checksum_update (sum, issue_namespace, sizeof (issue_namespace));
  g_checksum_update (sum, (const guint8 *)id, -1);
  g_checksum_get_digest (sum, uuid, &len);
  uuid[6] = (guint8)((uuid[6] & 0x0f) | 0x50); /* version 5 */
  uuid[8] = (guint8)((uuid[8] & 0x3f) | 0x80); /* RFC 4122's variant */
  for (guint i = 0; i < UUID_SIZE; i++)
    g_string_append_printf (text, "%02x", uuid[i]);
  return g_string_free (text, FALSE);
}

/* syslog(3)'s: error, warning, notice */
static const char *
get_priority (const char *severity)
{
  if (g_str_equal (severity, "failed"))
    return "3";
  return g_str_equal (severity, "degraded") ? "4" : "5";
}

/* The level is `message` for all: a level of warning would end a program that runs with G_DEBUG=fatal-warnings. */
static void
write_issue (const char *message_id,
             const char *priority,
             const char *id,
             const char *severity,
             const char *remedy,
             const char *message)
{
  const GLogField fields[] = {
    { "MESSAGE_ID", message_id, -1 },   { "PRIORITY", priority, -1 },   { "GGTPM_ISSUE", id, -1 },
    { "GGTPM_SEVERITY", severity, -1 }, { "GGTPM_REMEDY", remedy, -1 }, { "MESSAGE", message, -1 },
    { "GLIB_DOMAIN", "ggtpm", -1 },
  };

  g_log_structured_array (G_LOG_LEVEL_MESSAGE, fields, G_N_ELEMENTS (fields));
}

void
log_issue (const char *id, const char *severity, const char *text, const char *remedy)
{
  g_autofree char *message_id = get_issue_message_id (id);
  g_autofree char *message = g_strdup_printf ("%s (%s): %s", id, severity, text);

  write_issue (message_id, get_priority (severity), id, severity, remedy, message);
}

void
log_issue_cleared (const char *id, gboolean known, const char *severity, const char *text)
{
  g_autofree char *message = g_strdup_printf (
      "%s %s, it was (%s): %s", id, known ? "is over" : "is not known any more", severity, text);

  write_issue (message_ids[LOG_EVENT_ISSUE_CLEARED], get_priority ("info"), id, severity, "",
               message);
}

void
log_healing (const char *action, const char *text)
{
  g_autofree char *message = g_strdup_printf ("healed (%s): %s", action, text);
  const GLogField fields[] = {
    { "MESSAGE_ID", message_ids[LOG_EVENT_HEALED], -1 },
    { "PRIORITY", get_priority ("info"), -1 },
    { "GGTPM_HEALING", action, -1 },
    { "MESSAGE", message, -1 },
    { "GLIB_DOMAIN", "ggtpm", -1 },
  };

  g_log_structured_array (G_LOG_LEVEL_MESSAGE, fields, G_N_ELEMENTS (fields));
}
