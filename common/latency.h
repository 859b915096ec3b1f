/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Latency: how long something takes, for each kind of it. Whoever does it adds, whoever wants to know lists: any
 * threads. Percentiles are those of the last few hundred, within 6 %, so that a change shows; memory is bounded by
 * LATENCY_MAX_KINDS, further kinds are not counted.
 */
typedef struct _Latency Latency;

#define LATENCY_MAX_KINDS 128

typedef struct
{
  guint32 kind;
  guint64 count;  /* since the start */
  guint32 p50_us; /* microseconds */
  guint32 p95_us;
  guint32 max_us; /* since the start */
} LatencyFigures;

/* All kinds together, since the start. */
typedef struct
{
  guint64 done;
  guint64 failed;
  guint32 last_kind; /* of the last one that failed */
  guint32 last_code;
  gint64 last_time; /* seconds since the epoch; 0: none has */
} LatencyTotals;

Latency *latency_new (void);
void latency_free (Latency *latency);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Latency, latency_free)

void latency_add (Latency *latency, guint32 kind, gint64 us);
/* One of @kind has failed with @code: of no meaning for how long it takes. */
void latency_add_failure (Latency *latency, guint32 kind, guint32 code);
void latency_get_totals (Latency *latency, LatencyTotals *out);
/* Returns LatencyFigures, ordered by kind; free with g_array_unref(). */
GArray *latency_list (Latency *latency);

G_END_DECLS
