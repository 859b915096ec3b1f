/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "bus/gate.h"

G_BEGIN_DECLS

/* Jobs: the org.ggtpm1.Job objects. Main thread, but for job_report(), job_ref() and job_unref(). */
typedef struct _Jobs Jobs;
typedef struct _Job Job;

/* Finished jobs are kept this long; of more than JOBS_MAX_FINISHED the oldest go before. */
#define JOBS_KEEP_S       600
#define JOBS_MAX_FINISHED 256
/* Unfinished jobs of one sender at once; one more is GGTPM_ERROR_BUSY. */
#define JOBS_MAX_PER_SENDER 4

/* Both must outlive it. */
Jobs *jobs_new (GDBusObjectManagerServer *objects, Gate *gate);
void jobs_free (Jobs *jobs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Jobs, jobs_free)

/* A new job in state `queued`, owned by @jobs until it has finished and JOBS_KEEP_S have passed. @sender: who may
 * cancel it without rights. Errors: GGTPM_ERROR_BUSY. */
Job *jobs_add (Jobs *jobs, const char *operation, const char *sender, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* For an operation on another thread, which may end after @jobs is gone. */
Job *job_ref (Job *job);
void job_unref (Job *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Job, job_unref)

const char *job_get_path (Job *job);
GCancellable *job_get_cancellable (Job *job);
/* Any thread: step and progress, shown from the main one. */
void job_report (Job *job, const char *step, double progress);
/* @result: a{sv}, floating is sunk */
void job_succeed (Job *job, GVariant *result);
/* Takes @error. */
void job_fail (Job *job, GError *error);

G_END_DECLS
