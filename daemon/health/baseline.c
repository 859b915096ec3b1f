/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "baseline.h"

#include "common/atomic-file.h"

#define FILE_NAME "latency"
#define FILE_MODE 0600

static gboolean
load (const char *path, GKeyFile *file, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &local_error) ||
      g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    return TRUE;
  g_propagate_prefixed_error (error, g_steal_pointer (&local_error), "%s: ", path);
  return FALSE;
}

/* A value that is no number is taken anew. */
static guint32
get_baseline (GKeyFile *file, const char *chip, const char *key)
{
  return (guint32)MIN (g_key_file_get_uint64 (file, chip, key, NULL), G_MAXUINT32);
}

/* Returns whether there is something to write. */
static gboolean
apply_one (GKeyFile *file, const char *chip, HealthLatency *latency)
{
  g_autofree char *key = g_strdup_printf ("0x%x", latency->figures.kind);

  latency->baseline_us = get_baseline (file, chip, key);
  if (latency->baseline_us != 0 || latency->figures.count < BASELINE_MIN_COUNT)
    return FALSE;
  latency->baseline_us = MAX (latency->figures.p50_us, 1);
  g_key_file_set_uint64 (file, chip, key, latency->baseline_us);
  return TRUE;
}

gboolean
baseline_apply (const char *state_dir, const char *chip, GArray *latencies, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, FILE_NAME, NULL);
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *text = NULL;
  gboolean changed = FALSE;
  gsize len;

  if (!load (path, file, error))
    return FALSE;
  for (guint i = 0; i < latencies->len; i++)
    changed |= apply_one (file, chip, &g_array_index (latencies, HealthLatency, i));
  if (!changed)
    return TRUE;
  text = g_key_file_to_data (file, &len, NULL);
  return atomic_file_write (path, text, len, FILE_MODE, (gid_t)-1, error);
}
