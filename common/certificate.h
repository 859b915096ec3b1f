/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>
#include <openssl/x509.h>

G_BEGIN_DECLS

G_DEFINE_AUTOPTR_CLEANUP_FUNC (X509, X509_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (X509_REQ, X509_REQ_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (X509_NAME, X509_NAME_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (X509_ALGOR, X509_ALGOR_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EVP_PKEY_CTX, EVP_PKEY_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BIO, BIO_free_all)

/* Exactly one certificate in PEM (text around it is allowed). Errors: GGTPM_ERROR_INVALID_ARGS. */
X509 *certificate_parse_pem (const char *pem, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* One certificate in DER, nothing behind it. Errors: GGTPM_ERROR_INVALID_ARGS. */
X509 *
certificate_parse_der (const guint8 *der, gsize len, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *certificate_to_pem (X509 *certificate);

/* Whether the certificate is for the key of @spki (SubjectPublicKeyInfo, DER). */
gboolean certificate_matches (X509 *certificate, GBytes *spki);

/* Validity in seconds since the epoch. */
void certificate_get_validity (X509 *certificate, gint64 *out_not_before, gint64 *out_not_after);
/* Errors: GGTPM_ERROR_INVALID_ARGS when @now is outside of the validity, saying which way. */
gboolean
certificate_check_time (X509 *certificate, gint64 now, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The newest entry of OpenSSL's error queue, which is emptied; "unknown" if it was empty. Free with g_free(). */
char *certificate_openssl_error (void);

G_END_DECLS
