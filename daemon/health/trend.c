/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "trend.h"

#include "common/atomic-file.h"

#include <string.h>

#define FILE_NAME   "lockout-trend"
#define FILE_MODE   0600
#define GROUP       "Trend"
#define KEY_COUNTER "Counter"
#define KEY_RISES   "Rises"

/* `TIME:BY`; one that is neither is left out. */
static void
parse_rises (GKeyFile *file, TrendRecord *record)
{
  g_auto (GStrv) rises = g_key_file_get_string_list (file, GROUP, KEY_RISES, NULL, NULL);

  for (guint i = 0; rises != NULL && rises[i] != NULL && record->n_rises < TREND_MAX_RISES; i++)
    {
      g_auto (GStrv) pair = g_strsplit (rises[i], ":", 2);
      gint64 time;
      guint64 by;

      if (g_strv_length (pair) == 2 &&
          g_ascii_string_to_signed (pair[0], 10, 0, G_MAXINT64, &time, NULL) &&
          g_ascii_string_to_unsigned (pair[1], 10, 1, G_MAXUINT32, &by, NULL))
        record->rises[record->n_rises++] = (TrendRise){ time, (guint32)by };
    }
}

gboolean
trend_record_load (const char *state_dir, TrendRecord *out, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, FILE_NAME, NULL);
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local_error = NULL;
  TrendRecord record = { 0 };

  if (g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &local_error))
    {
      record.known = TRUE;
      record.counter = (guint32)g_key_file_get_uint64 (file, GROUP, KEY_COUNTER, &local_error);
      parse_rises (file, &record);
    }
  else if (g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    g_clear_error (&local_error);
  if (local_error != NULL)
    {
      g_propagate_prefixed_error (error, g_steal_pointer (&local_error), "%s: ", path);
      return FALSE;
    }
  *out = record;
  return TRUE;
}

gboolean
trend_record_save (const char *state_dir, const TrendRecord *record, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, FILE_NAME, NULL);
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GString) rises = g_string_new (NULL);
  g_autofree char *text = NULL;
  gsize len;

  g_key_file_set_uint64 (file, GROUP, KEY_COUNTER, record->counter);
  for (guint i = 0; i < record->n_rises; i++)
    g_string_append_printf (rises, "%" G_GINT64_FORMAT ":%u;", record->rises[i].time,
                            record->rises[i].by);
  g_key_file_set_value (file, GROUP, KEY_RISES, rises->str);
  text = g_key_file_to_data (file, &len, NULL);
  return atomic_file_write (path, text, len, FILE_MODE, (gid_t)-1, error);
}

gboolean
trend_record_take (TrendRecord *record, guint32 counter, gint64 now)
{
  guint32 before = record->known ? record->counter : 0;

  if (record->known && counter == before)
    return FALSE;
  record->known = TRUE;
  record->counter = counter;
  if (counter <= before)
    return TRUE;
  memmove (record->rises + 1, record->rises, sizeof (record->rises) - sizeof (record->rises[0]));
  record->rises[0] = (TrendRise){ now, counter - before };
  record->n_rises = MIN (record->n_rises + 1, TREND_MAX_RISES);
  return TRUE;
}

static gboolean
is_recent (const TrendRise *rise, gint64 now)
{
  return rise->time <= now && now - rise->time < TREND_WINDOW_S;
}

guint32
trend_record_count_recent (const TrendRecord *record, gint64 now)
{
  guint32 n = 0;

  for (guint i = 0; i < record->n_rises; i++)
    if (is_recent (&record->rises[i], now))
      n += record->rises[i].by;
  return n;
}

/* The first one has no time before it in which it came to be, two may be a person who mistypes. */
#define RISES_MIN 3

gint64
trend_record_foresee (const TrendRecord *record, guint32 counter, guint32 max, gint64 now)
{
  guint32 rose = trend_record_count_recent (record, now);
  gint64 first = now;
  gint64 end;

  if (record->n_rises < RISES_MIN || !is_recent (&record->rises[RISES_MIN - 1], now) ||
      counter >= max)
    return 0;
  for (guint i = 0; i < record->n_rises; i++)
    if (is_recent (&record->rises[i], now))
      first = MIN (first, record->rises[i].time);
  end = now + (gint64)(max - counter) * MAX (now - first, 1) / rose;
  return end - now < TREND_WINDOW_S ? end : 0;
}
