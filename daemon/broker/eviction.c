/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "eviction.h"

/* A gap of more intervals than this says that the client was away, not how often it comes. */
#define AWAY 8

struct _Eviction
{
  guint64 now;
};

Eviction *
eviction_new (void)
{
  return g_new0 (Eviction, 1);
}

void
eviction_free (Eviction *eviction)
{
  g_free (eviction);
}

static guint64
smooth (guint64 interval, guint64 gap)
{
  if (interval == 0)
    return gap;
  return gap > AWAY * interval ? interval : (interval + gap + 1) / 2;
}

void
eviction_touch (Eviction *eviction, EvictionEntry *entry)
{
  guint64 now = ++eviction->now;

  if (entry->last_use != 0)
    entry->interval = smooth (entry->interval, now - entry->last_use);
  entry->last_use = now;
}

/* How long it is likely to lie unused. */
static guint64
get_distance (const Eviction *eviction, const EvictionEntry *entry)
{
  guint64 elapsed = eviction->now - entry->last_use;

  return entry->interval == 0 ? G_MAXUINT64 : MAX (entry->interval, elapsed);
}

guint
eviction_choose (const Eviction *eviction, EvictionEntry *const *candidates, guint n_candidates)
{
  guint best = 0;
  guint64 best_distance = get_distance (eviction, candidates[0]);

  for (guint i = 1; i < n_candidates; i++)
    {
      guint64 distance = get_distance (eviction, candidates[i]);

      if (distance < best_distance ||
          (distance == best_distance && candidates[i]->last_use < candidates[best]->last_use))
        continue;
      best = i;
      best_distance = distance;
    }
  return best;
}
