/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "objects.h"

#include "common/certificate.h"
#include "dbus/error.h"
#include "token/protocol.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC (OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (OSSL_PARAM, OSSL_PARAM_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BIGNUM, BN_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ASN1_OBJECT, ASN1_OBJECT_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ASN1_OCTET_STRING, ASN1_OCTET_STRING_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ECDSA_SIG, ECDSA_SIG_free)

/* Vendor attribute of tpm2-pkcs11: TPM2B_PUBLIC of the key */
#define CKA_TPM2_PUB_BLOB 0x8f000002ul

/* RSA-4096, and ECDSA with room to spare */
#define MAX_SIGNATURE 1024

/* DER of prime256v1's object identifier (RFC 5480, 2.1.1.1) */
static const guint8 p256_oid[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };

/* ---- public keys ---- */

static EVP_PKEY *
make_public_key (const char *type, OSSL_PARAM_BLD *builder)
{
  g_autoptr (OSSL_PARAM) params = OSSL_PARAM_BLD_to_param (builder);
  g_autoptr (EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_name (NULL, type, NULL);
  EVP_PKEY *key = NULL;

  if (params == NULL || context == NULL || EVP_PKEY_fromdata_init (context) != 1 ||
      EVP_PKEY_fromdata (context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
    return NULL;
  return key;
}

static EVP_PKEY *
read_rsa_key (Pkcs11 *pkcs11,
              CK_SESSION_HANDLE session,
              CK_OBJECT_HANDLE object,
              char **out_algorithm)
{
  g_autoptr (GBytes) modulus = pkcs11_get_attribute (pkcs11, session, object, CKA_MODULUS);
  g_autoptr (GBytes) exponent = pkcs11_get_attribute (pkcs11, session, object, CKA_PUBLIC_EXPONENT);
  g_autoptr (OSSL_PARAM_BLD) builder = OSSL_PARAM_BLD_new ();
  g_autoptr (BIGNUM) n = NULL;
  g_autoptr (BIGNUM) e = NULL;
  EVP_PKEY *key = NULL;

  if (modulus == NULL || exponent == NULL)
    return NULL;
  n = BN_bin2bn (g_bytes_get_data (modulus, NULL), (int)g_bytes_get_size (modulus), NULL);
  e = BN_bin2bn (g_bytes_get_data (exponent, NULL), (int)g_bytes_get_size (exponent), NULL);
  OSSL_PARAM_BLD_push_BN (builder, OSSL_PKEY_PARAM_RSA_N, n);
  OSSL_PARAM_BLD_push_BN (builder, OSSL_PKEY_PARAM_RSA_E, e);
  key = make_public_key ("RSA", builder);
  if (key != NULL)
    *out_algorithm = g_strdup_printf ("rsa-%d", EVP_PKEY_get_bits (key));
  return key;
}

/* Curve of CKA_EC_PARAMS, which is an object identifier in DER. */
static int
read_curve (GBytes *ec_params)
{
  gsize len;
  const guint8 *der = g_bytes_get_data (ec_params, &len);
  g_autoptr (ASN1_OBJECT) oid = d2i_ASN1_OBJECT (NULL, &der, (long)len);

  return oid != NULL ? OBJ_obj2nid (oid) : NID_undef;
}

static char *
name_curve (int nid)
{
  const char *nist = EC_curve_nid2nist (nid);

  return nist != NULL && g_str_has_prefix (nist, "P-")
             ? g_strdup_printf ("ecc-p%s", nist + 2)
             : g_strdup_printf ("ecc-%s", OBJ_nid2sn (nid));
}

static EVP_PKEY *
read_ec_key (Pkcs11 *pkcs11,
             CK_SESSION_HANDLE session,
             CK_OBJECT_HANDLE object,
             char **out_algorithm)
{
  g_autoptr (GBytes) params = pkcs11_get_attribute (pkcs11, session, object, CKA_EC_PARAMS);
  g_autoptr (GBytes) der = pkcs11_get_attribute (pkcs11, session, object, CKA_EC_POINT);
  g_autoptr (OSSL_PARAM_BLD) builder = OSSL_PARAM_BLD_new ();
  g_autoptr (ASN1_OCTET_STRING) point = NULL;
  const guint8 *data;
  EVP_PKEY *key;
  int nid;

  if (params == NULL || der == NULL)
    return NULL;
  /* PKCS#11 2.40, 2.3.3: the point is wrapped into an OCTET STRING. */
  data = g_bytes_get_data (der, NULL);
  point = d2i_ASN1_OCTET_STRING (NULL, &data, (long)g_bytes_get_size (der));
  nid = read_curve (params);
  if (point == NULL || nid == NID_undef)
    return NULL;
  OSSL_PARAM_BLD_push_utf8_string (builder, OSSL_PKEY_PARAM_GROUP_NAME, OBJ_nid2sn (nid), 0);
  OSSL_PARAM_BLD_push_octet_string (builder, OSSL_PKEY_PARAM_PUB_KEY, ASN1_STRING_get0_data (point),
                                    (size_t)ASN1_STRING_length (point));
  key = make_public_key ("EC", builder);
  if (key != NULL)
    *out_algorithm = name_curve (nid);
  return key;
}

static CK_KEY_TYPE
read_key_type (Pkcs11 *pkcs11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
  g_autoptr (GBytes) value = pkcs11_get_attribute (pkcs11, session, object, CKA_KEY_TYPE);
  CK_KEY_TYPE type = CK_UNAVAILABLE_INFORMATION;

  if (value != NULL && g_bytes_get_size (value) == sizeof type)
    memcpy (&type, g_bytes_get_data (value, NULL), sizeof type);
  return type;
}

GBytes *
objects_get_spki (Pkcs11 *pkcs11,
                  CK_SESSION_HANDLE session,
                  CK_OBJECT_HANDLE object,
                  char **out_algorithm,
                  GError **error)
{
  CK_KEY_TYPE type = read_key_type (pkcs11, session, object);
  g_autofree char *algorithm = NULL;
  g_autoptr (EVP_PKEY) key = NULL;
  guint8 *der = NULL;
  int len;

  if (type == CKK_RSA)
    key = read_rsa_key (pkcs11, session, object, &algorithm);
  else if (type == CKK_EC)
    key = read_ec_key (pkcs11, session, object, &algorithm);
  else
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED,
                   "keys of PKCS#11 type 0x%lx are not supported", type);
      return NULL;
    }

  len = key != NULL ? i2d_PUBKEY (key, &der) : 0;
  if (len > 0)
    {
      GBytes *spki = g_bytes_new (der, (gsize)len);

      OPENSSL_free (der);
      *out_algorithm = g_steal_pointer (&algorithm);
      return spki;
    }
  ERR_clear_error ();
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_STORE,
                       "a public key of the store is damaged");
  return NULL;
}

GBytes *
objects_get_public_area (Pkcs11 *pkcs11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
  g_autoptr (GBytes) value = pkcs11_get_attribute (pkcs11, session, object, CKA_TPM2_PUB_BLOB);
  gsize len = 0;
  const guint8 *data = value != NULL ? g_bytes_get_data (value, &len) : NULL;

  /* TPM2B_PUBLIC: the size in front is of what follows. */
  if (len <= 2 || (gsize)(data[0] << 8 | data[1]) != len - 2)
    return NULL;
  return g_bytes_new (data + 2, len - 2);
}

GBytes *
objects_get_start_date (Pkcs11 *pkcs11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
  g_autoptr (GBytes) value = pkcs11_get_attribute (pkcs11, session, object, CKA_START_DATE);

  return value != NULL && g_bytes_get_size (value) == sizeof (CK_DATE) ? g_steal_pointer (&value)
                                                                       : NULL;
}

/* ---- making objects ---- */

/* CK_DATE of today in UTC: eight digits. */
static char *
make_date (void)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();

  return g_date_time_format (now, "%Y%m%d");
}

gboolean
objects_generate_key (Pkcs11 *pkcs11,
                      CK_SESSION_HANDLE session,
                      const char *algorithm,
                      const char *label,
                      GBytes *id,
                      CK_OBJECT_HANDLE *out_public,
                      GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (pkcs11, error);
  gboolean is_ecc = strcmp (algorithm, PROTOCOL_ALGORITHM_ECC_P256) == 0;
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_ULONG bits = 2048;
  guint8 exponent[] = { 1, 0, 1 };
  CK_MECHANISM mechanism = { is_ecc ? CKM_EC_KEY_PAIR_GEN : CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
  CK_ATTRIBUTE attribute_label = { CKA_LABEL, (void *)label, strlen (label) };
  g_autofree char *date = make_date ();
  CK_ATTRIBUTE attribute_date = { CKA_START_DATE, date, sizeof (CK_DATE) };
  CK_ATTRIBUTE attribute_id = { CKA_ID, (void *)g_bytes_get_data (id, NULL),
                                g_bytes_get_size (id) };
  CK_ATTRIBUTE public[] = {
    { CKA_TOKEN, &yes, sizeof yes },
    { CKA_PRIVATE, &no, sizeof no },
    { CKA_VERIFY, &yes, sizeof yes },
    attribute_label,
    attribute_id,
    attribute_date,
    is_ecc ? (CK_ATTRIBUTE){ CKA_EC_PARAMS, (void *)p256_oid, sizeof p256_oid }
           : (CK_ATTRIBUTE){ CKA_MODULUS_BITS, &bits, sizeof bits },
    { CKA_PUBLIC_EXPONENT, exponent, sizeof exponent }, /* RSA only */
  };
  CK_ATTRIBUTE private[] = {
    { CKA_TOKEN, &yes, sizeof yes },
    { CKA_PRIVATE, &yes, sizeof yes },
    { CKA_SENSITIVE, &yes, sizeof yes },
    { CKA_EXTRACTABLE, &no, sizeof no },
    { CKA_SIGN, &yes, sizeof yes },
    attribute_label,
    attribute_id,
    attribute_date,
    { CKA_DECRYPT, &yes, sizeof yes }, /* RSA only */
  };
  CK_OBJECT_HANDLE private_key;

  if (functions == NULL)
    return FALSE;
  return pkcs11_check (functions->C_GenerateKeyPair (
                           session, &mechanism, public, G_N_ELEMENTS (public) - (is_ecc ? 1 : 0),
                           private, G_N_ELEMENTS (private) - (is_ecc ? 1 : 0), out_public,
                           &private_key),
                       "making the key pair", error);
}

gboolean
objects_create_certificate (Pkcs11 *pkcs11,
                            CK_SESSION_HANDLE session,
                            GBytes *der,
                            const char *label,
                            GBytes *id,
                            GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (pkcs11, error);
  g_autoptr (X509) certificate =
      certificate_parse_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), error);
  CK_OBJECT_CLASS object_class = CKO_CERTIFICATE;
  CK_CERTIFICATE_TYPE type = CKC_X_509;
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  guint8 *subject = NULL, *issuer = NULL, *serial = NULL;
  int n_subject, n_issuer, n_serial;
  CK_OBJECT_HANDLE made;
  CK_RV rv;

  if (functions == NULL || certificate == NULL)
    return FALSE;
  n_subject = i2d_X509_NAME (X509_get_subject_name (certificate), &subject);
  n_issuer = i2d_X509_NAME (X509_get_issuer_name (certificate), &issuer);
  n_serial = i2d_ASN1_INTEGER (X509_get_serialNumber (certificate), &serial);
  {
    CK_ATTRIBUTE template[] = {
      { CKA_CLASS, &object_class, sizeof object_class },
      { CKA_CERTIFICATE_TYPE, &type, sizeof type },
      { CKA_TOKEN, &yes, sizeof yes },
      { CKA_PRIVATE, &no, sizeof no },
      { CKA_LABEL, (void *)label, strlen (label) },
      { CKA_ID, (void *)g_bytes_get_data (id, NULL), g_bytes_get_size (id) },
      { CKA_SUBJECT, subject, (CK_ULONG)MAX (n_subject, 0) },
      { CKA_ISSUER, issuer, (CK_ULONG)MAX (n_issuer, 0) },
      { CKA_SERIAL_NUMBER, serial, (CK_ULONG)MAX (n_serial, 0) },
      { CKA_VALUE, (void *)g_bytes_get_data (der, NULL), g_bytes_get_size (der) },
    };

    rv = functions->C_CreateObject (session, template, G_N_ELEMENTS (template), &made);
  }
  OPENSSL_free (subject);
  OPENSSL_free (issuer);
  OPENSSL_free (serial);
  return pkcs11_check (rv, "storing the certificate", error);
}

/* ---- signing ---- */

typedef struct
{
  const char *name;
  gsize len;
  CK_MECHANISM_TYPE mechanism;
  CK_RSA_PKCS_MGF_TYPE mgf;
  guint8 prefix[19]; /* of DigestInfo (RFC 8017, 9.2, note 1) */
} Hash;

static const Hash hashes[] = {
  { "sha256",
    32,
    CKM_SHA256,
    CKG_MGF1_SHA256,
    { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
      0x05, 0x00, 0x04, 0x20 } },
  { "sha384",
    48,
    CKM_SHA384,
    CKG_MGF1_SHA384,
    { 0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02,
      0x05, 0x00, 0x04, 0x30 } },
  { "sha512",
    64,
    CKM_SHA512,
    CKG_MGF1_SHA512,
    { 0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03,
      0x05, 0x00, 0x04, 0x40 } },
};

static const Hash *
find_hash (const char *name, gsize digest_len, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (hashes); i++)
    if (strcmp (hashes[i].name, name) == 0)
      {
        if (hashes[i].len == digest_len)
          return &hashes[i];
        g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                     "a %s digest has %" G_GSIZE_FORMAT " bytes, not %" G_GSIZE_FORMAT, name,
                     hashes[i].len, digest_len);
        return NULL;
      }
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "hash '%s' is unknown: sha256, sha384 and sha512 are there", name);
  return NULL;
}

/* r and s side by side (PKCS#11 2.40, 2.3.1) to Ecdsa-Sig-Value (RFC 3279, 2.2.3) */
static GBytes *
encode_ecdsa (const guint8 *raw, gsize len)
{
  g_autoptr (ECDSA_SIG) signature = ECDSA_SIG_new ();
  BIGNUM *r = BN_bin2bn (raw, (int)(len / 2), NULL);
  BIGNUM *s = BN_bin2bn (raw + len / 2, (int)(len / 2), NULL);
  guint8 *der = NULL;
  GBytes *bytes;
  int n;

  ECDSA_SIG_set0 (signature, r, s);
  n = i2d_ECDSA_SIG (signature, &der);
  bytes = g_bytes_new (der, (gsize)MAX (n, 0));
  OPENSSL_free (der);
  return bytes;
}

GBytes *
objects_sign (Pkcs11 *pkcs11,
              CK_SESSION_HANDLE session,
              CK_OBJECT_HANDLE object,
              const char *mechanism_name,
              const char *hash_name,
              GBytes *digest,
              GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (pkcs11, error);
  const Hash *hash = find_hash (hash_name, g_bytes_get_size (digest), error);
  g_autoptr (GByteArray) data = g_byte_array_new ();
  CK_RSA_PKCS_PSS_PARAMS pss = { 0 };
  CK_MECHANISM mechanism = { CKM_ECDSA, NULL, 0 };
  guint8 signature[MAX_SIGNATURE];
  CK_ULONG len = sizeof signature;
  gboolean is_ecdsa = strcmp (mechanism_name, PROTOCOL_MECHANISM_ECDSA) == 0;
  CK_RV rv;

  if (functions == NULL || hash == NULL)
    return NULL;
  if (strcmp (mechanism_name, PROTOCOL_MECHANISM_RSA_PKCS) == 0)
    {
      mechanism.mechanism = CKM_RSA_PKCS;
      g_byte_array_append (data, hash->prefix, sizeof hash->prefix);
    }
  else if (!is_ecdsa)
    {
      pss = (CK_RSA_PKCS_PSS_PARAMS){ hash->mechanism, hash->mgf, hash->len };
      mechanism = (CK_MECHANISM){ CKM_RSA_PKCS_PSS, &pss, sizeof pss };
    }
  g_byte_array_append (data, g_bytes_get_data (digest, NULL), (guint)hash->len);

  rv = functions->C_SignInit (session, &mechanism, object);
  if (rv == CKR_OK)
    rv = functions->C_Sign (session, data->data, data->len, signature, &len);
  if (!pkcs11_check_last (pkcs11, rv, "signing", error))
    return NULL;
  return is_ecdsa ? encode_ecdsa (signature, len) : g_bytes_new (signature, len);
}
