/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "provision/plan.h"
#include "token/tokens.h"

G_BEGIN_DECLS

/* @step: for people, `making the key pair`; @progress: 0 to 1. Called on the operation's thread. */
typedef void (*StepsProgress) (const char *step, double progress, gpointer user_data);

/* One of the plan's keys, in its order. */
typedef struct
{
  GBytes *id; /* NULL: there is no such key yet */
  char *uri;
  char *csr;   /* PEM; NULL: none yet */
  char *label; /* as in the plan */
} StepsResultKey;

typedef struct
{
  char *token;
  GPtrArray *keys; /* of StepsResultKey */
  gboolean changed;
  char **missing;  /* with Plan.dry_run, and only then: what would be made, for people */
  char **warnings; /* for people */
} StepsResult;

void steps_result_free (StepsResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StepsResult, steps_result_free)

/*
 * Compares what is with @plan and does what is missing, resuming from the journal: primary, token, PINs and who reads
 * them, keys, CSRs, self-signed certificates. An operation of the token lane. After a kill, a power cut or a full disk
 * at any point there is no half token, and another call completes it. Nothing is made or written when nothing is
 * missing, and never with Plan.dry_run.
 * Errors: GGTPM_ERROR_EXISTS and the like; those of tokens.h.
 */
StepsResult *steps_run (Tokens *tokens,
                        Tpm *tpm,
                        const Config *config,
                        const Plan *plan,
                        StepsProgress progress,
                        gpointer user_data,
                        GCancellable *cancellable,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* `none`, `partial` or `ready`, from journal and store, without the chip. Any thread; reads two files. */
const char *steps_get_state (const Config *config);

G_END_DECLS
