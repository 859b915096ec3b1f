/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <tss2/tss2_common.h>

#include "chip-commands.h"
#include "command.h"
#include "object-table.h"
#include "session-table.h"

G_BEGIN_DECLS

/*
 * Slots: what is in the chip's few slots, and how it gets in and out. Objects and sessions stay until room is needed.
 * An object that cannot change is saved once and its blob kept; a sequence object and a session are saved each time.
 *
 * Results are those of ChipCommands.
 */
typedef struct _Slots Slots;

/* All borrowed. */
Slots *slots_new (ChipCommands *chip, ObjectTable *objects, SessionTable *sessions);
void slots_free (Slots *slots);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Slots, slots_free)

/*
 * What the chip below can hold; 0: found out when it says that it is full.
 * @reserve: slots that are left to others
 */
void slots_set_limits (Slots *slots, guint max_objects, guint max_sessions, guint reserve);
/* The least that the TPM promises (TPM2_PT_HR_TRANSIENT_MIN): what @reserve counts from until more is known. */
void slots_set_minimum (Slots *slots, guint min_objects);

/* A new object, which a command has made as @handle: its first use. */
Object *slots_add_object (Slots *slots, gpointer owner, guint32 handle, gboolean sequence);

/* A new command: what it pins stays in the chip until the next one begins. */
void slots_begin (Slots *slots);
void slots_pin (Slots *slots, guint64 *pin);
/* Both need it pinned. */
TSS2_RC slots_load_object (Slots *slots, Object *object);
TSS2_RC slots_load_session (Slots *slots, Session *session);
/* Makes the saved form of a loaded object. */
TSS2_RC slots_save_object (Slots *slots, Object *object);
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

/* Puts out the next thing that is in the chip; FALSE: nothing is left there, or nothing can go. */
gboolean slots_evict_one (Slots *slots);
/* Flushes one thing that a closed connection has left; FALSE: there is none. */
gboolean slots_sweep_one (Slots *slots);
/* Everything has left the chip by idling: what was learned of a crowded chip no longer holds. */
void slots_relax (Slots *slots);

G_END_DECLS
