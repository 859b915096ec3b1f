/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "chip-commands.h"
#include "session-table.h"

G_BEGIN_DECLS

/*
 * How sessions leave the chip and come back, and what is done where it will not have more of them.
 *
 * A TPM counts the contexts of sessions that it makes, and refuses to go on (TPM_RC_CONTEXT_GAP) when the oldest that
 * has not come back is too far behind (Part 1, 30.5). Then ours are taken in and out again, the oldest first; where
 * that does not help the oldest is nobody's, or somebody else's.
 *
 * Results are those of ChipCommands.
 */

/* It has room for it: nothing else is done. */
TSS2_RC session_contexts_load (ChipCommands *chip, SessionTable *sessions, Session *session);
/* It leaves the chip by that. */
TSS2_RC session_contexts_save (ChipCommands *chip, SessionTable *sessions, Session *session);
/* After TPM_RC_CONTEXT_GAP; FALSE: nothing of ours is in the way. */
gboolean session_contexts_close_gap (ChipCommands *chip, SessionTable *sessions);

/* Give up a session; FALSE: there is none. One that nobody is connected to: that nobody can claim, else the oldest. */
gboolean session_contexts_drop_abandoned (ChipCommands *chip, SessionTable *sessions);
/* The last resort: one that was in the chip before us. */
gboolean session_contexts_drop_stray (ChipCommands *chip, SessionTable *sessions);

G_END_DECLS
