/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "token/extensions.h"

G_BEGIN_DECLS

/*
 * A PKCS#10 request, or a self-signed certificate, whose signature is made elsewhere, with SHA-256; no deprecated
 * OpenSSL API.
 * @spki: the public key, SubjectPublicKeyInfo DER
 * @subject: `CN=x,O=y` (RFC 4514 order is kept as written) or `/O=y/CN=x`
 * @extensions: may be NULL
 * Errors: GGTPM_ERROR_INVALID_ARGS naming the part of the subject or the extension that does not parse;
 * GGTPM_ERROR_NOT_SUPPORTED: a key that is neither RSA nor ECC.
 */
typedef struct _Csr Csr;

Csr *csr_new (GBytes *spki, const char *subject, const ExtensionParams *extensions, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
/* X.509 version 3 of an end entity, valid from now for @days: at most CSR_MAX_DAYS. */
#define CSR_MAX_DAYS (100 * 366)
Csr *csr_new_self_signed (GBytes *spki,
                          const char *subject,
                          const ExtensionParams *extensions,
                          guint days,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
void csr_free (Csr *csr);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Csr, csr_free)

/* SHA-256 of the part to be signed: 32 bytes. */
GBytes *csr_get_digest (Csr *csr);
/* `ecdsa` or `rsa-pkcs`: the mechanism to sign it with. */
const char *csr_get_mechanism (Csr *csr);
/* @signature: DER ECDSA-Sig-Value or RSA signature. Verifies; returns PEM, free with g_free(). */
char *csr_finish (Csr *csr, GBytes *signature, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* `CN=` and @name, escaped; free with g_free(). */
char *csr_make_subject (const char *name);
/* Whether @subject parses; for checking arguments before anything is done. */
gboolean csr_check_subject (const char *subject, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
