/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "token/tokens.h"

G_BEGIN_DECLS

/* More than 255 tokens with hundreds of keys take. */
#define BACKUP_MAX_BYTES (16 * 1024 * 1024)

/*
 * The token store and the journal of the provisioning in one file, for the same chip: wrapped keys are of no use to
 * another one. Operations of the token lane.
 */

/*
 * @with_pins: the stored PINs too: then it is a secret
 * Returns the file; wipe it. Errors: GGTPM_ERROR_NOT_FOUND: there is no token.
 */
GBytes *backup_make (Tokens *tokens, const Config *config, gboolean with_pins, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/*
 * Puts a backup in the place of the store. Stored PINs that the backup's tokens do not have any more go, unless it has
 * theirs. After a kill or a power cut the store is the old one or that of the backup, with the PINs that belong to it;
 * another call completes the rest.
 * @replace: also where there are tokens
 * Errors: GGTPM_ERROR_EXISTS: there are tokens; GGTPM_ERROR_STORE: it is another chip's, with the remedy; those of
 * store_change_unpack().
 */
gboolean backup_restore (Tokens *tokens,
                         Tpm *tpm,
                         const Config *config,
                         GBytes *backup,
                         gboolean replace,
                         GCancellable *cancellable,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
