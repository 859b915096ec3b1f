/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "token/tokens.h"

G_BEGIN_DECLS

/*
 * Removes a token wholly: its rows in the store, whoever made it; the storage key that provisioning has made, where no
 * other token uses it; its PIN files; its entries in the journal. No login: also a token whose PIN is lost, or whose
 * chip is gone. After a kill or a power cut at any point the journal says that it was begun, and another call
 * completes it; so does a provisioning of the same label. An operation of the token lane.
 * @dry_run: changes nothing
 * Returns what is lost, for people, NULL-terminated; free with g_strfreev().
 * Errors: GGTPM_ERROR_NOT_FOUND: there is nothing of that token.
 */
char **removal_run (Tokens *tokens,
                    Tpm *tpm,
                    const Config *config,
                    const char *token,
                    gboolean dry_run,
                    GCancellable *cancellable,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
