/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "baseline.h"
#include "common/store-access.h"
#include "common/tally.h"
#include "lockout.h"
#include "power.h"
#include "tpm/worker.h"
#include "trend.h"

G_BEGIN_DECLS

/* Reading: what one look at the chip has told, with the healing that belongs to it. For monitor.c. */
typedef struct
{
  gboolean want_fixed;
  gboolean reset_lockout;        /* if the counter is above 0 and lockout_may_reset() */
  gboolean reset_unless_guessed; /* the same, but not failures that the broker has seen */
  gboolean run_full_test;        /* TPM2_SelfTest of everything if the chip is in failure mode */
  gboolean run_pending_test;     /* of the rest if it has not come to an end by itself */
  gboolean tpm_was_reset;
  gboolean want_run; /* which run of the chip this is; after a reset always */
  LockoutRecord record;
  PowerRecord power;
  TrendRecord trend;
  FixedProperties fixed; /* as known before; zero: not known */
  Latency *latency;      /* the broker's, which outlives the operation; NULL: not measured */
  Tally *tally;          /* as well; NULL: any failure may be one that the broker saw */
  guint known_failures;  /* of the tally: those that are not on the counter */
  char *state_dir;
  gint64 now; /* seconds since the epoch */
} ReadingArgs;

typedef struct
{
  gboolean have_fixed;
  FixedProperties fixed;
  gboolean have_variable; /* FALSE only in failure mode */
  VariableProperties variable;
  guint failures;              /* of the tally, before @variable was read */
  gboolean lockout_auth_known; /* it is set, and on the disk */
  TPM2_RC test_result;
  gboolean full_test_run;
  gboolean pending_test_run;
  StoreAccess access;
  gboolean have_run;
  gboolean went_back; /* the reset counter */
  PowerRecord power;
  TrendRecord trend;
  GArray *latencies; /* of HealthLatency */
  LatencyTotals totals;

  LockoutRecord record;
  gboolean reset_sent;
  gboolean was_reset;
  guint32 counter_before;
  GError *reset_error; /* why a reset that was wanted and needed is not done */
} Reading;

void reading_args_free (ReadingArgs *args);
void reading_free (Reading *reading);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Reading, reading_free)

/*
 * A WorkerOperation: ReadingArgs to Reading. Two TPM commands; one more each for the fixed properties and for the run,
 * two more for a reset, or for a self-test.
 * A chip in failure mode is a result (test_result), not an error. Errors: rc_check()'s.
 */
gpointer reading_take (Tpm *tpm, gpointer args, GCancellable *cancellable, GError **error);

G_END_DECLS
