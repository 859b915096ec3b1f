/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "common/config.h"
#include "reading.h"

G_BEGIN_DECLS

/* The steps of healing, as org.ggtpm1.Health.Healings has them. */
typedef enum
{
  HEALING_LOCKOUT_RESET, /* lockout-reset; details: counter-before u, limit u */
  HEALING_SHUTDOWN,      /* shutdown; no details */
  HEALING_FLUSH,         /* flush; count u: objects and sessions */
  HEALING_REOPEN,        /* reopen; no details */
  HEALING_SELF_TEST,     /* self-test; full b, result u: the TPM code that has come out of it */
  HEALING_N_ACTIONS
} HealingAction;

const char *healing_action_to_string (HealingAction action);

/* Of a step that was done. @details: a{sv}, borrowed */
typedef void (*HealingFunc) (HealingAction action, GVariant *details, gpointer user_data);

/*
 * Healing: which step is due, by the rules of docs/security.md, and how often each was done. Main thread.
 *
 * Whatever is on the lockout counter when the chip comes up is taken off it, before any client's command. Later on,
 * once in an interval, only what cannot be somebody's guesses: nothing of it was an authorisation that the broker has
 * seen fail; or all PINs were drawn by us, against which guessing is worth nothing. A self-test is run once for each
 * time that one does not end, or has failed.
 */
typedef struct
{
  const Config *config;
  Tally *tally; /* NULL: nobody counts */
  HealingFunc func;
  gpointer user_data;
  guint n_done[HEALING_N_ACTIONS];
  guint told[TALLY_N_KINDS]; /* of the tally */

  gboolean start_due;    /* the chip has come up, and its counter was not read since */
  gint64 last_reset_us;  /* monotonic; 0: none was sent since the chip has come up */
  guint known_failures;  /* of the tally, when the counter was last known to be 0 */
  gint64 untested_since; /* monotonic: since when its self-test is not at an end; 0: it is */
  gboolean full_test_run;
  gboolean pending_test_run;
} Healing;

/* @config, @tally must outlive it. @func: called for each step, also of those that the broker does. */
void healing_init (Healing *healing,
                   const Config *config,
                   Tally *tally,
                   HealingFunc func,
                   gpointer user_data);
void healing_clear (Healing *healing);

/* The chip has come up. */
void healing_begin (Healing *healing);

/*
 * What a reading is to heal.
 * @tpm_was_reset: it is the first one since the chip has come up
 * @pins_are_generated: all PINs of the token store are known to be
 * @now_us: monotonic
 */
void healing_plan (const Healing *healing,
                   gboolean tpm_was_reset,
                   gboolean pins_are_generated,
                   gint64 now_us,
                   ReadingArgs *args);

/* Takes what the reading has found and done; the second tells of it. */
void healing_take (Healing *healing, const Reading *reading, gint64 now_us);
void healing_tell (Healing *healing, const Reading *reading);

G_END_DECLS
