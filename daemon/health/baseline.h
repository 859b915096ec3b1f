/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "common/latency.h"

G_BEGIN_DECLS

/*
 * Baseline: what each kind of command took when this chip was first well known, in STATE_DIR/latency. A chip is its
 * own measure: what is slow for one is another's usual speed. Another firmware begins anew.
 */
#define BASELINE_MIN_COUNT 100 /* so many of a kind make it well known */

typedef struct
{
  LatencyFigures figures; /* kind: TPM_CC */
  guint32 baseline_us;    /* p50 then; 0: not well known yet */
} HealthLatency;

/*
 * Sets each one's baseline from the file, and writes what has become well known. Blocks, for a small file.
 * @latencies: of HealthLatency
 * @chip: which chip and firmware, a word
 * Errors: G_FILE_ERROR, G_KEY_FILE_ERROR, atomic_file_write()'s; the baselines that could be read are set.
 */
gboolean baseline_apply (const char *state_dir, const char *chip, GArray *latencies, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
