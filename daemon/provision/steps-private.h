/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "provision/journal.h"
#include "provision/steps.h"

G_BEGIN_DECLS

/* What steps.c, which compares, steps-make.c, which makes what is missing, and steps-pins.c share. */

/* One key of the plan. */
typedef struct
{
  const PlanKey *plan;
  char *subject;       /* the plan's, with its default */
  char *extensions;    /* plan_key_dup_extensions() */
  JournalEntry *entry; /* in the journal; NULL: none yet */
  gboolean was_ready;  /* @entry was, when the run began */
  TokenKey *found;     /* in the token; NULL: no such key */
} StepsKey;

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

  GPtrArray *keys; /* of StepsKey, in the plan's order */
  Journal *journal;
  gboolean announced; /* the journal is on disk as it is */
  gboolean restored;  /* a storage key that was evicted is back; dry run: would have to come back */

  TokenInfo *token;     /* what is there; NULL: no such token */
  json_object *listing; /* of the store as it will be */
  Secret *pin;
  Secret *so_pin;
  gboolean pin_drawn; /* by this run */
  gboolean so_pin_drawn;
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

/* What of a key is not as the plan says; a key that is missing needs all of it. */
gboolean steps_key_needs_csr (const StepsKey *key);
gboolean steps_key_needs_certificate (const StepsKey *key);

/* Everything that changes the store, up to the commit: the token where there is none, keys, self-signed certificates,
 * with the CSRs of them all. */
gboolean steps_make_missing (Steps *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* All keys are there; CSRs are not, or have other contents. */
gboolean steps_make_csrs (Steps *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether the journal has what was begun for this token and is not in the plan any more; without the token all that was
 * asked for in it. */
gboolean steps_has_leftovers (const Steps *self);

/* The last write of a run; leftovers go. */
gboolean steps_finish_journal (Steps *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- steps-pins.c ---- */

/* For a new token: given, a credential, stored by a run that was cut off, or drawn; in their files and synced before
 * anything is made with them. */
gboolean steps_provide_pins (Steps *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Those of a new token, before anything is done. Errors: GGTPM_ERROR_INVALID_ARGS. */
gboolean steps_check_credentials (const Steps *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* For a token that is there. */
gboolean steps_find_pin (Steps *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* If @error says that the chip has refused the stored PIN, it is not tried again. */
void steps_note_refusal (Steps *self, const GError *error);

/* A PIN that was given for a token of others has proved itself by now, and consumers need it. */
gboolean steps_keep_given_pin (Steps *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A given PIN that is not the stored one. */
gboolean steps_check_given_pins (Steps *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether others may read the PIN file than the plan says. */
gboolean
steps_readers_differ (Steps *self, gboolean *out_differ, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean steps_set_readers (Steps *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A PIN that nucleus lite cannot read; NULL: there is nothing to warn of. Free with g_free(). */
char *steps_dup_pin_warning (Steps *self);

G_END_DECLS
