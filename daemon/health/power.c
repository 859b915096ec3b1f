/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "power.h"

#include "common/atomic-file.h"

#include <string.h>

#define FILE_NAME       "power"
#define GROUP           "Power"
#define KEY_RESET_COUNT "ResetCount"
#define KEY_UNCLEAN     "UncleanShutdowns"
#define KEY_TIMES       "LatestUnclean"
#define FILE_MODE       0600
#define DAY_S           G_GINT64_CONSTANT (86400)

/* A time that is no number is left out: it is a matter of what was when, the count stands. */
static void
parse_times (GKeyFile *file, PowerRecord *record)
{
  g_auto (GStrv) times = g_key_file_get_string_list (file, GROUP, KEY_TIMES, NULL, NULL);

  for (guint i = 0; times != NULL && times[i] != NULL && record->n_times < POWER_MAX_TIMES; i++)
    {
      gint64 time;

      if (g_ascii_string_to_signed (times[i], 10, 0, G_MAXINT64, &time, NULL))
        record->times[record->n_times++] = time;
    }
}

gboolean
power_record_load (const char *state_dir, PowerRecord *out, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, FILE_NAME, NULL);
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local_error = NULL;
  PowerRecord record = { 0 };

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &local_error))
    {
      if (!g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        {
          g_propagate_prefixed_error (error, g_steal_pointer (&local_error), "%s: ", path);
          return FALSE;
        }
      *out = record;
      return TRUE;
    }
  record.known = TRUE;
  record.reset_count = (guint32)g_key_file_get_uint64 (file, GROUP, KEY_RESET_COUNT, &local_error);
  if (local_error == NULL)
    record.n_unclean = g_key_file_get_uint64 (file, GROUP, KEY_UNCLEAN, &local_error);
  if (local_error != NULL)
    {
      g_propagate_prefixed_error (error, g_steal_pointer (&local_error), "%s: ", path);
      return FALSE;
    }
  parse_times (file, &record);
  *out = record;
  return TRUE;
}

gboolean
power_record_save (const char *state_dir, const PowerRecord *record, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, FILE_NAME, NULL);
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GString) times = g_string_new (NULL);
  g_autofree char *text = NULL;
  gsize len;

  g_key_file_set_uint64 (file, GROUP, KEY_RESET_COUNT, record->reset_count);
  g_key_file_set_uint64 (file, GROUP, KEY_UNCLEAN, record->n_unclean);
  for (guint i = 0; i < record->n_times; i++)
    g_string_append_printf (times, "%" G_GINT64_FORMAT ";", record->times[i]);
  g_key_file_set_value (file, GROUP, KEY_TIMES, times->str);
  text = g_key_file_to_data (file, &len, NULL);
  return atomic_file_write (path, text, len, FILE_MODE, (gid_t)-1, error);
}

gboolean
power_record_take (PowerRecord *record,
                   guint32 reset_count,
                   gboolean orderly,
                   gint64 now,
                   gboolean *out_went_back)
{
  *out_went_back = record->known && reset_count < record->reset_count;
  if (record->known && reset_count == record->reset_count)
    return FALSE;
  record->known = TRUE;
  record->reset_count = reset_count;
  if (orderly)
    return TRUE;
  record->n_unclean++;
  memmove (record->times + 1, record->times, sizeof (record->times) - sizeof (record->times[0]));
  record->times[0] = now;
  record->n_times = MIN (record->n_times + 1, POWER_MAX_TIMES);
  return TRUE;
}

guint
power_record_count_today (const PowerRecord *record, gint64 now)
{
  guint n = 0;

  for (guint i = 0; i < record->n_times; i++)
    if (record->times[i] <= now && now - record->times[i] < DAY_S)
      n++;
  return n;
}
