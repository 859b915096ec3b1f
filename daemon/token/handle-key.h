/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "tpm/tpm.h"

G_BEGIN_DECLS

/*
 * Handle keys: persistent signing keys (ECC P-256, primaries of the owner hierarchy, noDA) for programs that have
 * tpm2-openssl and no PKCS#11: `handle:0x81008001`. Their auth is empty: whoever reaches the chip signs with them, so
 * they are made only for who asks for one. STATE_DIR/handles.conf (a GKeyFile) has each with its name, from before it
 * is made: one that a cut has left is removed by handle_key_remove(), or its handle is taken by the next. On the token
 * lane.
 */
#define HANDLE_KEY_FIRST 0x81008001u
#define HANDLE_KEY_LAST  0x81008020u

/* Of guint32, ascending, also those that are announced only. Errors: GGTPM_ERROR_STORE. */
GArray *handle_key_list (const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Errors: GGTPM_ERROR_NO_RESOURCES: no handle or no NV memory is left. */
gboolean handle_key_create (Tpm *tpm, const char *state_dir, guint32 *out_handle, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* Errors: GGTPM_ERROR_NOT_FOUND: it is none of ours. Another object that is there by now stays. */
gboolean handle_key_remove (Tpm *tpm, const char *state_dir, guint32 handle, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* Whether the chip has an object there, anybody's. */
gboolean handle_key_exists (Tpm *tpm, guint32 handle, gboolean *out_exists, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* `0x81008001`, of persistent objects only. */
gboolean handle_key_parse (const char *text, guint32 *out_handle);

G_END_DECLS
