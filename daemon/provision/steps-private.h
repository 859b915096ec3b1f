/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "provision/journal.h"
#include "provision/steps.h"

G_BEGIN_DECLS

/* What steps.c, which compares, and steps-make.c, which makes what is missing, share. */

/*
 * Steps: one run. What is done is in the order of docs/architecture.md, "Provisioning", which says for every gap
 * between two steps what a cut there leaves and how the next run goes on.
 */
typedef struct
{
  Tokens *tokens;
  Store *store;
  Tpm *tpm;
  const Config *config;
  const Plan *plan;
  GCancellable *cancellable;
  StepsProgress progress;
  gpointer user_data;

  char *subject; /* the plan's, with its default */
  Journal *journal;
  JournalEntry *entry; /* the plan's, in @journal; NULL: none yet */
  gboolean announced;  /* @entry is on disk as it is */
  gboolean was_ready;  /* @entry was, when the run began */
  gboolean restored;   /* a storage key that was evicted is back */

  TokenInfo *token;     /* what is there; NULL: no such token */
  TokenKey *key;        /* in @token; NULL: no such key */
  json_object *listing; /* of the store as it will be */
  Secret *pin;
  Secret *so_pin;
} Steps;

/* Tells where we are, and ends the run if that is wanted: everything before the commit can be thrown away. */
gboolean steps_begin (Steps *self, const char *step, double progress, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* A store of another chip, or of this one before it was cleared, is told also where nothing else is to be done. A
 * storage key that was evicted is made again where the chip can. */
gboolean
steps_check_chip (Steps *self, gboolean will_login, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* SHA-256 in hexadecimal; free with g_free(). */
char *steps_sum (GBytes *bytes);

/* The key pair, and before it the token where there is none, with everything that they need, up to the commit. */
gboolean steps_make_missing (Steps *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The key is there; its CSR is not, or has another subject. */
gboolean steps_make_csr (Steps *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The last write of a run. */
gboolean steps_finish_journal (Steps *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
