/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* tpm/worker.c: order, cancelling, back-pressure, stopping. No TPM: the operations are made up. */

#include "tpm/worker.h"

#include "dbus/error.h"

#include <string.h>

#define N_ROUNDS   1000
#define MAX_JOBS   12
#define N_BLOCKING 4

/* A door that operations wait at until the test opens it. */
typedef struct
{
  GMutex mutex;
  GCond cond;
  guint inside; /* operations that have arrived */
  gboolean open;
} Door;

static void
door_wait (Door *door)
{
  g_mutex_lock (&door->mutex);
  door->inside++;
  g_cond_broadcast (&door->cond);
  while (!door->open)
    g_cond_wait (&door->cond, &door->mutex);
  g_mutex_unlock (&door->mutex);
}

static void
door_wait_for (Door *door, guint n)
{
  g_mutex_lock (&door->mutex);
  while (door->inside < n)
    g_cond_wait (&door->cond, &door->mutex);
  g_mutex_unlock (&door->mutex);
}

static void
door_open (Door *door)
{
  g_mutex_lock (&door->mutex);
  door->open = TRUE;
  g_cond_broadcast (&door->cond);
  g_mutex_unlock (&door->mutex);
}

static gint n_connects;

static int
connect_nowhere (gpointer user_data, GError **error)
{
  g_atomic_int_inc (&n_connects);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE, "nobody there");
  return -1;
}

/* One submitted operation and all that became of it. */
typedef struct
{
  Door *door;      /* waits here; may be NULL */
  gboolean fail;   /* ends in an error */
  gboolean obey;   /* ends in an error if it sees that it was cancelled */
  gint *order;     /* counts begun operations */
  gint begun;      /* 0: never; else its place in that order */
  gint args_freed; /* times */
  gint freed_results;
  guint answers;
  gboolean succeeded;
  GError *error;
  GThread *thread;
  GCancellable *cancellable;
} Record;

static void
free_args (gpointer data)
{
  Record *record = data;

  g_atomic_int_inc (&record->args_freed);
}

static void
free_result (gpointer data)
{
  Record *record = data;

  g_atomic_int_inc (&record->freed_results);
}

static gpointer
operate (Tpm *tpm, gpointer args, GCancellable *cancellable, GError **error)
{
  Record *record = args;

  g_assert_nonnull (tpm);
  g_assert_cmpint (g_atomic_int_get (&record->args_freed), ==, 0);
  record->thread = g_thread_self ();
  g_atomic_int_set (&record->begun,
                    record->order != NULL ? g_atomic_int_add (record->order, 1) + 1 : 1);
  if (record->door != NULL)
    door_wait (record->door);
  if (record->obey && g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  if (record->fail)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "failed on purpose");
      return NULL;
    }
  return record;
}

static void
operate_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Record *record = user_data;

  record->succeeded = worker_run_finish (result, &record->error) != NULL;
  record->answers++;
}

static void
submit (Worker *worker, Record *record)
{
  worker_run_async (worker, operate, record, free_args, free_result, record->cancellable,
                    operate_done, record);
}

static void
wait_for_answer (Record *record)
{
  while (record->answers == 0)
    g_main_context_iteration (NULL, TRUE);
}

static void
drain (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
record_clear (Record *record)
{
  g_clear_error (&record->error);
  g_clear_object (&record->cancellable);
}

static void
test_result (void)
{
  g_autoptr (Worker) worker = worker_new (connect_nowhere, NULL, 1, 4);
  Record good = { 0 };
  Record bad = { .fail = TRUE };

  submit (worker, &good);
  g_assert_cmpuint (good.answers, ==, 0); /* never from within the call */
  wait_for_answer (&good);
  g_assert_no_error (good.error);
  g_assert_true (good.succeeded);
  g_assert_cmpint (good.args_freed, ==, 1);
  g_assert_cmpint (good.freed_results, ==, 0);
  g_assert_true (good.thread != g_thread_self ());

  submit (worker, &bad);
  wait_for_answer (&bad);
  g_assert_error (bad.error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  g_assert_cmpint (bad.args_freed, ==, 1);
  record_clear (&bad);
}

static gpointer
op_connect (Tpm *tpm, gpointer args, GCancellable *cancellable, GError **error)
{
  return tpm_get_esys (tpm, error);
}

/* A worker that never needs the chip never connects; one that does tries anew each time. */
static void
test_lazy (void)
{
  g_autoptr (Worker) worker = worker_new (connect_nowhere, NULL, 1, 4);
  Record record = { 0 };

  n_connects = 0;
  submit (worker, &record);
  wait_for_answer (&record);
  g_assert_cmpint (g_atomic_int_get (&n_connects), ==, 0);

  for (gint i = 1; i <= 2; i++)
    {
      Record refused = { 0 };

      worker_run_async (worker, op_connect, NULL, NULL, NULL, NULL, operate_done, &refused);
      wait_for_answer (&refused);
      g_assert_error (refused.error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE);
      g_assert_nonnull (strstr (refused.error->message, "nobody there"));
      g_assert_cmpint (g_atomic_int_get (&n_connects), ==, i);
      record_clear (&refused);
    }
}

static void
test_order (void)
{
  g_autoptr (Worker) worker = worker_new (connect_nowhere, NULL, 1, 16);
  Record records[16] = { 0 };
  gint order = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (records); i++)
    {
      records[i].order = &order;
      submit (worker, &records[i]);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (records); i++)
    {
      wait_for_answer (&records[i]);
      g_assert_cmpint (records[i].begun, ==, (gint)i + 1);
    }
}

/* With as many threads as operations all are inside at once: otherwise this never ends. */
static void
test_parallel (void)
{
  g_autoptr (Worker) worker = worker_new (connect_nowhere, NULL, N_BLOCKING, 0);
  Record records[N_BLOCKING] = { 0 };
  Door door = { 0 };

  for (guint i = 0; i < N_BLOCKING; i++)
    {
      records[i].door = &door;
      submit (worker, &records[i]);
    }
  door_wait_for (&door, N_BLOCKING);
  door_open (&door);
  for (guint i = 0; i < N_BLOCKING; i++)
    {
      wait_for_answer (&records[i]);
      g_assert_true (records[i].succeeded);
    }
}

static void
test_back_pressure (void)
{
  g_autoptr (Worker) worker = worker_new (connect_nowhere, NULL, 1, 2);
  Record records[5] = { 0 };
  Door door = { 0 };

  records[0].door = &door;
  submit (worker, &records[0]);
  door_wait_for (&door, 1);
  submit (worker, &records[1]);
  submit (worker, &records[2]);
  submit (worker, &records[3]);
  wait_for_answer (&records[3]);
  g_assert_error (records[3].error, GGTPM_ERROR, GGTPM_ERROR_BUSY);
  g_assert_cmpint (records[3].begun, ==, 0);
  g_assert_cmpint (records[3].args_freed, ==, 1);
  g_assert_cmpuint (records[1].answers + records[2].answers, ==, 0);

  door_open (&door);
  wait_for_answer (&records[2]);
  submit (worker, &records[4]);
  wait_for_answer (&records[4]);
  g_assert_true (records[4].succeeded);
  record_clear (&records[3]);
}

/* It is answered at once, although the only thread is busy, and its place in the queue is free again. */
static void
test_cancel_waiting (void)
{
  g_autoptr (Worker) worker = worker_new (connect_nowhere, NULL, 1, 1);
  Record running = { 0 };
  Record waiting = { .cancellable = g_cancellable_new () };
  Record next = { 0 };
  Door door = { 0 };

  running.door = &door;
  submit (worker, &running);
  door_wait_for (&door, 1);
  submit (worker, &waiting);
  g_cancellable_cancel (waiting.cancellable);
  wait_for_answer (&waiting);
  g_assert_error (waiting.error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED);
  g_assert_cmpint (waiting.args_freed, ==, 1);
  g_assert_cmpuint (running.answers, ==, 0);

  submit (worker, &next);
  door_open (&door);
  wait_for_answer (&next);
  g_assert_true (next.succeeded);
  g_assert_cmpint (waiting.begun, ==, 0);
  record_clear (&waiting);
}

static void
test_cancelled_before (void)
{
  g_autoptr (Worker) worker = worker_new (connect_nowhere, NULL, 1, 1);
  Record record = { .cancellable = g_cancellable_new () };

  g_cancellable_cancel (record.cancellable);
  submit (worker, &record);
  g_assert_cmpuint (record.answers, ==, 0);
  wait_for_answer (&record);
  g_assert_error (record.error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED);
  g_assert_cmpint (record.begun, ==, 0);
  g_assert_cmpint (record.args_freed, ==, 1);
  record_clear (&record);
}

/* Up to the operation: what it did is told, cancelled or not. */
static void
test_cancel_running (void)
{
  g_autoptr (Worker) worker = worker_new (connect_nowhere, NULL, 2, 0);
  Record obeys = { .obey = TRUE, .cancellable = g_cancellable_new () };
  Record goes_on = { .cancellable = g_cancellable_new () };
  Door door = { 0 };

  obeys.door = goes_on.door = &door;
  submit (worker, &obeys);
  submit (worker, &goes_on);
  door_wait_for (&door, 2);
  g_cancellable_cancel (obeys.cancellable);
  g_cancellable_cancel (goes_on.cancellable);
  drain ();
  g_assert_cmpuint (obeys.answers + goes_on.answers, ==, 0);
  door_open (&door);
  wait_for_answer (&obeys);
  wait_for_answer (&goes_on);
  g_assert_error (obeys.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_true (goes_on.succeeded);
  record_clear (&obeys);
  record_clear (&goes_on);
}

static gpointer
open_door_later (gpointer data)
{
  Door *door = data;

  g_usleep (20 * 1000);
  door_open (door);
  return NULL;
}

static void
test_free (void)
{
  Worker *worker = worker_new (connect_nowhere, NULL, 1, 2);
  Record running = { .obey = TRUE };
  Record waiting = { .cancellable = g_cancellable_new () };
  Door door = { 0 };
  GThread *thread;

  running.door = &door;
  submit (worker, &running);
  door_wait_for (&door, 1);
  submit (worker, &waiting);
  thread = g_thread_new ("door", open_door_later, &door);
  worker_free (worker);
  g_assert_true (door.open); /* it has waited for the operation */
  g_thread_join (thread);

  wait_for_answer (&running);
  wait_for_answer (&waiting);
  g_assert_error (running.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_error (waiting.error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED);
  g_assert_cmpint (waiting.begun, ==, 0);
  g_cancellable_cancel (waiting.cancellable); /* too late for anything, and harmless */
  record_clear (&running);
  record_clear (&waiting);
}

static void
ignore_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Record *record = user_data;

  record->answers++;
}

static void
test_result_not_collected (void)
{
  g_autoptr (Worker) worker = worker_new (connect_nowhere, NULL, 1, 1);
  Record record = { 0 };

  worker_run_async (worker, operate, &record, free_args, free_result, NULL, ignore_done, &record);
  wait_for_answer (&record);
  drain ();
  while (g_atomic_int_get (&record.freed_results) == 0)
    g_thread_yield (); /* the thread may hold the last reference for a moment */
  g_assert_cmpint (record.freed_results, ==, 1);
}

static gpointer
cancel_from_thread (gpointer data)
{
  if (g_random_boolean ())
    g_thread_yield ();
  g_cancellable_cancel (data);
  return NULL;
}

typedef struct
{
  Record records[MAX_JOBS];
  GThread *cancellers[MAX_JOBS];
  guint n;
  gint order;
} Round;

static void
submit_at_random (Round *round, Worker *worker)
{
  Record *record = &round->records[round->n];

  record->order = &round->order;
  record->fail = g_test_rand_int_range (0, 4) == 0;
  record->obey = g_test_rand_bit ();
  if (g_test_rand_bit ())
    record->cancellable = g_cancellable_new ();
  submit (worker, record);
  if (record->cancellable != NULL && g_test_rand_bit ())
    round->cancellers[round->n] =
        g_thread_new ("canceller", cancel_from_thread, record->cancellable);
  round->n++;
}

static void
check_round (Round *round, guint n_threads)
{
  gint last_begun = 0;

  for (guint i = 0; i < round->n; i++)
    {
      Record *record = &round->records[i];

      g_assert_cmpuint (record->answers, ==, 1);
      g_assert_cmpint (record->args_freed, ==, 1);
      g_assert_cmpint (record->freed_results, ==, 0);
      g_assert_true (record->succeeded == (record->error == NULL));
      if (g_error_matches (record->error, GGTPM_ERROR, GGTPM_ERROR_BUSY) ||
          g_error_matches (record->error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED))
        g_assert_cmpint (record->begun, ==, 0);
      else
        g_assert_cmpint (record->begun, >, 0);
      if (n_threads == 1 && record->begun != 0)
        {
          g_assert_cmpint (record->begun, >, last_begun);
          last_begun = record->begun;
        }
    }
}

/* Submitting, cancelling from here and from other threads, iterating and stopping, in any order; --seed repeats it. */
static void
test_random (void)
{
  for (guint i = 0; i < N_ROUNDS; i++)
    {
      Round round = { 0 };
      guint n_threads = (guint)g_test_rand_int_range (1, 4);
      guint n_jobs = (guint)g_test_rand_int_range (1, MAX_JOBS + 1);
      Worker *worker =
          worker_new (connect_nowhere, NULL, n_threads, (guint)g_test_rand_int_range (0, 6));

      while (round.n < n_jobs)
        {
          guint what = (guint)g_test_rand_int_range (0, 4);

          if (what <= 1)
            submit_at_random (&round, worker);
          else if (what == 2)
            g_main_context_iteration (NULL, FALSE);
          else if (round.n > 0)
            g_cancellable_cancel (
                round.records[g_test_rand_int_range (0, (gint)round.n)].cancellable);
        }
      if (g_test_rand_bit ())
        wait_for_answer (&round.records[round.n - 1]);
      worker_free (worker);
      for (guint j = 0; j < round.n; j++)
        {
          g_clear_pointer (&round.cancellers[j], g_thread_join);
          wait_for_answer (&round.records[j]);
        }
      drain ();
      check_round (&round, n_threads);
      for (guint j = 0; j < round.n; j++)
        record_clear (&round.records[j]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/worker/result", test_result);
  g_test_add_func ("/worker/lazy", test_lazy);
  g_test_add_func ("/worker/order", test_order);
  g_test_add_func ("/worker/parallel", test_parallel);
  g_test_add_func ("/worker/back-pressure", test_back_pressure);
  g_test_add_func ("/worker/cancel-waiting", test_cancel_waiting);
  g_test_add_func ("/worker/cancelled-before", test_cancelled_before);
  g_test_add_func ("/worker/cancel-running", test_cancel_running);
  g_test_add_func ("/worker/free", test_free);
  g_test_add_func ("/worker/result-not-collected", test_result_not_collected);
  g_test_add_func ("/worker/random", test_random);
  return g_test_run ();
}
