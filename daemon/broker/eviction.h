/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Eviction: which of the loaded things has to leave when room is needed. Pure arithmetic over the history of uses, so
 * that tests/bench can run it on recorded traces. Time is counted in uses, not in seconds.
 */
typedef struct _Eviction Eviction;

/* Part of everything that can be evicted; zero at first. */
typedef struct
{
  guint64 last_use;
  guint64 n_uses;
} EvictionEntry;

Eviction *eviction_new (void);
void eviction_free (Eviction *eviction);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Eviction, eviction_free)

/* A command names @entry, or has made it. */
void eviction_touch (Eviction *eviction, EvictionEntry *entry);

/*
 * @candidates: all that may go, at least one
 * @costs: commands that putting out each of them takes
 * Returns the index of the one that should.
 */
guint eviction_choose (Eviction *eviction,
                       EvictionEntry *const *candidates,
                       const guint *costs,
                       guint n_candidates);

G_END_DECLS
