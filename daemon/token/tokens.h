/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "common/config.h"
#include "common/secret.h"
#include "token/extensions.h"
#include "token/helper-jobs.h"
#include "token/store.h"
#include "token/token-info.h"

G_BEGIN_DECLS

/*
 * Tokens: what can be done with the tokens of the store, each one a step of an operation on the token lane (one thread;
 * every function blocks it). Keeps a HelperClient as warm signer, which is replaced when the database has changed.
 *
 * @pin: NULL: the stored one; without that GGTPM_ERROR_AUTH_REQUIRED
 * Every function that logs in calls store_check_chip() first and never tries a PIN twice.
 */
typedef struct _Tokens Tokens;

Tokens *tokens_new (const Config *config, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void tokens_free (Tokens *tokens);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Tokens, tokens_free)

/* Owned by @tokens. */
Store *tokens_get_store (Tokens *tokens);

/* Of TokenInfo, ordered by slot; empty where there is no database. No login, no PIN. */
GPtrArray *
tokens_list (Tokens *tokens, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * After the commit of @change: what the helper that made it has listed at its end (helper_jobs_list()) is what
 * tokens_list() says, without another start of the helper, until the database changes. @listing: NULL: nothing
 */
void tokens_remember (Tokens *tokens, StoreChange *change, json_object *listing);

/* store_change_commit() of a change that no helper of @tokens has made: what was read before is forgotten. */
gboolean
tokens_commit (Tokens *tokens, StoreChange *change, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Errors: GGTPM_ERROR_NOT_FOUND. */
TokenInfo *tokens_find (Tokens *tokens,
                        const char *token,
                        GCancellable *cancellable,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/*
 * A key pair in a change of the store, by the helper on its copy, which is opened anew for an RSA key: pss-sigs-good
 * stays set if the chip has signed with RSA-PSS by that key and OpenSSL has verified it. Returns the public key.
 * Errors: helper_jobs_generate_key()'s; GGTPM_ERROR_TPM_FAILURE with the remedy for a key with ROCA's fingerprint
 * (CVE-2017-15361), which is weak for ever.
 */
GBytes *tokens_make_pair (StoreChange *change,
                          HelperClient *client,
                          const HelperKey *key,
                          const char *label,
                          const char *algorithm,
                          GCancellable *cancellable,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @id: NULL: eight random bytes. Returns the new key. Errors: GGTPM_ERROR_EXISTS, NOT_SUPPORTED (with the list, or as
 * tokens_check_firmware()). */
TokenKey *tokens_create_key (Tokens *tokens,
                             Tpm *tpm,
                             const char *token,
                             const char *label,
                             GBytes *id,
                             const char *algorithm,
                             const Secret *pin,
                             GCancellable *cancellable,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct
{
  const char *mechanism; /* PROTOCOL_MECHANISM_*; NULL: the key's default */
  const char *hash;      /* sha256, sha384, sha512; NULL: sha256 */
  gboolean is_digest;    /* the data are the digest */
} TokenSignParams;

/* By what the warm signer signs with a key again, without a PIN: signer.h. @line is NULL in an empty one. */
typedef struct
{
  HelperLine *line;
  char *number;
} TokenTicket;

void token_ticket_clear (TokenTicket *ticket);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TokenTicket, token_ticket_clear)

/* @out_ticket: NULL: not wanted; stays empty where a PIN was given */
GBytes *tokens_sign (Tokens *tokens,
                     Tpm *tpm,
                     const char *token,
                     GBytes *id,
                     GBytes *data,
                     const TokenSignParams *params,
                     const Secret *pin,
                     TokenTicket *out_ticket,
                     GCancellable *cancellable,
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What a key of @algorithm signs with @params; any thread, hashes at once. @out_digest: the caller's; the others static
 * or of @params. Errors: GGTPM_ERROR_INVALID_ARGS, GGTPM_ERROR_NOT_SUPPORTED. */
gboolean tokens_settle_signing (const char *algorithm,
                                const TokenSignParams *params,
                                GBytes *data,
                                const char **out_mechanism,
                                const char **out_hash,
                                GBytes **out_digest,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The signer of @line, if it is still in use, is ended: it has failed elsewhere. */
void tokens_distrust (Tokens *tokens, HelperLine *line);

/* RSA, PKCS#1 v1.5. Errors: GGTPM_ERROR_NOT_SUPPORTED: it is another key. */
GBytes *tokens_decrypt (Tokens *tokens,
                        Tpm *tpm,
                        const char *token,
                        GBytes *id,
                        GBytes *data,
                        const Secret *pin,
                        GCancellable *cancellable,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct
{
  const char *subject; /* NULL: `CN=` and the key's label */
  ExtensionParams extensions;
  guint
      self_signed_days; /* 0: a request; else a self-signed certificate, valid from now for so long */
} TokenCsrParams;

/* Returns PEM. */
char *tokens_create_csr (Tokens *tokens,
                         Tpm *tpm,
                         const char *token,
                         GBytes *id,
                         const TokenCsrParams *params,
                         const Secret *pin,
                         GCancellable *cancellable,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The pair and its certificates; cannot be undone. */
gboolean tokens_delete_key (Tokens *tokens,
                            Tpm *tpm,
                            const char *token,
                            GBytes *id,
                            const Secret *pin,
                            GCancellable *cancellable,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * A successor of a key: a pair of the same algorithm (@algorithm: NULL) with TOKENS_SUCCESSOR behind the label, and a
 * request for it, both or none of them. The key itself stays in use until tokens_install_certificate() gets a
 * certificate of the successor. Where there is a successor already, only the request is made.
 * @params: the subject's default is the key's, not its successor's
 * @out_csr: PEM. Returns the successor. Errors: GGTPM_ERROR_INVALID_ARGS: no room for TOKENS_SUCCESSOR in the label;
 * the key is a successor itself.
 */
#define TOKENS_SUCCESSOR ".next"
TokenKey *tokens_rotate_key (Tokens *tokens,
                             Tpm *tpm,
                             const char *token,
                             GBytes *id,
                             const char *algorithm,
                             const TokenCsrParams *params,
                             const Secret *pin,
                             char **out_csr,
                             GCancellable *cancellable,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * A certificate of the key's successor removes the key and gives the successor its label and id, in one change of the
 * store: whoever names the key by them has the new one.
 * @force: also when it is expired or not valid yet
 */
gboolean tokens_install_certificate (Tokens *tokens,
                                     Tpm *tpm,
                                     const char *token,
                                     GBytes *id,
                                     const char *pem,
                                     gboolean force,
                                     const Secret *pin,
                                     GCancellable *cancellable,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether that would take the certificate, without doing it. Errors: as above, for the certificate and the key. */
gboolean tokens_check_certificate (Tokens *tokens,
                                   const char *token,
                                   GBytes *id,
                                   const char *pem,
                                   gboolean force,
                                   GCancellable *cancellable,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* DER of a certificate that is valid now; @force: or not. Errors: GGTPM_ERROR_INVALID_ARGS. */
GBytes *tokens_decode_certificate (const char *pem,
                                   gboolean force,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* From now on no RSA keys are made: @reason says why, with the remedy; NULL: they are. Any thread. */
void tokens_refuse_rsa (Tokens *tokens, const char *reason);
/* Whether the chip may make keys of @algorithm. Any thread. Errors: GGTPM_ERROR_NOT_SUPPORTED. */
gboolean tokens_check_firmware (Tokens *tokens,
                                const char *algorithm,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef enum
{
  TOKENS_CHANGE_PIN,    /* the user PIN, by itself */
  TOKENS_UNBLOCK_PIN,   /* the user PIN, by the SO PIN */
  TOKENS_CHANGE_SO_PIN, /* the SO PIN, by itself */
} TokensPinChange;

/*
 * @pin: that is proved: NULL: the stored one; @new_pin: NULL: generated
 * A generated PIN is stored; so is a given one where one is stored already. After a crash at any point the store and
 * the PIN files say the same: the old one or the new one.
 */
gboolean tokens_change_pin (Tokens *tokens,
                            Tpm *tpm,
                            const char *token,
                            TokensPinChange change,
                            const Secret *pin,
                            const Secret *new_pin,
                            GCancellable *cancellable,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
/*
 * Removes the token from the store, without a login, and its PIN files stay. A token that is not there is fine: what is
 * told of the primary is true of the store as it is.
 * @primary_name: of the primary that may go with its last token; NULL: none
 * @out_primary_used: whether a token of the store uses it
 */
gboolean tokens_remove (Tokens *tokens,
                        const char *token,
                        GBytes *primary_name,
                        gboolean *out_primary_used,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Whether it can be a PIN: UTF-8 without control characters. */
gboolean tokens_check_pin (const Secret *pin, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A verdict of an independent user of a key (ggtpm-token-verifier). */
typedef struct
{
  char *key;     /* label; empty: of the token as a whole */
  char *check;   /* `login`, `sign`, `mechanism`, `certificate`, `tls1.2`, `tls1.3`, `key` */
  char *verdict; /* `ok`, `fault`, `unknown` */
  char *text;
  char *remedy;  /* may be empty */
  GError *error; /* by which the key could not be used; NULL: there is none */
} TokenCheck;

void token_check_free (TokenCheck *check);

/*
 * Whether all of the way to the chip works, for each key or the one of label @key: login, signatures, certificate, TLS.
 * A refused PIN ends it, as a verdict. Returns TokenChecks. Errors: GGTPM_ERROR_NOT_FOUND, AUTH_REQUIRED.
 */
GPtrArray *tokens_verify (Tokens *tokens,
                          Tpm *tpm,
                          const char *token,
                          const char *key,
                          const Secret *pin,
                          GCancellable *cancellable,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* 1 to 32 bytes of UTF-8 without control characters, `;`, `=`, `%`, `/`. @what: for the error's text. */
gboolean
tokens_check_label (const char *label, const char *what, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* ecc-p256 or rsa-2048. */
gboolean tokens_check_algorithm (const char *algorithm, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
