/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <tss2/tss2_common.h>

#include "command.h"
#include "eviction.h"
#include "session-table.h"

G_BEGIN_DECLS

/*
 * Slots: what is in the chip's few slots, and how it gets in and out. Objects and sessions stay until room is needed.
 * An object that cannot change is saved once and its blob kept; a sequence object and a session are saved each time.
 *
 * Results are TSS2_RCs: those of the chip, or of the TCTI layer, after which the chip counts as lost (slots_is_lost()).
 */
typedef struct _Slots Slots;

/* The chip, or what tests have in its place. */
typedef struct
{
  /*
   * One command and its response, which has been checked with response_is_valid().
   * @response: COMMAND_MAX_SIZE bytes; not @command
   * Returns a code of the TCTI layer; then there is no response.
   */
  TSS2_RC (*transact)
  (gpointer data,
   const guint8 *command,
   gsize size,
   guint8 locality,
   guint8 *response,
   gsize *out_size);
  gpointer data;
} SlotsChip;

typedef struct
{
  gpointer owner; /* a connection; NULL: left behind, to be flushed */
  guint32 virtual_handle;
  guint32 handle;    /* in the chip; 0: not loaded, then there is a context */
  gboolean sequence; /* changes with every use */
  guint64 pin;       /* the last command that uses it, see slots_begin() */
  GBytes *context;   /* TPMS_CONTEXT; NULL: not saved yet, or changed since */
  EvictionEntry use;
} Object;

/* @sessions: borrowed */
Slots *slots_new (const SlotsChip *chip, SessionTable *sessions);
void slots_free (Slots *slots);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Slots, slots_free)

/* A TCTI error has been seen since the last slots_reset_lost(). */
gboolean slots_is_lost (const Slots *slots);
void slots_reset_lost (Slots *slots);

/*
 * What the chip below can hold; 0: found out when it says that it is full.
 * @reserve: slots that are left to others
 */
void slots_set_limits (Slots *slots, guint max_objects, guint max_sessions, guint reserve);
/* The least that the TPM promises (TPM2_PT_HR_TRANSIENT_MIN): what @reserve counts from until more is known. */
void slots_set_minimum (Slots *slots, guint min_objects);

/* A new object, in the chip as @handle (0: only as @context, taken as it is). */
Object *slots_add_object (Slots *slots, gpointer owner, guint32 handle, gboolean sequence);
/* Frees @object, which is in the chip no more. */
void slots_drop_object (Slots *slots, Object *object);
/* The chip has lost it; it has a context. */
void slots_mark_unloaded (Slots *slots, Object *object);
/* The owner has gone: frees @object, or leaves it for slots_evict_one(). */
void slots_orphan_object (Slots *slots, Object *object);
void slots_set_context (Object *object, const guint8 *blob, gsize size);

guint slots_n_loaded_objects (const Slots *slots);
const GPtrArray *slots_get_loaded_objects (const Slots *slots);

/* A new command: what it pins stays in the chip until the next one begins. */
void slots_begin (Slots *slots);
void slots_pin (Slots *slots, guint64 *pin);
/* Both need it pinned. */
TSS2_RC slots_load_object (Slots *slots, Object *object);
TSS2_RC slots_load_session (Slots *slots, Session *session);
/* Makes the saved form of a loaded object or session; the session leaves the chip by that. */
TSS2_RC slots_save_object (Slots *slots, Object *object);
TSS2_RC slots_save_session (Slots *slots, Session *session);
/* Also of an active session that is not loaded. Success also where there was nothing to flush. */
TSS2_RC slots_flush (Slots *slots, guint32 handle);

/*
 * Sends a command and, where the chip has no room or the gap of session contexts is too wide, makes room and sends it
 * again; a command so refused has changed nothing.
 * @adds_object: success puts one more object into the chip
 * @adds_session: as well
 * Returns a TCTI error; or 0, and the chip's last word is in @response.
 */
TSS2_RC slots_forward (Slots *slots,
                       const Command *command,
                       guint8 locality,
                       gboolean adds_object,
                       gboolean adds_session,
                       guint8 *response,
                       gsize *out_size);
/* One command as it is. */
TSS2_RC
slots_transact (Slots *slots, const guint8 *command, gsize size, guint8 *response, gsize *out_size);

/* Puts out the next thing that is in the chip; FALSE: nothing is left there, or nothing can go. */
gboolean slots_evict_one (Slots *slots);
/* Flushes one thing that a closed connection has left; FALSE: there is none. */
gboolean slots_sweep_one (Slots *slots);
/* Everything has left the chip by idling: what was learned of a crowded chip no longer holds. */
void slots_relax (Slots *slots);

/* The chip has been reset: nothing is loaded, and no context can be. Objects lose handle and context. */
void slots_forget_all (Slots *slots);

G_END_DECLS
