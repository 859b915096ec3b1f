/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "eviction.h"

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

void
eviction_touch (Eviction *eviction, EvictionEntry *entry)
{
  entry->last_use = ++eviction->now;
  entry->n_uses++;
}

guint
eviction_choose (Eviction *eviction,
                 EvictionEntry *const *candidates,
                 const guint *costs,
                 guint n_candidates)
{
  guint oldest = 0;

  for (guint i = 1; i < n_candidates; i++)
    if (candidates[i]->last_use < candidates[oldest]->last_use)
      oldest = i;
  return oldest;
}
