/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "jobs.h"

#include "bus/options.h"
#include "bus/reply.h"
#include "bus/teller.h"
#include "dbus/error.h"
#include "dbus/names.h"
#include "ggtpm-generated.h"

struct _Jobs
{
  GDBusObjectManagerServer *objects;
  Gate *gate;
  guint64 last_number;
  GQueue running;  /* of Job */
  GQueue finished; /* of Job, the oldest first */
};

struct _Job
{
  gatomicrefcount ref_count;
  Jobs *jobs; /* NULL: gone */
  char *path;
  char *sender;
  GgtpmJob *skeleton;
  GCancellable *cancellable;
  guint expiry;
};

Job *
job_ref (Job *job)
{
  g_atomic_ref_count_inc (&job->ref_count);
  return job;
}

void
job_unref (Job *job)
{
  if (!g_atomic_ref_count_dec (&job->ref_count))
    return;
  g_object_unref (job->skeleton);
  g_object_unref (job->cancellable);
  g_free (job->path);
  g_free (job->sender);
  g_free (job);
}

const char *
job_get_path (Job *job)
{
  return job->path;
}

GCancellable *
job_get_cancellable (Job *job)
{
  return job->cancellable;
}

static gboolean
is_finished (Job *job)
{
  const char *state = ggtpm_job_get_state (job->skeleton);

  return !g_str_equal (state, "queued") && !g_str_equal (state, "running");
}

/* ---- progress ---- */

typedef struct
{
  Job *job;
  char *step;
  double progress;
} Report;

static void
report_free (gpointer data)
{
  Report *report = data;

  job_unref (report->job);
  g_free (report->step);
  g_free (report);
}

static gboolean
on_report (gpointer user_data)
{
  Report *report = user_data;
  GgtpmJob *skeleton = report->job->skeleton;

  if (report->job->jobs == NULL || is_finished (report->job))
    return G_SOURCE_REMOVE;
  ggtpm_job_set_state (skeleton, "running");
  ggtpm_job_set_step (skeleton, report->step);
  ggtpm_job_set_progress (skeleton, CLAMP (report->progress, 0.0, 1.0));
  return G_SOURCE_REMOVE;
}

void
job_report (Job *job, const char *step, double progress)
{
  Report *report = g_new0 (Report, 1);

  report->job = job_ref (job);
  report->step = g_strdup (step);
  report->progress = progress;
  /* in the order of the calls, and before the operation's own end, which comes with this priority, too */
  g_idle_add_full (G_PRIORITY_DEFAULT, on_report, report, report_free);
}

/* ---- the end ---- */

static void
remove_job (Job *job)
{
  g_clear_handle_id (&job->expiry, g_source_remove);
  g_dbus_object_manager_server_unexport (job->jobs->objects, job->path);
  job->jobs = NULL;
  job_unref (job);
}

static gboolean
on_expired (gpointer user_data)
{
  Job *job = user_data;

  job->expiry = 0;
  g_queue_remove (&job->jobs->finished, job);
  remove_job (job);
  return G_SOURCE_REMOVE;
}

static void
finish (Job *job, const char *state, const char *error_name, const char *text, GVariant *result)
{
  Jobs *jobs = job->jobs;

  ggtpm_job_set_error (job->skeleton, g_variant_new ("(ss)", error_name, text));
  ggtpm_job_set_result (job->skeleton, result);
  ggtpm_job_set_state (job->skeleton, state);
  /* the properties are what Finished announces: they go out first */
  teller_flush (job->skeleton);
  ggtpm_job_emit_finished (job->skeleton, state, g_variant_new ("(ss)", error_name, text), result);

  g_queue_remove (&jobs->running, job);
  g_queue_push_tail (&jobs->finished, job);
  job->expiry = g_timeout_add_seconds (JOBS_KEEP_S, on_expired, job);
  if (g_queue_get_length (&jobs->finished) > JOBS_MAX_FINISHED)
    remove_job (g_queue_pop_head (&jobs->finished));
}

void
job_succeed (Job *job, GVariant *result)
{
  g_autoptr (GVariant) owned = g_variant_ref_sink (result);

  if (job->jobs == NULL)
    return;
  ggtpm_job_set_progress (job->skeleton, 1.0);
  ggtpm_job_set_step (job->skeleton, "");
  finish (job, "done", "", "", owned);
}

void
job_fail (Job *job, GError *error)
{
  g_autoptr (GVariant) nothing = g_variant_ref_sink (g_variant_new ("a{sv}", NULL));
  g_autofree char *name = NULL;
  g_autofree char *text = NULL;
  gboolean cancelled;

  if (job->jobs == NULL)
    {
      g_error_free (error);
      return;
    }
  reply_log_error (job->path, error);
  cancelled = g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED);
  name = g_dbus_error_encode_gerror (error);
  text = g_strdup (error->message);
  g_error_free (error);
  finish (job, cancelled ? "cancelled" : "failed", name, text, nothing);
}

static gboolean
handle_cancel (GgtpmJob *skeleton,
               GDBusMethodInvocation *invocation,
               GVariant *options,
               gpointer user_data)
{
  Job *job = user_data;
  g_autoptr (GError) local_error = NULL;

  if (!options_check_empty (options, &local_error))
    reply_error (invocation, g_steal_pointer (&local_error));
  else if (is_finished (job))
    reply_error (invocation,
                 g_error_new (GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED,
                              "the job has finished: it is %s", ggtpm_job_get_state (skeleton)));
  else
    {
      g_cancellable_cancel (job->cancellable);
      ggtpm_job_complete_cancel (skeleton, invocation);
    }
  return TRUE;
}

/* ---- all of them ---- */

static guint
count_running (Jobs *jobs, const char *sender)
{
  guint n = 0;

  for (GList *node = jobs->running.head; node != NULL; node = node->next)
    if (g_strcmp0 (((Job *)node->data)->sender, sender) == 0)
      n++;
  return n;
}

static void
export_job (Jobs *jobs, Job *job)
{
  g_autoptr (GDBusObjectSkeleton) object = g_dbus_object_skeleton_new (job->path);

  g_dbus_object_skeleton_add_interface (object, G_DBUS_INTERFACE_SKELETON (job->skeleton));
  g_dbus_object_manager_server_export (jobs->objects, object);
}

Job *
jobs_add (Jobs *jobs, const char *operation, const char *sender, GError **error)
{
  Job *job;

  if (count_running (jobs, sender) >= JOBS_MAX_PER_SENDER)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_BUSY,
                   "%d jobs of yours are under way: wait for one to end", JOBS_MAX_PER_SENDER);
      return NULL;
    }
  job = g_new0 (Job, 1);
  g_atomic_ref_count_init (&job->ref_count);
  job->jobs = jobs;
  job->path = g_strdup_printf (GGTPM_JOB_PATH "/%" G_GUINT64_FORMAT, ++jobs->last_number);
  job->sender = g_strdup (sender);
  job->cancellable = g_cancellable_new ();
  job->skeleton = gate_new_skeleton (jobs->gate, GGTPM_TYPE_JOB_SKELETON);
  gate_set_owner (job->skeleton, sender);
  ggtpm_job_set_operation (job->skeleton, operation);
  ggtpm_job_set_state (job->skeleton, "queued");
  ggtpm_job_set_started (job->skeleton, (guint64)(g_get_real_time () / G_USEC_PER_SEC));
  ggtpm_job_set_error (job->skeleton, g_variant_new ("(ss)", "", ""));
  ggtpm_job_set_result (job->skeleton, g_variant_new ("a{sv}", NULL));
  g_signal_connect (job->skeleton, "handle-cancel", G_CALLBACK (handle_cancel), job);
  g_queue_push_tail (&jobs->running, job);
  export_job (jobs, job);
  return job;
}

Jobs *
jobs_new (GDBusObjectManagerServer *objects, Gate *gate)
{
  Jobs *jobs = g_new0 (Jobs, 1);

  jobs->objects = objects;
  jobs->gate = gate;
  return jobs;
}

void
jobs_free (Jobs *jobs)
{
  GQueue *queues[] = { &jobs->running, &jobs->finished };

  for (gsize i = 0; i < G_N_ELEMENTS (queues); i++)
    while (!g_queue_is_empty (queues[i]))
      {
        Job *job = g_queue_pop_head (queues[i]);

        g_cancellable_cancel (job->cancellable);
        remove_job (job);
      }
  g_free (jobs);
}
