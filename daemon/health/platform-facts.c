/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "platform-facts.h"

#include "event-log.h"
#include "tpm/pcr.h"

#include <string.h>

#define SHA256 "sha256"
#define WANTED ((1u << PLATFORM_FACTS_PCRS) - 1)

void
platform_facts_free (PlatformFacts *facts)
{
  g_free (facts->update_mode);
  g_free (facts->log_error);
  g_free (facts);
}

static gboolean
is_empty (GBytes *value)
{
  gsize len;
  const guint8 *bytes = g_bytes_get_data (value, &len);

  for (gsize i = 0; i < len; i++)
    if (bytes[i] != bytes[0] || (bytes[i] != 0x00 && bytes[i] != 0xff))
      return FALSE;
  return TRUE;
}

static gboolean
load_log (const char *path, EventLogReplay *out, GError **error)
{
  g_autofree char *log = NULL;
  gsize len = 0;

  if (!g_file_get_contents (path, &log, &len, error))
    return FALSE;
  return event_log_replay ((const guint8 *)log, len, out, error);
}

static gboolean
is_replayed (const EventLogReplay *replay, guint pcr, GBytes *value)
{
  gsize len;
  const guint8 *bytes = g_bytes_get_data (value, &len);

  return (replay->extended & 1u << pcr) == 0 ||
         (len == EVENT_LOG_DIGEST_SIZE && memcmp (bytes, replay->values[pcr], len) == 0);
}

static void
compare (PlatformFacts *facts, const PcrValues *pcrs, const char *event_log)
{
  g_autoptr (GError) local_error = NULL;
  EventLogReplay replay;

  facts->have_replay = load_log (event_log, &replay, &local_error);
  /* The kernel's file has mode 0440 of root, and the daemon is not root. */
  if (g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_ACCES))
    facts->log_error = g_strdup_printf ("only root may read it. As root compare what "
                                        "`tpm2_eventlog %s` says with `ggtpmctl pcr read`",
                                        event_log);
  else if (!facts->have_replay)
    facts->log_error = g_strdup (local_error->message);
  for (guint i = 0; i < PLATFORM_FACTS_PCRS; i++)
    {
      if (pcrs->values[i] == NULL)
        continue;
      if (is_empty (pcrs->values[i]))
        facts->empty_pcrs |= 1u << i;
      if (facts->have_replay && !is_replayed (&replay, i, pcrs->values[i]))
        facts->mismatches |= 1u << i;
    }
}

PlatformFacts *
platform_facts_read (Tpm *tpm, const Abilities *abilities, const char *event_log, GError **error)
{
  g_autoptr (PlatformFacts) facts = g_new0 (PlatformFacts, 1);
  g_autoptr (PcrValues) pcrs = NULL;

  facts->has_sha256 = g_strv_contains ((const char *const *)abilities->pcr_banks, SHA256);
  facts->update_mode = g_strdup (abilities->update_mode);
  facts->is_measured = event_log != NULL && g_file_test (event_log, G_FILE_TEST_EXISTS);
  if (!facts->is_measured || !facts->has_sha256)
    return g_steal_pointer (&facts);
  pcrs = pcr_read (tpm, TPM2_ALG_SHA256, WANTED, error);
  if (pcrs == NULL)
    return NULL;
  facts->have_pcrs = TRUE;
  compare (facts, pcrs, event_log);
  return g_steal_pointer (&facts);
}
