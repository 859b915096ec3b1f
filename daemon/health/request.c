/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "request.h"

typedef struct
{
  GTask *task; /* NULL: it is `ready` */
  gboolean is_reset;
  GSourceFunc ready;
  gpointer user_data;
} Waiter;

static void
waiter_free (gpointer data)
{
  Waiter *waiter = data;

  g_clear_object (&waiter->task);
  g_free (waiter);
}

void
request_init (Request *request)
{
  *request = (Request){ .waiters = g_ptr_array_new_with_free_func (waiter_free) };
}

void
request_clear (Request *request)
{
  g_clear_pointer (&request->waiters, g_ptr_array_unref);
}

void
request_add_task (Request *request, GTask *task, gboolean is_reset)
{
  Waiter *waiter = g_new0 (Waiter, 1);

  waiter->task = task;
  waiter->is_reset = is_reset;
  g_ptr_array_add (request->waiters, waiter);
}

void
request_add_ready (Request *request, GSourceFunc ready, gpointer user_data)
{
  Waiter *waiter = g_new0 (Waiter, 1);

  waiter->ready = ready;
  waiter->user_data = user_data;
  g_ptr_array_add (request->waiters, waiter);
}

static void
answer (const Waiter *waiter, const Reading *reading, const GError *error)
{
  if (waiter->ready != NULL)
    waiter->ready (waiter->user_data);
  if (waiter->task == NULL)
    return;
  if (error != NULL)
    g_task_return_error (waiter->task, g_error_copy (error));
  else if (waiter->is_reset && reading->reset_error != NULL)
    g_task_return_error (waiter->task, g_error_copy (reading->reset_error));
  else
    g_task_return_boolean (waiter->task, TRUE);
}

void
request_answer (Request *request, const Reading *reading, const GError *error)
{
  for (guint i = 0; i < request->waiters->len; i++)
    answer (request->waiters->pdata[i], reading, error);
  request_clear (request);
}
