/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "common/secret.h"

G_BEGIN_DECLS

/*
 * The protocol between ggtpmd and ggtpm-token-helper, on the helper's standard input and output; one request at a time,
 * answered in order. A request is a ProtocolHeader, a JSON object and, behind that, the PINs as they are: what parses
 * JSON never has them. An answer is a JSON object and a newline. A second socket, PROTOCOL_LINE_FD, takes one object a
 * message, for `sign-again`; each socket's requests are answered in order, a message of the one between two requests of
 * the other. Bytes are lower-case hexadecimal. The helper reads the store that TPM2_PKCS11_STORE names at its first
 * request (and makes the tables in an empty directory), and what others write later only after `reopen`. It ends at the
 * end of its input. A member or PIN that a job does not have is refused.
 *
 *   request   { "job": JOB, ... }
 *   answer    { "ok": true, ... }  or  { "ok": false, "error": NICK of GgtpmError, "message": TEXT }
 *
 * JOB, its members and PINs (PIN, SO-PIN, NEW-PIN) -> the members of the answer:
 *
 *   list               -> "tokens": [ { "label", "slot", "manufacturer", "model", "serial", "keys": [ { "label", "id",
 *                         "algorithm", "spki", "public-area" (TPMT_PUBLIC, absent if unknown), "certificate" (DER,
 *                         absent if none) } ] } ]; no login
 *   init-token         "token", SO-PIN, PIN                   -> "slot"; C_InitToken and C_InitPIN
 *   generate-key       "token", PIN, "label", "id", "algorithm"  -> "spki"
 *   sign               "token", PIN, "id", "mechanism" (ecdsa | rsa-pkcs | rsa-pss), "hash", "digest"
 *                                                             -> "signature" (ECDSA: DER), "ticket"
 *   sign-again         "ticket", "mechanism", "hash", "digest"  -> "signature"; by that key, without a PIN.
 *                                                             AuthRequired: the ticket is not valid any more
 *   put-certificate    "token", PIN, "id", "label", "certificate"  -> nothing; replaces those of that id
 *   login              "token", PIN                           -> nothing; proves the PIN
 *   delete-key         "token", PIN, "id"                   -> nothing; the pair and the certificates of that id
 *   rename-key         "token", PIN, "id", "label", "new-id"  -> nothing; the pair and the certificates of that id
 *   decrypt            "token", PIN, "id", "data"           -> "data"; RSA, PKCS#1 v1.5
 *   change-pin         "token", PIN, NEW-PIN                -> nothing; the user PIN
 *   init-pin           "token", SO-PIN, NEW-PIN               -> nothing; a new user PIN by the security officer
 *   change-so-pin      "token", SO-PIN, NEW-PIN               -> nothing
 *   verify             PIN, "uri" (private key), "cert-uri", "spki"  -> "checks": [ { "check", "verdict" (ok | fault
 *                         | unknown), "text", "remedy" } ]; of ggtpm-token-verifier, which knows no other job, does not
 *                         look for unknown members and ends after it
 *   reopen             -> nothing; C_Finalize: the next job reads the store anew
 *
 * A PIN is tried at most once for a request, and not at all where this helper has it accepted already. A ticket stands
 * for a key and the login that it was got with; it ends with that login, with `reopen`, and when anybody changes the
 * database.
 */
#define PROTOCOL_JOB_LIST            "list"
#define PROTOCOL_JOB_INIT_TOKEN      "init-token"
#define PROTOCOL_JOB_GENERATE_KEY    "generate-key"
#define PROTOCOL_JOB_SIGN            "sign"
#define PROTOCOL_JOB_SIGN_AGAIN      "sign-again"
#define PROTOCOL_JOB_PUT_CERTIFICATE "put-certificate"
#define PROTOCOL_JOB_LOGIN           "login"
#define PROTOCOL_JOB_DELETE_KEY      "delete-key"
#define PROTOCOL_JOB_RENAME_KEY      "rename-key"
#define PROTOCOL_JOB_DECRYPT         "decrypt"
#define PROTOCOL_JOB_CHANGE_PIN      "change-pin"
#define PROTOCOL_JOB_INIT_PIN        "init-pin"
#define PROTOCOL_JOB_CHANGE_SO_PIN   "change-so-pin"
#define PROTOCOL_JOB_REOPEN          "reopen"
#define PROTOCOL_JOB_VERIFY          "verify"

#define PROTOCOL_ALGORITHM_ECC_P256 "ecc-p256"
#define PROTOCOL_ALGORITHM_RSA_2048 "rsa-2048"

#define PROTOCOL_MECHANISM_ECDSA    "ecdsa"
#define PROTOCOL_MECHANISM_RSA_PKCS "rsa-pkcs"
#define PROTOCOL_MECHANISM_RSA_PSS  "rsa-pss"

/*
 * The helper's arguments are the PKCS#11 module; this, in seconds: after so long without a request it does what
 * `reopen` does: nothing of it stays in the chip, no key in memory; where there is one, the descriptor of the second
 * socket; and PROTOCOL_COPY for a store that is a copy: nothing of it is synced.
 */
#define PROTOCOL_IDLE_CLOSE_S 60
#define PROTOCOL_COPY         "copy"

/* SOCK_SEQPACKET */
#define PROTOCOL_LINE_FD 3
/* Longest message on it, either way: an RSA-4096 signature with room to spare. */
#define PROTOCOL_MAX_MESSAGE 4096

/* Longest object of a request, and longest line of an answer. */
#define PROTOCOL_MAX_TEXT (1024 * 1024)
#define PROTOCOL_MAX_PIN  4096

/* In the order in which they come. */
typedef enum
{
  PROTOCOL_PIN,
  PROTOCOL_SO_PIN,
  PROTOCOL_NEW_PIN,
  PROTOCOL_N_PINS
} ProtocolPin;

/* Lengths in bytes, as the processor has them. */
typedef struct
{
  guint32 text;
  guint32 pins[PROTOCOL_N_PINS]; /* 0: it is not there */
} ProtocolHeader;

typedef struct
{
  char *text; /* JSON, with a NUL behind it */
  gsize len;
  Secret *pins[PROTOCOL_N_PINS]; /* NULL: it is not there */
} ProtocolRequest;

void protocol_request_clear (ProtocolRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ProtocolRequest, protocol_request_clear)

/* The next request of @fd, to be cleared; blocks until all of it is there. FALSE without error at the end of @fd, with
 * GGTPM_ERROR_INVALID_ARGS where that is within a request, or a length is too large. */
gboolean protocol_read_request (int fd,
                                ProtocolRequest *out_request,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Lower-case hexadecimal; free with g_free(). */
char *protocol_encode_bytes (GBytes *bytes);
/* NULL if @text is not an even number of hexadecimal digits. */
GBytes *protocol_decode_bytes (const char *text);

G_END_DECLS
