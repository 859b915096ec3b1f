/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "public-key.h"

#include "common/certificate.h"
#include "dbus/error.h"
#include "token/protocol.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BIGNUM, BN_free)

static EVP_PKEY *
load (GBytes *spki, GError **error)
{
  gsize len = 0;
  const guint8 *der = g_bytes_get_data (spki, &len);
  EVP_PKEY *key = d2i_PUBKEY (NULL, &der, (long)len);

  if (key == NULL)
    {
      ERR_clear_error ();
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "the public key cannot be read");
    }
  return key;
}

char *
public_key_to_pem (GBytes *spki, GError **error)
{
  g_autoptr (EVP_PKEY) key = load (spki, error);
  g_autoptr (BIO) bio = BIO_new (BIO_s_mem ());
  char *pem = NULL;
  long len;

  if (key == NULL)
    return NULL;
  /* Fails only without memory, where GLib would have ended us as well. */
  g_assert (bio != NULL && PEM_write_bio_PUBKEY (bio, key) == 1);
  len = BIO_get_mem_data (bio, &pem);
  return g_strndup (pem, (gsize)len);
}

/* ---- JWK ---- */

/* base64url without padding (RFC 7515, 2) */
static char *
encode (const guint8 *data, gsize len)
{
  char *text = g_base64_encode (data, len);

  g_strdelimit (text, "+", '-');
  g_strdelimit (text, "/", '_');
  text[strcspn (text, "=")] = '\0';
  return text;
}

/* In as many bytes as @width says; 0: as few as it needs. */
static char *
encode_number (EVP_PKEY *key, const char *name, int width)
{
  g_autoptr (BIGNUM) number = NULL;
  g_autofree guint8 *bytes = NULL;
  int len;

  if (EVP_PKEY_get_bn_param (key, name, &number) != 1)
    return NULL;
  len = width > 0 ? width : BN_num_bytes (number);
  bytes = g_malloc0 ((gsize)len + 1);
  return BN_bn2binpad (number, bytes, len) == len ? encode (bytes, (gsize)len) : NULL;
}

static const char *
get_jwk_curve (EVP_PKEY *key)
{
  static const struct
  {
    const char *group, *name;
  } curves[] = { { "prime256v1", "P-256" }, { "secp384r1", "P-384" }, { "secp521r1", "P-521" } };
  char group[64];

  if (EVP_PKEY_get_utf8_string_param (key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) ==
      1)
    for (gsize i = 0; i < G_N_ELEMENTS (curves); i++)
      if (strcmp (curves[i].group, group) == 0)
        return curves[i].name;
  return NULL;
}

char *
public_key_get_curve (GBytes *spki)
{
  g_autoptr (EVP_PKEY) key = load (spki, NULL);
  const char *nist = key != NULL ? get_jwk_curve (key) : NULL;
  char group[64] = "";

  if (nist != NULL)
    return g_strdup (nist);
  if (key != NULL && EVP_PKEY_is_a (key, "EC") == 1 &&
      EVP_PKEY_get_group_name (key, group, sizeof group, NULL) != 1)
    group[0] = '\0';
  return g_strdup (group);
}

/* The members that RFC 7638 hashes, in its order and without blanks. */
static char *
make_required_members (EVP_PKEY *key)
{
  const char *curve = get_jwk_curve (key);

  if (EVP_PKEY_is_a (key, "RSA") == 1)
    {
      g_autofree char *e = encode_number (key, OSSL_PKEY_PARAM_RSA_E, 0);
      g_autofree char *n = encode_number (key, OSSL_PKEY_PARAM_RSA_N, 0);

      if (e != NULL && n != NULL)
        return g_strdup_printf ("{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", e, n);
    }
  else if (curve != NULL)
    {
      int width = (EVP_PKEY_get_bits (key) + 7) / 8;
      g_autofree char *x = encode_number (key, OSSL_PKEY_PARAM_EC_PUB_X, width);
      g_autofree char *y = encode_number (key, OSSL_PKEY_PARAM_EC_PUB_Y, width);

      if (x != NULL && y != NULL)
        return g_strdup_printf ("{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", curve,
                                x, y);
    }
  return NULL;
}

char *
public_key_to_jwk (GBytes *spki, GError **error)
{
  g_autoptr (EVP_PKEY) key = load (spki, error);
  g_autofree char *members = key != NULL ? make_required_members (key) : NULL;
  g_autofree char *thumbprint = NULL;
  guint8 digest[SHA256_DIGEST_LENGTH];

  if (key == NULL)
    return NULL;
  ERR_clear_error ();
  if (members == NULL)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED,
                           "there is no JSON Web Key for a key of this kind");
      return NULL;
    }
  SHA256 ((const guint8 *)members, strlen (members), digest);
  thumbprint = encode (digest, sizeof digest);
  members[strlen (members) - 1] = '\0';
  return g_strdup_printf ("%s,\"kid\":\"%s\"}\n", members, thumbprint);
}

/* ---- verifying ---- */

static const EVP_MD *
find_hash (const char *name, GError **error)
{
  if (name == NULL || strcmp (name, "sha256") == 0)
    return EVP_sha256 ();
  if (strcmp (name, "sha384") == 0)
    return EVP_sha384 ();
  if (strcmp (name, "sha512") == 0)
    return EVP_sha512 ();
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "hash '%s' is unknown: sha256, sha384 and sha512 are there", name);
  return NULL;
}

static gboolean
make_digest (const EVP_MD *hash,
             gboolean is_digest,
             GBytes *data,
             guint8 *out_digest,
             GError **error)
{
  gsize len = 0;
  const guint8 *bytes = g_bytes_get_data (data, &len);

  if (is_digest && len != (gsize)EVP_MD_get_size (hash))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "a digest of this hash has %d bytes, not %" G_GSIZE_FORMAT,
                   EVP_MD_get_size (hash), len);
      return FALSE;
    }
  if (is_digest)
    memcpy (out_digest, bytes, len);
  else
    g_assert (EVP_Digest (bytes, len, out_digest, NULL, hash, NULL) == 1);
  return TRUE;
}

/* Whether it is for this kind of key; sets *out_padding for RSA's. */
static gboolean
check_mechanism (EVP_PKEY *key, const char *mechanism, int *out_padding, GError **error)
{
  gboolean is_rsa = EVP_PKEY_is_a (key, "RSA") == 1;

  *out_padding = g_strcmp0 (mechanism, PROTOCOL_MECHANISM_RSA_PSS) == 0 ? RSA_PKCS1_PSS_PADDING
                                                                        : RSA_PKCS1_PADDING;
  if (mechanism == NULL || (!is_rsa && strcmp (mechanism, PROTOCOL_MECHANISM_ECDSA) == 0) ||
      (is_rsa && (strcmp (mechanism, PROTOCOL_MECHANISM_RSA_PKCS) == 0 ||
                  strcmp (mechanism, PROTOCOL_MECHANISM_RSA_PSS) == 0)))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED,
               "a key of this kind does not sign with %s", mechanism);
  return FALSE;
}

gboolean
public_key_verify (GBytes *spki,
                   const char *mechanism,
                   const char *hash_name,
                   gboolean is_digest,
                   GBytes *data,
                   GBytes *signature,
                   gboolean *out_valid,
                   GError **error)
{
  g_autoptr (EVP_PKEY) key = load (spki, error);
  const EVP_MD *hash = key != NULL ? find_hash (hash_name, error) : NULL;
  g_autoptr (EVP_PKEY_CTX) context = NULL;
  guint8 digest[EVP_MAX_MD_SIZE];
  int padding = 0;

  if (hash == NULL || !check_mechanism (key, mechanism, &padding, error) ||
      !make_digest (hash, is_digest, data, digest, error))
    return FALSE;
  context = EVP_PKEY_CTX_new (key, NULL);
  *out_valid =
      context != NULL && EVP_PKEY_verify_init (context) == 1 &&
      (EVP_PKEY_is_a (key, "RSA") != 1 || EVP_PKEY_CTX_set_rsa_padding (context, padding) == 1) &&
      EVP_PKEY_CTX_set_signature_md (context, hash) == 1 &&
      (padding != RSA_PKCS1_PSS_PADDING ||
       EVP_PKEY_CTX_set_rsa_pss_saltlen (context, RSA_PSS_SALTLEN_DIGEST) == 1) &&
      EVP_PKEY_verify (context, g_bytes_get_data (signature, NULL), g_bytes_get_size (signature),
                       digest, (gsize)EVP_MD_get_size (hash)) == 1;
  ERR_clear_error ();
  return TRUE;
}

/* ---- ROCA ---- */

/* Whether @residue is a power of 65537 modulo @prime. */
static gboolean
is_power (guint residue, guint prime)
{
  guint power = 1;

  do
    {
      if (power == residue)
        return TRUE;
      power = power * (65537 % prime) % prime;
    }
  while (power != 1 && power != 0);
  return FALSE;
}

gboolean
public_key_is_roca (GBytes *spki)
{
  /* M of a 2048-bit key is the product of more of them; these are in M of every length that the library had. */
  static const guint8 primes[] = { 3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,
                                   47,  53,  59,  61,  67,  71,  73,  79,  83,  89,  97,  101, 103,
                                   107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167 };
  g_autoptr (EVP_PKEY) key = load (spki, NULL);
  g_autoptr (BIGNUM) modulus = NULL;

  if (key == NULL || EVP_PKEY_is_a (key, "RSA") != 1 ||
      EVP_PKEY_get_bn_param (key, OSSL_PKEY_PARAM_RSA_N, &modulus) != 1)
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (primes); i++)
    if (!is_power ((guint)BN_mod_word (modulus, primes[i]), primes[i]))
      return FALSE;
  return TRUE;
}

/* ---- the TPM's view ---- */

#define ALG_SHA256 0x000b

gboolean
public_key_parse_area (GBytes *public_area, guint32 *out_attributes, GBytes **out_name)
{
  gsize len = 0;
  const guint8 *area = g_bytes_get_data (public_area, &len);
  guint8 name[2 + SHA256_DIGEST_LENGTH] = { ALG_SHA256 >> 8, ALG_SHA256 & 0xff };

  /* type, nameAlg, objectAttributes */
  if (len < 8 || (area[2] << 8 | area[3]) != ALG_SHA256)
    return FALSE;
  *out_attributes =
      (guint32)area[4] << 24 | (guint32)area[5] << 16 | (guint32)area[6] << 8 | area[7];
  SHA256 (area, len, name + 2);
  *out_name = g_bytes_new (name, sizeof name);
  return TRUE;
}
