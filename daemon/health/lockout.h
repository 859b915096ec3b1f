/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "tpm/properties.h"

G_BEGIN_DECLS

/*
 * Healing of the dictionary-attack counter: TPM2_DictionaryAttackLockReset (TPM 2.0 Library Part 3, 25.2) with the
 * lockout auth that is empty, or that ggtpmd has set (tpm/auths.h). One wrong lockout auth locks the lockout hierarchy
 * itself for LOCKOUT_RECOVERY seconds, with 0 until the next TPM reset (Part 1, 19.8), and nothing in GetCapability
 * shows that. So an auth that is set is never guessed, and a refusal is remembered across restarts in
 * STATE_DIR/lockout.
 */
typedef struct
{
  TPM2_RC refused;   /* what the chip refused the last reset with; 0: nothing */
  gint64 refused_at; /* seconds since the epoch */
  guint32 recovery;  /* LOCKOUT_RECOVERY at that time, seconds */
} LockoutRecord;

/* Blocks, for a small file. No file is an empty record. Errors: G_FILE_ERROR, G_KEY_FILE_ERROR. */
gboolean lockout_record_load (const char *state_dir,
                              LockoutRecord *out,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* When a refusal ends by itself, seconds since the epoch; 0: nothing was refused, or no time ends it. */
gint64 lockout_record_get_end (const LockoutRecord *record);

/*
 * Whether a reset may be sent. Sends nothing.
 * @auth_known: a lockout auth is on the disk, auths_know_lockout()
 * @variable: as just read
 * @tpm_was_reset: since the record was made
 * Errors: GGTPM_ERROR_AUTH_REQUIRED: an auth is set; GGTPM_ERROR_LOCKED_OUT: the chip has refused, and would again.
 */
gboolean lockout_may_reset (const LockoutRecord *record,
                            gboolean auth_known,
                            const VariableProperties *variable,
                            gint64 now,
                            gboolean tpm_was_reset,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Sends the reset, one TPM command, four where an auth is set. Operation thread; blocks. A refusal is in @inout_record
 * and on disk when it returns, a success has removed both.
 * Errors: rc_check()'s; auths_use_lockout()'s.
 */
gboolean lockout_reset (Tpm *tpm,
                        const char *state_dir,
                        const VariableProperties *variable,
                        gint64 now,
                        LockoutRecord *inout_record,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * An auth that is set now, and not by us, makes what was refused before it moot: the record goes, on disk too. By the
 * time that the auth is empty again it is another one. Operation thread; blocks.
 */
void lockout_forget_if_moot (const char *state_dir,
                             gboolean auth_known,
                             const VariableProperties *variable,
                             LockoutRecord *inout_record);

G_END_DECLS
