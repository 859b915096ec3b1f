/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "token-helper/pkcs11.h"

G_BEGIN_DECLS

/*
 * Between PKCS#11 objects and X.509's forms.
 */

/*
 * SubjectPublicKeyInfo of a public key object.
 * @out_algorithm: `ecc-p256`, `rsa-2048` and the like; free with g_free()
 * Errors: GGTPM_ERROR_NOT_SUPPORTED: neither RSA nor a known curve; GGTPM_ERROR_STORE: not a key.
 */
GBytes *objects_get_spki (Pkcs11 *pkcs11,
                          CK_SESSION_HANDLE session,
                          CK_OBJECT_HANDLE object,
                          char **out_algorithm,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* C_GenerateKeyPair, with the day (UTC) as CKA_START_DATE; @algorithm: PROTOCOL_ALGORITHM_*. */
gboolean objects_generate_key (Pkcs11 *pkcs11,
                               CK_SESSION_HANDLE session,
                               const char *algorithm,
                               const char *label,
                               GBytes *id,
                               CK_OBJECT_HANDLE *out_public,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* C_CreateObject with what X.509 has of subject, issuer and serial number. @der: the certificate. */
gboolean objects_create_certificate (Pkcs11 *pkcs11,
                                     CK_SESSION_HANDLE session,
                                     GBytes *der,
                                     const char *label,
                                     GBytes *id,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* CKA_START_DATE of the key @object, `YYYYMMDD`; NULL where it has none. */
GBytes *objects_get_start_date (Pkcs11 *pkcs11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);

/* TPMT_PUBLIC of the key @object, as tpm2-pkcs11 keeps it; NULL where it does not. */
GBytes *
objects_get_public_area (Pkcs11 *pkcs11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);

/*
 * C_Sign of a digest with the private key @object.
 * @mechanism: PROTOCOL_MECHANISM_*; @hash: `sha256`, `sha384`, `sha512`
 * Returns the signature, ECDSA's as DER. Errors: GGTPM_ERROR_INVALID_ARGS: @digest is not as long as @hash says.
 */
GBytes *objects_sign (Pkcs11 *pkcs11,
                      CK_SESSION_HANDLE session,
                      CK_OBJECT_HANDLE object,
                      const char *mechanism,
                      const char *hash,
                      GBytes *digest,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
