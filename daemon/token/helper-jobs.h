/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "common/secret.h"
#include "token/extensions.h"
#include "token/helper-client.h"

G_BEGIN_DECLS

/*
 * The jobs of token/protocol.h as functions, and what needs two of them. Each blocks; errors are those of
 * helper_client_call().
 * @mechanism, @algorithm: PROTOCOL_*; @hash: `sha256`, `sha384`, `sha512`
 */

/* Of which token, by whose leave, which key. Nothing of it is its own. */
typedef struct
{
  const char *token;
  const Secret *pin; /* the user's */
  GBytes *id;
} HelperKey;

/* Has the helper open its store: in an empty directory the module makes the tables now. */
gboolean helper_jobs_open (HelperClient *client,
                           GCancellable *cancellable,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The member `tokens` of the answer to `list`, the caller's. */
json_object *helper_jobs_list (HelperClient *client,
                               GCancellable *cancellable,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Errors: GGTPM_ERROR_EXISTS. */
gboolean helper_jobs_init_token (HelperClient *client,
                                 const char *token,
                                 const Secret *so_pin,
                                 const Secret *pin,
                                 GCancellable *cancellable,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Returns SubjectPublicKeyInfo, DER. Errors: GGTPM_ERROR_EXISTS: label or id is taken. */
GBytes *helper_jobs_generate_key (HelperClient *client,
                                  const HelperKey *key,
                                  const char *label,
                                  const char *algorithm,
                                  GCancellable *cancellable,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @out_ticket: for helper_jobs_make_signing(), free with g_free(); NULL: not wanted */
GBytes *helper_jobs_sign (HelperClient *client,
                          const HelperKey *key,
                          const char *mechanism,
                          const char *hash,
                          GBytes *digest,
                          char **out_ticket,
                          GCancellable *cancellable,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* `sign-again` as messages of a HelperLine, without waiting. The request is the caller's. */
char *helper_jobs_make_signing (const char *ticket,
                                const char *mechanism,
                                const char *hash,
                                GBytes *digest,
                                gsize *out_len);
GBytes *helper_jobs_parse_signing (const char *answer, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @certificate: DER */
gboolean helper_jobs_put_certificate (HelperClient *client,
                                      const HelperKey *key,
                                      const char *label,
                                      GBytes *certificate,
                                      GCancellable *cancellable,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

gboolean helper_jobs_login (HelperClient *client,
                            const char *token,
                            const Secret *pin,
                            GCancellable *cancellable,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The pair and its certificates. Errors: GGTPM_ERROR_NOT_FOUND. */
gboolean helper_jobs_delete_key (HelperClient *client,
                                 const HelperKey *key,
                                 GCancellable *cancellable,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean helper_jobs_rename_key (HelperClient *client,
                                 const HelperKey *key,
                                 const char *label,
                                 GBytes *new_id,
                                 GCancellable *cancellable,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* RSA, PKCS#1 v1.5. */
GBytes *helper_jobs_decrypt (HelperClient *client,
                             const HelperKey *key,
                             GBytes *data,
                             GCancellable *cancellable,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @job: PROTOCOL_JOB_CHANGE_PIN; @pin is the SO PIN for PROTOCOL_JOB_INIT_PIN and PROTOCOL_JOB_CHANGE_SO_PIN. */
gboolean helper_jobs_change_pin (HelperClient *client,
                                 const char *job,
                                 const char *token,
                                 const Secret *pin,
                                 const Secret *new_pin,
                                 GCancellable *cancellable,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The member `checks` of the answer of a verifier, the caller's. */
json_object *helper_jobs_verify (HelperClient *verifier,
                                 const Secret *pin,
                                 const char *uri,
                                 const char *cert_uri,
                                 GBytes *spki,
                                 GCancellable *cancellable,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What others have written meanwhile is read at the next job; the login is forgotten. */
gboolean helper_jobs_reopen (HelperClient *client,
                             GCancellable *cancellable,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * A certificate request for the key of @spki, signed by it and verified; PEM. @extensions: may be NULL
 * @self_signed_days: not 0: a self-signed certificate instead, valid for so long
 */
char *helper_jobs_make_csr (HelperClient *client,
                            const HelperKey *key,
                            GBytes *spki,
                            const char *subject,
                            const ExtensionParams *extensions,
                            guint self_signed_days,
                            GCancellable *cancellable,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Signs random data with RSA-PSS, salt as long as the digest, and verifies that by OpenSSL. While the token's
 * pss-sigs-good is true the chip does all of it, else the library does the padding.
 * @out_good: whether it verified; FALSE for keys that are not RSA's and where the chip cannot do it: no error
 */
gboolean helper_jobs_prove_pss (HelperClient *client,
                                const HelperKey *key,
                                GBytes *spki,
                                gboolean *out_good,
                                GCancellable *cancellable,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
