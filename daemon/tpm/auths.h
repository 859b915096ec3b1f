/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "common/secret.h"
#include "tpm/properties.h"
#include "tpm/tpm.h"

G_BEGIN_DECLS

/*
 * Auths: those of the owner and the lockout hierarchy that ggtpmd has set, in STATE_DIR/auths (0600). They are on the
 * disk before they are in the chip, so that TPM_PT_PERMANENT tells, whatever was cut where, which one is valid: where
 * ownerAuthSet or lockoutAuthSet is 1 it is the one on the disk, where it is 0 it is the empty one. The owner auth is
 * set first and emptied last; a wrong one costs nothing, and so proves that these are the auths of this chip before the
 * lockout auth is used, one wrong try of which would lock the lockout hierarchy.
 */
typedef enum
{
  AUTHS_NONE,
  AUTHS_TAKING,    /* being set */
  AUTHS_OWNED,     /* both are set */
  AUTHS_RELEASING, /* being emptied */
} AuthsState;

typedef struct
{
  AuthsState state;
  gboolean exported; /* given out for escrow */
  Secret *owner;     /* NULL: AUTHS_NONE */
  Secret *lockout;
} Auths;

void auths_free (Auths *auths);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Auths, auths_free)

/* AUTHS_NONE where there is no file. Any thread; blocks for a small file. Errors: GGTPM_ERROR_STORE. */
Auths *auths_load (const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* On the disk when it returns. Errors: GGTPM_ERROR_STORE. */
gboolean
auths_save (const Auths *auths, const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* What is given out for escrow: text for people and tools. */
Secret *auths_describe (const Auths *auths);
/* `none`, `taking`, `owned`, `releasing`. */
const char *auths_state_to_string (AuthsState state);

/* Whether a lockout auth is on the disk that is valid where lockoutAuthSet is 1. */
gboolean auths_know_lockout (const char *state_dir);

/*
 * Before a command that the owner hierarchy authorises: has ESYS use the valid auth, the empty one where we know of
 * none. One TPM command where there is a file.
 * @state_dir: NULL: the empty one
 */
gboolean
auths_use_owner (Tpm *tpm, const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/*
 * The same for the lockout hierarchy; where an auth is set, three TPM commands that prove the owner auth first.
 * @variable: as just read
 * Errors: GGTPM_ERROR_AUTH_REQUIRED: an auth is set that is not, or not provably, ours: nothing was sent to the lockout
 * hierarchy.
 */
gboolean auths_use_lockout (Tpm *tpm,
                            const char *state_dir,
                            const VariableProperties *variable,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Gives both hierarchies random auths (128 bits each, from the TPM and the kernel), or completes that.
 * @out_changed: FALSE: they were there
 * Errors: GGTPM_ERROR_EXISTS: one has an auth that is not ours.
 */
gboolean auths_take_ownership (Tpm *tpm,
                               const char *state_dir,
                               gboolean *out_changed,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Empties both again, or completes that. Errors: GGTPM_ERROR_NOT_FOUND: we have set none. */
gboolean
auths_release_ownership (Tpm *tpm, const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Completes what was cut off. */
gboolean auths_resume (Tpm *tpm, const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
