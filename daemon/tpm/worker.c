/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "worker.h"

#include "dbus/error.h"

/*
 * A job is a GTask: in the queue, then with a thread, then on its way back to the main context. It leaves the queue
 * once, under the mutex: to a thread, by its cancellation, or by worker_free(). Whoever took it out answers it.
 */
struct _Worker
{
  TpmConnect connect;
  gpointer user_data;
  guint n_threads;
  guint max_queued;
  GThread **threads;

  GMutex mutex;
  GCond work;
  GQueue waiting; /* of GTask, with a reference */
  GQueue running; /* of GTask, the threads' */
  gboolean stopping;
};

typedef struct
{
  Worker *worker;
  WorkerOperation operation;
  gpointer args;
  GDestroyNotify args_free;
  GDestroyNotify result_free;
  GCancellable *cancellable; /* ours: follows the caller's, and worker_free() */
  GCancellable *callers;
  gulong callers_handler;
} Job;

static void
clear_worker (gpointer data)
{
  Worker *worker = data;

  g_mutex_clear (&worker->mutex);
  g_cond_clear (&worker->work);
  g_free (worker->threads);
}

static void
worker_unref (Worker *worker)
{
  g_atomic_rc_box_release_full (worker, clear_worker);
}

static void
job_free (gpointer data)
{
  Job *job = data;

  if (job->args_free != NULL)
    g_clear_pointer (&job->args, job->args_free);
  g_cancellable_disconnect (job->callers, job->callers_handler);
  g_clear_object (&job->callers);
  g_clear_object (&job->cancellable);
  worker_unref (job->worker);
  g_free (job);
}

static void
run (GTask *task, Job *job, Tpm *tpm)
{
  GError *error = NULL;
  gpointer result = job->operation (tpm, job->args, job->cancellable, &error);

  if (job->args_free != NULL)
    g_clear_pointer (&job->args, job->args_free);
  if (result != NULL)
    {
      g_task_return_pointer (task, result, job->result_free);
      return;
    }
  tpm_disconnect (tpm);
  if (error == NULL)
    error = g_error_new (GGTPM_ERROR, GGTPM_ERROR_FAILED, "an operation ended without a result");
  g_task_return_error (task, error);
}

/* The next job, which is now in `running`; NULL: the thread ends. */
static GTask *
take_job (Worker *worker)
{
  GTask *task;

  g_mutex_lock (&worker->mutex);
  while (!worker->stopping && g_queue_is_empty (&worker->waiting))
    g_cond_wait (&worker->work, &worker->mutex);
  task = g_queue_pop_head (&worker->waiting);
  if (task != NULL)
    g_queue_push_tail (&worker->running, task);
  g_mutex_unlock (&worker->mutex);
  return task;
}

static gpointer
worker_thread (gpointer data)
{
  Worker *worker = data;
  g_autoptr (Tpm) tpm = tpm_new (worker->connect, worker->user_data);
  GTask *task;

  while ((task = take_job (worker)) != NULL)
    {
      run (task, g_task_get_task_data (task), tpm);
      g_mutex_lock (&worker->mutex);
      g_queue_remove (&worker->running, task);
      g_mutex_unlock (&worker->mutex);
      g_object_unref (task);
    }
  return NULL;
}

Worker *
worker_new (TpmConnect connect, gpointer user_data, guint n_threads, guint max_queued)
{
  Worker *worker = g_atomic_rc_box_new0 (Worker);

  g_return_val_if_fail (n_threads > 0, NULL);

  worker->connect = connect;
  worker->user_data = user_data;
  worker->n_threads = n_threads;
  worker->max_queued = max_queued;
  g_mutex_init (&worker->mutex);
  g_cond_init (&worker->work);
  g_queue_init (&worker->waiting);
  g_queue_init (&worker->running);
  worker->threads = g_new0 (GThread *, n_threads);
  for (guint i = 0; i < n_threads; i++)
    worker->threads[i] = g_thread_new ("worker", worker_thread, worker);
  return worker;
}

static void
return_cancelled (GTask *task)
{
  g_task_return_new_error (task, GGTPM_ERROR, GGTPM_ERROR_CANCELLED,
                           "cancelled before it was begun");
}

static gboolean
on_cancelled_idle (gpointer data)
{
  return_cancelled (data);
  return G_SOURCE_REMOVE;
}

/* In the thread that cancels, with the cancellable's lock: the task must not be answered and freed from here. */
static void
on_cancelled (GCancellable *callers, gpointer data)
{
  GTask *task = data;
  Job *job = g_task_get_task_data (task);
  Worker *worker = job->worker;
  gboolean was_waiting;

  g_cancellable_cancel (job->cancellable);
  g_mutex_lock (&worker->mutex);
  was_waiting = g_queue_remove (&worker->waiting, task);
  g_mutex_unlock (&worker->mutex);
  if (was_waiting)
    {
      g_autoptr (GSource) idle = g_idle_source_new ();

      g_source_set_priority (idle, G_PRIORITY_DEFAULT);
      g_source_set_callback (idle, on_cancelled_idle, task, g_object_unref);
      g_source_attach (idle, g_task_get_context (task));
    }
}

void
worker_free (Worker *worker)
{
  g_autoptr (GPtrArray) running = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GPtrArray) waiting = g_ptr_array_new_with_free_func (g_object_unref);
  GTask *task;

  if (worker == NULL)
    return;

  g_mutex_lock (&worker->mutex);
  worker->stopping = TRUE;
  while ((task = g_queue_pop_head (&worker->waiting)) != NULL)
    g_ptr_array_add (waiting, task);
  for (GList *link = worker->running.head; link != NULL; link = link->next)
    {
      Job *job = g_task_get_task_data (link->data);

      g_ptr_array_add (running, g_object_ref (job->cancellable));
    }
  g_cond_broadcast (&worker->work);
  g_mutex_unlock (&worker->mutex);

  for (guint i = 0; i < waiting->len; i++)
    return_cancelled (waiting->pdata[i]);
  for (guint i = 0; i < running->len; i++)
    g_cancellable_cancel (running->pdata[i]);
  for (guint i = 0; i < worker->n_threads; i++)
    g_thread_join (worker->threads[i]);
  worker_unref (worker);
}

static gboolean
push_job (Worker *worker, GTask *task)
{
  gboolean room;

  g_mutex_lock (&worker->mutex);
  room = worker->waiting.length + worker->running.length < worker->n_threads + worker->max_queued;
  if (room)
    {
      g_queue_push_tail (&worker->waiting, g_object_ref (task));
      g_cond_signal (&worker->work);
    }
  g_mutex_unlock (&worker->mutex);
  return room;
}

void
worker_run_async (Worker *worker,
                  WorkerOperation operation,
                  gpointer args,
                  GDestroyNotify args_free,
                  GDestroyNotify result_free,
                  GCancellable *cancellable,
                  GAsyncReadyCallback callback,
                  gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Job *job = g_new0 (Job, 1);

  job->worker = g_atomic_rc_box_acquire (worker);
  job->operation = operation;
  job->args = args;
  job->args_free = args_free;
  job->result_free = result_free;
  job->cancellable = g_cancellable_new ();
  g_task_set_source_tag (task, worker_run_async);
  g_task_set_task_data (task, job, job_free);
  /* What was done in the chip is reported as done, cancelled or not. */
  g_task_set_check_cancellable (task, FALSE);

  if (g_cancellable_is_cancelled (cancellable))
    {
      return_cancelled (task);
      return;
    }
  if (!push_job (worker, task))
    {
      g_task_return_new_error (task, GGTPM_ERROR, GGTPM_ERROR_BUSY,
                               "too much work is waiting for the TPM; try again later");
      return;
    }
  if (cancellable != NULL)
    {
      job->callers = g_object_ref (cancellable);
      job->callers_handler =
          g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), task, NULL);
    }
}

gpointer
worker_run_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, worker_run_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}
