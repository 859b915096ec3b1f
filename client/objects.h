/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "client.h"

G_BEGIN_DECLS

/* What the connected daemon has, as it was when client_connect() loaded it. */

/* Of GgtpmToken, ordered by label. */
GPtrArray *objects_list_tokens (Client *client);
/* Of GgtpmKey, ordered by token, label and id. @token: label; NULL: of all tokens. */
GPtrArray *objects_list_keys (Client *client, const char *token);
/* Of GgtpmJob that are queued or running. */
GPtrArray *objects_list_jobs (Client *client);
/* NULL if the daemon does not have them. */
GgtpmDevice *objects_get_device (Client *client);
GgtpmHealth *objects_get_health (Client *client);
GgtpmPlatform *objects_get_platform (Client *client);
/* Errors: GGTPM_ERROR_NOT_SUPPORTED. */
GgtpmOwnership *objects_get_ownership (Client *client, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @label: NULL: the only one there is. Errors: GGTPM_ERROR_NOT_FOUND, or INVALID_ARGS naming the candidates. */
GgtpmToken *
objects_find_token (Client *client, const char *label, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * @selector: label, TOKEN/LABEL, id in hexadecimal, or TOKEN/ID
 * @token: label; NULL: any
 * Errors: GGTPM_ERROR_NOT_FOUND (UNAVAILABLE while the chip is not there), or INVALID_ARGS naming the candidates.
 */
GgtpmKey *objects_find_key (Client *client, const char *selector, const char *token, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* Of the token at @path; the path itself where there is none. Free with g_free(). */
char *objects_get_token_label (Client *client, const char *path);
/* CKA_ID in lower-case hexadecimal. Free with g_free(). */
char *objects_get_key_id (GgtpmKey *key);

G_END_DECLS
