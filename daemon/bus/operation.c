/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "operation.h"

#include "bus/reply.h"
#include "dbus/error.h"
#include "dbus/names.h"

#define MAX_PINS 2

struct _Operation
{
  const Context *context;
  const OperationType *type;
  GObject *skeleton;
  GDBusMethodInvocation *invocation; /* NULL: answered */
  gpointer args;                     /* NULL: the worker's */
  char *key;                         /* NULL: it is no use of a key */
  struct
  {
    int fd; /* of the message; -1: the option was not given */
    Secret **location;
  } pins[MAX_PINS];
  guint n_pins;
  guint n_pins_read;
  Job **job_location;
  Job *job; /* NULL: none, or not yet */
};

static void
operation_free (Operation *operation)
{
  if (operation->args != NULL)
    operation->type->args_free (operation->args);
  g_clear_pointer (&operation->job, job_unref);
  g_object_unref (operation->skeleton);
  g_free (operation->key);
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

Option
operation_pin_option (Operation *operation, const char *name, Secret **location)
{
  guint i = operation->n_pins++;

  g_assert (i < MAX_PINS);
  operation->pins[i].fd = -1;
  operation->pins[i].location = location;
  return (Option){ name, "h", &operation->pins[i].fd };
}

gboolean
operation_has_pin (const Operation *operation)
{
  for (guint i = 0; i < operation->n_pins; i++)
    if (operation->pins[i].fd >= 0)
      return TRUE;
  return FALSE;
}

void
operation_set_key (Operation *operation, const char *name)
{
  g_free (operation->key);
  operation->key = g_strdup (name);
}

/* ---- on the token lane ---- */

typedef struct
{
  const OperationType *type;
  gpointer args;
  const Config *config;
  Tokens *tokens;
  gpointer (*list) (const Config *config, Tokens *tokens);
  GDestroyNotify list_free;
} Run;

typedef struct
{
  const OperationType *type;
  gpointer result;
  gpointer list;
  GDestroyNotify list_free;
} Outcome;

static void
run_free (gpointer data)
{
  Run *run = data;

  run->type->args_free (run->args);
  g_free (run);
}

static void
outcome_free (gpointer data)
{
  Outcome *outcome = data;

  if (outcome->result != NULL && outcome->type->result_free != NULL)
    outcome->type->result_free (outcome->result);
  if (outcome->list != NULL)
    outcome->list_free (outcome->list);
  g_free (outcome);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Outcome, outcome_free)

/* The listing belongs to the same turn: after it others may have theirs, and theirs may take long. */
static gpointer
op_run (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  Run *run = data;
  gpointer result = run->type->run (tpm, run->args, cancellable, error);
  Outcome *outcome;

  if (result == NULL)
    return NULL;
  outcome = g_new0 (Outcome, 1);
  outcome->type = run->type;
  outcome->result = result;
  outcome->list_free = run->list_free;
  if (run->type->changes_store)
    outcome->list = run->list (run->config, run->tokens);
  return outcome;
}

/* ---- its end ---- */

static void
end_job (Operation *operation, Outcome *outcome, GError *error)
{
  if (outcome == NULL)
    job_fail (operation->job, error);
  else
    job_succeed (operation->job, operation->type->job_result (outcome->result));
}

static void
end_call (Operation *operation, Outcome *outcome, GError *error)
{
  GDBusMethodInvocation *invocation = g_steal_pointer (&operation->invocation);

  if (outcome == NULL)
    reply_error (invocation, error);
  else
    operation->type->answer (operation->skeleton, invocation, outcome->result);
}

void
operation_answer_nothing (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  g_dbus_method_invocation_return_value (invocation, NULL);
}

/* A refused authorisation has moved the lockout counter: whoever looks at the health now must see that. */
void
operation_note_use (const Context *context, const char *key, const GError *error)
{
  if (key != NULL)
    monitor_note_key_use (context->monitor, key, error);
  if (g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED) ||
      g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT))
    monitor_check_async (context->monitor, NULL, NULL, NULL);
}

static void
run_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Operation) operation = user_data;
  const Context *context = operation->context;
  GError *error = NULL;
  g_autoptr (Outcome) outcome = worker_run_finish (result, &error);

  operation_note_use (context, operation->key, error);
  if (outcome != NULL && operation->type->note_uses != NULL)
    operation->type->note_uses (context, outcome->result);
  /* also after a failure: it may have got half way */
  if (operation->type->changes_store)
    context->show (context->show_data, outcome != NULL ? g_steal_pointer (&outcome->list) : NULL);
  if (operation->job != NULL)
    end_job (operation, outcome, error);
  else
    end_call (operation, outcome, error);
}

/* ---- its beginning ---- */

static gboolean
begin_job (Operation *operation)
{
  GDBusMethodInvocation *invocation = g_steal_pointer (&operation->invocation);
  GError *error = NULL;
  Job *job;

  job = jobs_add (operation->context->jobs, operation->type->job,
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

static Run *
make_run (Operation *operation)
{
  const Context *context = operation->context;
  Run *run = g_new0 (Run, 1);

  run->type = operation->type;
  run->args = g_steal_pointer (&operation->args);
  run->config = context->config;
  run->tokens = context->tokens;
  run->list = context->list;
  run->list_free = context->list_free;
  return run;
}

static void
begin (Operation *operation)
{
  g_autoptr (Operation) owned = operation;

  if (operation->type->job != NULL && !begin_job (operation))
    return;
  worker_run_async (operation->context->lane, op_run, make_run (operation), run_free, outcome_free,
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
  guint *i = &operation->n_pins_read;

  while (*i < operation->n_pins && operation->pins[*i].fd < 0)
    (*i)++;
  if (*i == operation->n_pins)
    begin (operation);
  else
    secret_read_fd_async (operation->pins[*i].fd, GGTPM_PIN_MAX_BYTES, NULL, read_pin_done,
                          operation);
}

void
operation_refuse (Operation *operation, GError *error)
{
  reply_error (g_steal_pointer (&operation->invocation), error);
  operation_free (operation);
}

void
operation_start (Operation *operation)
{
  const char *unavailable = operation->context->unavailable;

  if (unavailable != NULL)
    operation_refuse (operation, g_error_new (GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE,
                                              "the TPM cannot be used: %s", unavailable));
  else
    read_next_pin (operation);
}

void
operation_start_job (Operation *operation, Job **location)
{
  operation->job_location = location;
  operation_start (operation);
}

void
operation_end (Operation *operation, OperationAnswer answer, gpointer result, GError *error)
{
  GDBusMethodInvocation *invocation = g_steal_pointer (&operation->invocation);

  operation_note_use (operation->context, operation->key, error);
  if (result == NULL)
    reply_error (invocation, error);
  else
    answer (operation->skeleton, invocation, result);
  operation_free (operation);
}
