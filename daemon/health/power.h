/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * The power cuts that a chip has seen, in STATE_DIR/power. TPMA_STARTUP_CLEAR.orderly tells how the last run ended,
 * TPMS_CLOCK_INFO.resetCount which run this is (TPM 2.0 Library Part 1, 36.4): each run is counted once, however often
 * the daemon is restarted in it.
 */
#define POWER_MAX_TIMES 16

typedef struct
{
  gboolean known; /* there was a run before this one */
  guint32 reset_count;
  guint64 n_unclean;
  gint64
      times[POWER_MAX_TIMES]; /* of the latest of them, the newest first, seconds since the epoch */
  guint n_times;
} PowerRecord;

/* Blocks, for a small file. No file is an empty record. Errors: G_FILE_ERROR, G_KEY_FILE_ERROR. */
gboolean power_record_load (const char *state_dir,
                            PowerRecord *out,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Blocks. Errors: atomic_file_write()'s. */
gboolean power_record_save (const char *state_dir,
                            const PowerRecord *record,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Takes the run with @reset_count into the record.
 * @orderly: how the run before it has ended
 * @out_went_back: the counter is lower than it was: another chip, or one that was cleared
 * Returns whether the record has changed.
 */
gboolean power_record_take (PowerRecord *record,
                            guint32 reset_count,
                            gboolean orderly,
                            gint64 now,
                            gboolean *out_went_back);

/* Of the last 24 hours. */
guint power_record_count_today (const PowerRecord *record, gint64 now);

G_END_DECLS
