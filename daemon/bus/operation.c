/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "operation.h"

#include "bus/reply.h"
#include "dbus/names.h"

#define MAX_PINS 2

struct _Operation
{
  const Context *context;
  const OperationType *type;
  GObject *skeleton;
  GDBusMethodInvocation *invocation; /* NULL: answered */
  gpointer args;                     /* NULL: the worker's */
  struct
  {
    int fd;
    Secret **location;
  } pins[MAX_PINS];
  guint n_pins;
  guint n_pins_read;
  OperationAnswer answer;
  const char *job_name; /* NULL: no job */
  Job **job_location;
  OperationResult job_result;
  Job *job;
  gpointer result;
  GError *error;
};

static void
operation_free (Operation *operation)
{
  if (operation->args != NULL)
    operation->type->args_free (operation->args);
  if (operation->result != NULL && operation->type->result_free != NULL)
    operation->type->result_free (operation->result);
  g_clear_pointer (&operation->job, job_unref);
  g_clear_error (&operation->error);
  g_object_unref (operation->skeleton);
  g_free (operation);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Operation, operation_free)

Operation *
operation_new (const Context *context,
               const OperationType *type,
               gpointer skeleton,
               GDBusMethodInvocation *invocation,
               gpointer args)
{
  Operation *operation = g_new0 (Operation, 1);

  operation->context = context;
  operation->type = type;
  operation->skeleton = g_object_ref (G_OBJECT (skeleton));
  operation->invocation = invocation;
  operation->args = args;
  return operation;
}

void
operation_add_pin (Operation *operation, int fd, Secret **location)
{
  if (fd < 0)
    return;
  g_return_if_fail (operation->n_pins < MAX_PINS);
  operation->pins[operation->n_pins].fd = fd;
  operation->pins[operation->n_pins].location = location;
  operation->n_pins++;
}

/* ---- its end ---- */

static gboolean
on_settled (gpointer user_data)
{
  g_autoptr (Operation) operation = user_data;

  if (operation->job != NULL && operation->error != NULL)
    job_fail (operation->job, g_steal_pointer (&operation->error));
  else if (operation->job != NULL)
    job_succeed (operation->job, operation->job_result (operation->result));
  else if (operation->error != NULL)
    reply_error (g_steal_pointer (&operation->invocation), g_steal_pointer (&operation->error));
  else
    operation->answer (operation->skeleton, g_steal_pointer (&operation->invocation),
                       operation->result);
  return G_SOURCE_REMOVE;
}

static void
run_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Operation *operation = user_data;
  const Context *context = operation->context;

  operation->result = worker_run_finish (result, &operation->error);
  /* also after a failure: it may have got half way */
  if (operation->type->changes_store)
    context->refresh (context->refresh_data, on_settled, operation);
  else
    on_settled (operation);
}

/* ---- its beginning ---- */

static gboolean
begin_job (Operation *operation)
{
  GDBusMethodInvocation *invocation = g_steal_pointer (&operation->invocation);
  GError *error = NULL;
  Job *job;

  job = jobs_add (operation->context->jobs, operation->job_name,
                  g_dbus_method_invocation_get_sender (invocation), &error);
  if (job == NULL)
    {
      reply_error (invocation, error);
      return FALSE;
    }
  operation->job = job_ref (job);
  *operation->job_location = job_ref (job);
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(o)", job_get_path (job)));
  return TRUE;
}

static void
begin (Operation *operation)
{
  g_autoptr (Operation) owned = operation;

  if (operation->job_name != NULL && !begin_job (operation))
    return;
  worker_run_async (operation->context->lane, operation->type->run,
                    g_steal_pointer (&operation->args), operation->type->args_free,
                    operation->type->result_free,
                    operation->job != NULL ? job_get_cancellable (operation->job) : NULL, run_done,
                    g_steal_pointer (&owned));
}

static void read_next_pin (Operation *operation);

static void
read_pin_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Operation) operation = user_data;
  g_autoptr (GError) local_error = NULL;
  Secret *pin = secret_read_fd_finish (result, &local_error);

  if (pin == NULL)
    {
      g_prefix_error (&local_error, "reading the PIN: ");
      reply_error (g_steal_pointer (&operation->invocation), g_steal_pointer (&local_error));
      return;
    }
  *operation->pins[operation->n_pins_read++].location = pin;
  read_next_pin (g_steal_pointer (&operation));
}

static void
read_next_pin (Operation *operation)
{
  if (operation->n_pins_read == operation->n_pins)
    begin (operation);
  else
    secret_read_fd_async (operation->pins[operation->n_pins_read].fd, GGTPM_PIN_MAX_BYTES, NULL,
                          read_pin_done, operation);
}

void
operation_start (Operation *operation, OperationAnswer answer)
{
  operation->answer = answer;
  read_next_pin (operation);
}

void
operation_start_job (Operation *operation, const char *name, Job **location, OperationResult result)
{
  operation->job_name = name;
  operation->job_location = location;
  operation->job_result = result;
  read_next_pin (operation);
}
