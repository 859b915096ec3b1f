/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* What a public key tells without the chip. @spki: SubjectPublicKeyInfo, DER. Any thread. */

/* Free with g_free(). Errors: GGTPM_ERROR_STORE: @spki cannot be read; GGTPM_ERROR_NOT_SUPPORTED: JWK has no such. */
char *public_key_to_pem (GBytes *spki, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* JSON Web Key (RFC 7517, RFC 7518), its `kid` being the thumbprint of RFC 7638. */
char *public_key_to_jwk (GBytes *spki, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* `P-256`, `P-384`, `P-521`, for other curves OpenSSL's name; empty for RSA. Free with g_free(). */
char *public_key_get_curve (GBytes *spki);

/*
 * @mechanism: PROTOCOL_MECHANISM_*; NULL: as in tokens_sign()
 * @hash: `sha256`, `sha384`, `sha512`; NULL: `sha256`
 * @is_digest: @data are the digest
 * @out_valid: whether @signature (ECDSA: DER) is the key's over @data
 * Errors: GGTPM_ERROR_INVALID_ARGS, GGTPM_ERROR_NOT_SUPPORTED: the mechanism is not this key's.
 */
gboolean public_key_verify (GBytes *spki,
                            const char *mechanism,
                            const char *hash,
                            gboolean is_digest,
                            GBytes *data,
                            GBytes *signature,
                            gboolean *out_valid,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Whether the modulus has the fingerprint of CVE-2017-15361 (ROCA): modulo every small prime it is a power of 65537, as
 * one in 2^27 others is. FALSE for keys that are not RSA's.
 */
gboolean public_key_is_roca (GBytes *spki);

/*
 * What TPMT_PUBLIC says ("TPM 2.0 Library", part 2, 12.2.4): the attributes (TPMA_OBJECT) and, by part 1, 16, the Name.
 * FALSE where it is too short or its nameAlg is not SHA-256.
 */
gboolean public_key_parse_area (GBytes *public_area, guint32 *out_attributes, GBytes **out_name);

G_END_DECLS
