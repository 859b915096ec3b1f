/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "latency.h"

/* Octaves of microseconds up to nine minutes, each in eight linear steps. */
#define STEP_BITS 3
#define N_STEPS   (1 << STEP_BITS)
#define N_OCTAVES 30
#define N_BUCKETS (N_OCTAVES * N_STEPS)
#define WINDOW    512 /* from here on old ones count half */

typedef struct
{
  guint32 kind;
  guint64 count;
  guint32 max_us;
  guint n_recent;
  guint16 buckets[N_BUCKETS];
} Kind;

struct _Latency
{
  GMutex mutex;
  GHashTable *kinds; /* guint32 in a pointer to Kind */
  LatencyTotals totals;
};

Latency *
latency_new (void)
{
  Latency *latency = g_new0 (Latency, 1);

  g_mutex_init (&latency->mutex);
  latency->kinds = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  return latency;
}

void
latency_free (Latency *latency)
{
  g_hash_table_unref (latency->kinds);
  g_mutex_clear (&latency->mutex);
  g_free (latency);
}

static guint
get_bucket (guint32 us)
{
  guint octave = us < N_STEPS ? 0 : g_bit_storage (us) - STEP_BITS;
  guint step = octave == 0 ? us : us >> (octave - 1) & (N_STEPS - 1);

  return MIN (octave * N_STEPS + step, N_BUCKETS - 1);
}

/* The middle of what falls into it. */
static guint32
get_value (guint bucket)
{
  guint octave = bucket / N_STEPS;
  guint step = bucket % N_STEPS;

  if (octave == 0)
    return step;
  return ((N_STEPS + step) << (octave - 1)) + (1u << (octave - 1)) / 2;
}

static void
halve (Kind *kind)
{
  kind->n_recent = 0;
  for (guint i = 0; i < N_BUCKETS; i++)
    {
      kind->buckets[i] /= 2;
      kind->n_recent += kind->buckets[i];
    }
}

static Kind *
find_kind (Latency *latency, guint32 code)
{
  Kind *kind = g_hash_table_lookup (latency->kinds, GUINT_TO_POINTER (code));

  if (kind != NULL || g_hash_table_size (latency->kinds) == LATENCY_MAX_KINDS)
    return kind;
  kind = g_new0 (Kind, 1);
  kind->kind = code;
  g_hash_table_insert (latency->kinds, GUINT_TO_POINTER (code), kind);
  return kind;
}

void
latency_add (Latency *latency, guint32 kind, gint64 us)
{
  guint32 value = (guint32)CLAMP (us, 0, G_MAXUINT32);
  Kind *entry;

  g_mutex_lock (&latency->mutex);
  latency->totals.done++;
  entry = find_kind (latency, kind);
  if (entry != NULL)
    {
      entry->count++;
      entry->max_us = MAX (entry->max_us, value);
      entry->buckets[get_bucket (value)]++;
      if (++entry->n_recent == WINDOW)
        halve (entry);
    }
  g_mutex_unlock (&latency->mutex);
}

void
latency_add_failure (Latency *latency, guint32 kind, guint32 code)
{
  LatencyTotals *totals = &latency->totals;

  g_mutex_lock (&latency->mutex);
  totals->failed++;
  totals->last_kind = kind;
  totals->last_code = code;
  totals->last_time = g_get_real_time () / G_USEC_PER_SEC;
  g_mutex_unlock (&latency->mutex);
}

void
latency_get_totals (Latency *latency, LatencyTotals *out)
{
  g_mutex_lock (&latency->mutex);
  *out = latency->totals;
  g_mutex_unlock (&latency->mutex);
}

/* The value that @percent of the recent ones do not exceed. */
static guint32
get_percentile (const Kind *kind, guint percent)
{
  guint wanted = MAX (1, (kind->n_recent * percent + 99) / 100);
  guint seen = 0;

  for (guint i = 0; i < N_BUCKETS; i++)
    {
      seen += kind->buckets[i];
      if (seen >= wanted)
        return MIN (get_value (i), kind->max_us);
    }
  return kind->max_us;
}

static int
compare_kinds (gconstpointer a, gconstpointer b)
{
  guint32 one = ((const LatencyFigures *)a)->kind;
  guint32 other = ((const LatencyFigures *)b)->kind;

  return one < other ? -1 : one > other;
}

GArray *
latency_list (Latency *latency)
{
  GArray *list = g_array_new (FALSE, FALSE, sizeof (LatencyFigures));
  GHashTableIter iter;
  gpointer value;

  g_mutex_lock (&latency->mutex);
  g_hash_table_iter_init (&iter, latency->kinds);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      const Kind *kind = value;
      const LatencyFigures figures = { .kind = kind->kind,
                                       .count = kind->count,
                                       .p50_us = get_percentile (kind, 50),
                                       .p95_us = get_percentile (kind, 95),
                                       .max_us = kind->max_us };

      g_array_append_val (list, figures);
    }
  g_mutex_unlock (&latency->mutex);
  g_array_sort (list, compare_kinds);
  return list;
}
