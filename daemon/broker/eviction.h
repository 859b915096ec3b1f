/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Eviction: which of the loaded things has to leave when room is needed. Pure arithmetic over the history of uses, so
 * that tests/bench/eviction-sim.c can run it on traces. Time is counted in uses, not in seconds.
 *
 * The one that goes is the one whose uses lie furthest apart: the mean of its intervals so far (absences left out), or
 * the time since its last use if that is longer; of equals the one used last. What has been used once only has no
 * interval and goes first. A ring of keys that is larger than the chip, which defeats "least recently used"
 * altogether, is so served as well as it can be.
 */
typedef struct _Eviction Eviction;

/* Part of everything that can be evicted; zero at first. */
typedef struct
{
  guint64 last_use; /* 0: never */
  guint64 interval; /* between uses, smoothed; 0: used once only */
} EvictionEntry;

Eviction *eviction_new (void);
void eviction_free (Eviction *eviction);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Eviction, eviction_free)

/* A command names @entry, or has made it. */
void eviction_touch (Eviction *eviction, EvictionEntry *entry);

/* @candidates: all that may go, at least one. Returns the index of the one that should. */
guint
eviction_choose (const Eviction *eviction, EvictionEntry *const *candidates, guint n_candidates);

G_END_DECLS
