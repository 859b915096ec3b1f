/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "tpm.h"

G_BEGIN_DECLS

/*
 * Worker: runs operations away from the main thread: a bounded pool of threads, each with a Tpm of its own. An
 * operation is a plain function; properties and objects change only on the main thread, in the callback.
 */
typedef struct _Worker Worker;

/*
 * @tpm: this thread's, for the length of the call
 * Returns the result, or NULL with @error set.
 */
typedef gpointer (*WorkerOperation) (Tpm *tpm,
                                     gpointer args,
                                     GCancellable *cancellable,
                                     GError **error);

/*
 * @n_threads: operations at once; 1 makes it a lane in which they follow one another
 * @max_queued: operations that may wait; one more is refused with GGTPM_ERROR_BUSY
 */
Worker *worker_new (TpmConnect connect, gpointer user_data, guint n_threads, guint max_queued);
/* Cancels what waits and runs, and waits for the threads. */
void worker_free (Worker *worker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Worker, worker_free)

/*
 * @args: freed with @args_free after the operation, or when it is not run at all
 * @result_free: for a result that nobody collects
 * Main thread; @callback comes there too. An operation cancelled while it waits is never begun.
 */
void worker_run_async (Worker *worker,
                       WorkerOperation operation,
                       gpointer args,
                       GDestroyNotify args_free,
                       GDestroyNotify result_free,
                       GCancellable *cancellable,
                       GAsyncReadyCallback callback,
                       gpointer user_data);
/* The operation's result, the caller's. Errors: the operation's; GGTPM_ERROR_BUSY, GGTPM_ERROR_CANCELLED. */
gpointer worker_run_finish (GAsyncResult *result, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
