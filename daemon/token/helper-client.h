/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>
#include <json-c/json.h>

#include "common/config.h"
#include "common/secret.h"

G_BEGIN_DECLS

G_DEFINE_AUTOPTR_CLEANUP_FUNC (json_object, json_object_put)

/*
 * HelperClient: one running ggtpm-token-helper on one store. One thread at a time; calls block that thread (never the
 * main one). The helper dies with the thread that made it. What one asks of it is in helper-jobs.h.
 */
typedef struct _HelperClient HelperClient;

/* @store_dir: directory of the database. Its environment is made from scratch: TPM2_PKCS11_STORE, TPM2_PKCS11_TCTI (our
 * internal socket), the log levels of the two libraries, nothing else. Errors: GGTPM_ERROR_FAILED. */
HelperClient *helper_client_new (const Config *config,
                                 const char *store_dir,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same for a copy that is to be changed: the helper syncs nothing, which is for whoever puts it in its place. */
HelperClient *helper_client_new_writer (const Config *config,
                                        const char *copy_dir,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same for a ggtpm-token-verifier, which is beside the helper and answers one call. */
HelperClient *helper_client_new_verifier (const Config *config,
                                          const char *store_dir,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Closes its input, waits a moment, kills it. */
void helper_client_free (HelperClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelperClient, helper_client_free)

/*
 * @request: consumed
 * @pins: PROTOCOL_N_PINS, by ProtocolPin, NULL where there is none; NULL: none at all
 * @cancellable: kills the helper; as does @timeout_s
 * Returns the answer, the caller's. Errors: the answer's, with what the library wrote of the reason;
 * GGTPM_ERROR_UNAVAILABLE when the chip cannot be reached any more; GGTPM_ERROR_CANCELLED, GGTPM_ERROR_TIMEOUT, and
 * GGTPM_ERROR_UNAVAILABLE when the helper died: after any of these only helper_client_free() is useful.
 */
json_object *helper_client_call (HelperClient *client,
                                 json_object *request,
                                 const Secret *const *pins,
                                 guint timeout_s,
                                 GCancellable *cancellable,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* What an answer is, given as text: as helper_client_call(), but for what the library wrote. */
json_object *helper_client_parse_answer (const char *text,
                                         const char *job,
                                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Whether it has not died so far as is known from its calls. */
gboolean helper_client_is_usable (HelperClient *client);

/*
 * HelperLine: the second socket to a running helper (PROTOCOL_LINE_FD), for another thread than the client's: the main
 * one. Reference-counted; any thread. Where the helper ends, so does the socket.
 */
typedef struct _HelperLine HelperLine;
/* Borrowed. */
HelperLine *helper_client_get_line (HelperClient *client);
HelperLine *helper_line_ref (HelperLine *line);
void helper_line_unref (HelperLine *line);
/* One object a message; non-blocking. */
int helper_line_get_fd (HelperLine *line);
/* The helper, at once. */
void helper_line_kill (HelperLine *line);

G_END_DECLS
