/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * The course of the lockout counter, in STATE_DIR/lockout-trend: when it rose and by how much, so that a lockout is
 * foreseen. What healing takes off the counter stays here: the cause is still there.
 */
#define TREND_MAX_RISES 32
#define TREND_WINDOW_S  86400 /* what is older tells nothing */

typedef struct
{
  gint64 time; /* seconds since the epoch */
  guint32 by;
} TrendRise;

typedef struct
{
  gboolean known; /* there was a value before */
  guint32 counter;
  TrendRise rises[TREND_MAX_RISES]; /* the newest first */
  guint n_rises;
} TrendRecord;

/* Blocks, for a small file. No file is an empty record. Errors: G_FILE_ERROR, G_KEY_FILE_ERROR. */
gboolean trend_record_load (const char *state_dir,
                            TrendRecord *out,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Blocks. Errors: atomic_file_write()'s. */
gboolean trend_record_save (const char *state_dir,
                            const TrendRecord *record,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Takes what the counter is now into the record. Returns whether the record has changed. */
gboolean trend_record_take (TrendRecord *record, guint32 counter, gint64 now);

/* By how much the counter rose in the last TREND_WINDOW_S. */
guint32 trend_record_count_recent (const TrendRecord *record, gint64 now);

/*
 * When the counter reaches @max if it goes on as it did since the first rise of the last TREND_WINDOW_S: seconds since
 * the epoch; 0: fewer than three rises are no trend, or it is not within TREND_WINDOW_S from now.
 */
gint64 trend_record_foresee (const TrendRecord *record, guint32 counter, guint32 max, gint64 now);

G_END_DECLS
