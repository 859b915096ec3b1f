/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Room: how many things of a kind fit into the chip, which it does not tell: learned from its refusals, so that a full
 * chip is not asked twice.
 */
typedef struct
{
  guint fixed;   /* what a resource manager below allows; 0: no such thing */
  guint learned; /* it was full at this number; 0: not known */
  guint peak;    /* and this many it has held */
  guint minimum; /* the TPM promises so many; 0: not known */
} Room;

/* So many are in it, and fit. */
void room_note (Room *room, guint n_loaded);
/* The chip has refused one more. */
void room_learn (Room *room, guint n_loaded);
/* The chip is empty: what was learned while others had a part of it no longer holds. */
void room_relax (Room *room);
/* How many may be in it, at least 1; G_MAXUINT: the chip is to say. @reserve: slots that are left to others */
guint room_get_limit (const Room *room, guint reserve);

G_END_DECLS
