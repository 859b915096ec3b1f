/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "bus/gate.h"
#include "bus/jobs.h"
#include "bus/options.h"
#include "common/config.h"
#include "common/secret.h"
#include "health/monitor.h"
#include "token/signer.h"
#include "token/tokens.h"
#include "tpm/worker.h"

G_BEGIN_DECLS

/* What the objects share; made by the service, outlives them all, but not the operations: these take what they need. */
typedef struct
{
  const Config *config;
  char *unavailable; /* why nothing can be done with the chip; NULL: it can */
  GDBusObjectManagerServer *objects;
  Gate *gate;
  Jobs *jobs;
  Tokens *tokens; /* in operations only */
  Signer *signer;
  Worker *lane;
  Monitor *monitor;
  Worker *chip; /* for what needs no token */
  /* On the token lane, after a change: what the objects of tokens will show; NULL where it cannot be listed. */
  gpointer (*list) (const Config *config, Tokens *tokens);
  GDestroyNotify list_free;
  /* On the main thread: shows @list and frees it. NULL: finds out by itself, later. */
  void (*show) (gpointer show_data, gpointer list);
  gpointer show_data;
} Context;

/*
 * Operation: one method call's work on the token lane: reads the PINs that came with it, runs, brings the objects up to
 * date if it changed the store, then answers. Main thread. A handler makes one, reads the call's options into its
 * arguments, and has it started or refused.
 */
typedef struct _Operation Operation;

/* Answers @invocation, which is its to take. @skeleton: that was called; may not be exported any more. */
typedef void (*OperationAnswer) (gpointer skeleton,
                                 GDBusMethodInvocation *invocation,
                                 gpointer result);
/* The job's result: a{sv}, floating. */
typedef GVariant *(*OperationResult) (gpointer result);
/* Of a result that has uses of several keys: calls operation_note_use() for each. */
typedef void (*OperationUses) (const Context *context, gpointer result);

typedef struct
{
  WorkerOperation run;
  GDestroyNotify args_free;
  GDestroyNotify result_free; /* NULL: the result is static */
  gboolean changes_store;
  OperationAnswer answer;     /* of a method that answers with what came out */
  const char *job;            /* of one that answers with a job: its name; NULL: it has none */
  OperationResult job_result; /* what comes out of that */
  OperationUses note_uses;    /* NULL: what uses a key has operation_set_key() */
} OperationType;

/* Takes @invocation and @args, which @type->args_free frees, possibly on another thread. @type is static. */
Operation *operation_new (const Context *context,
                          const OperationType *type,
                          gpointer skeleton,
                          GDBusMethodInvocation *invocation,
                          gpointer args);

/* For the method's table: a PIN, which the start reads into @location, in the operation's arguments. At most two. */
Option operation_pin_option (Operation *operation, const char *name, Secret **location);
gboolean operation_has_pin (const Operation *operation);

/* Before the start: it is a use of this key, and monitor_note_key_use() is told how it went. @name: `TOKEN/KEY` */
void operation_set_key (Operation *operation, const char *name);

/* How a use of @key (NULL: of none) went; @error: NULL: well. What it means for the health is seen at once. */
void operation_note_use (const Context *context, const char *key, const GError *error);

/* Takes @operation and @error, with which the call is answered: it was not for this method. */
void operation_refuse (Operation *operation, GError *error);

/* Takes @operation; its end answers the call. Without a chip: GGTPM_ERROR_UNAVAILABLE at once. */
void operation_start (Operation *operation);

/*
 * The same for a type with a job: answers with the job's path once the PINs are read.
 * @location: in the operation's arguments: where the job is put, with a reference that @type->args_free drops
 */
void operation_start_job (Operation *operation, Job **location);

/* Takes @operation, which was not started, and @error: what it is for was done without the lane. Answers with
 * @result, or where that is NULL with @error. */
void operation_end (Operation *operation, OperationAnswer answer, gpointer result, GError *error);

/* The answer of methods that have nothing to tell. */
void
operation_answer_nothing (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result);

G_END_DECLS
