/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* daemon/token/public-key.c, with keys of OpenSSL. */

#include "token/public-key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <string.h>

#include "common/certificate.h"
#include "dbus/error.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BIGNUM, BN_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BN_CTX, BN_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (OSSL_PARAM, OSSL_PARAM_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)

static GBytes *
get_spki (EVP_PKEY *key)
{
  guint8 *der = NULL;
  int len = i2d_PUBKEY (key, &der);
  GBytes *spki = g_bytes_new (der, (gsize)len);

  OPENSSL_free (der);
  return spki;
}

static GBytes *
make_rsa_spki (BIGNUM *modulus)
{
  g_autoptr (OSSL_PARAM_BLD) builder = OSSL_PARAM_BLD_new ();
  g_autoptr (EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_name (NULL, "RSA", NULL);
  g_autoptr (OSSL_PARAM) params = NULL;
  g_autoptr (BIGNUM) exponent = BN_new ();
  g_autoptr (EVP_PKEY) key = NULL;

  BN_set_word (exponent, 65537);
  OSSL_PARAM_BLD_push_BN (builder, OSSL_PKEY_PARAM_RSA_N, modulus);
  OSSL_PARAM_BLD_push_BN (builder, OSSL_PKEY_PARAM_RSA_E, exponent);
  params = OSSL_PARAM_BLD_to_param (builder);
  g_assert_cmpint (EVP_PKEY_fromdata_init (context), ==, 1);
  g_assert_cmpint (EVP_PKEY_fromdata (context, &key, EVP_PKEY_PUBLIC_KEY, params), ==, 1);
  return get_spki (key);
}

/* ---- JWK ---- */

/* RFC 7638, 3.1: key and thumbprint. */
static void
test_jwk_rsa (void)
{
  static const char n[] =
      "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1"
      "L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4"
      "QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbO"
      "pbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csF"
      "Cur-kEgU8awapJzKnqDKgw";
  g_autofree char *base64 = g_strconcat (n, "==", NULL);
  g_autofree char *expected =
      g_strdup_printf ("{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"%s\",\"kid\":"
                       "\"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs\"}\n",
                       n);
  g_autofree guint8 *bytes = NULL;
  g_autofree char *jwk = NULL;
  g_autoptr (BIGNUM) modulus = NULL;
  g_autoptr (GBytes) spki = NULL;
  g_autoptr (GError) error = NULL;
  gsize len = 0;

  g_strdelimit (base64, "-", '+');
  g_strdelimit (base64, "_", '/');
  bytes = g_base64_decode (base64, &len);
  modulus = BN_bin2bn (bytes, (int)len, NULL);
  spki = make_rsa_spki (modulus);
  jwk = public_key_to_jwk (spki, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (jwk, ==, expected);
}

/* Coordinates have their full width, also where they begin with zeros. */
static void
test_jwk_ec (void)
{
  for (int i = 0; i < 300; i++)
    {
      g_autoptr (EVP_PKEY) key = EVP_EC_gen ("P-256");
      g_autoptr (GBytes) spki = get_spki (key);
      g_autofree char *jwk = public_key_to_jwk (spki, NULL);

      g_assert_true (g_str_has_prefix (jwk, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\""));
      g_assert_cmpuint (
          strlen (jwk), ==,
          strlen ("{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"\",\"y\":\"\",\"kid\":\"\"}\n") +
              3 * 43);
    }
}

static void
test_no_jwk (void)
{
  g_autoptr (EVP_PKEY) key = EVP_PKEY_Q_keygen (NULL, NULL, "ED25519");
  g_autoptr (GBytes) spki = get_spki (key);
  g_autoptr (GBytes) garbage = g_bytes_new_static ("garbage", 7);
  g_autoptr (GError) error = NULL;

  g_assert_null (public_key_to_jwk (spki, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED);
  g_clear_error (&error);
  g_assert_null (public_key_to_pem (garbage, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
}

/* ---- verifying ---- */

static GBytes *
sign (EVP_PKEY *key, const char *mechanism, const char *hash, GBytes *data)
{
  EVP_MD_CTX *context = EVP_MD_CTX_new ();
  EVP_PKEY_CTX *key_context = NULL;
  guint8 signature[512];
  size_t len = sizeof signature;

  g_assert_cmpint (EVP_DigestSignInit_ex (context, &key_context, hash, NULL, NULL, key, NULL), ==,
                   1);
  if (strcmp (mechanism, "rsa-pss") == 0)
    {
      EVP_PKEY_CTX_set_rsa_padding (key_context, RSA_PKCS1_PSS_PADDING);
      EVP_PKEY_CTX_set_rsa_pss_saltlen (key_context, RSA_PSS_SALTLEN_DIGEST);
    }
  g_assert_cmpint (EVP_DigestSign (context, signature, &len, g_bytes_get_data (data, NULL),
                                   g_bytes_get_size (data)),
                   ==, 1);
  EVP_MD_CTX_free (context);
  return g_bytes_new (signature, len);
}

static gboolean
verify (GBytes *spki, const char *mechanism, const char *hash, GBytes *data, GBytes *signature)
{
  g_autoptr (GError) error = NULL;
  gboolean valid = FALSE;

  g_assert_true (public_key_verify (spki, mechanism, hash, FALSE, data, signature, &valid, &error));
  g_assert_no_error (error);
  return valid;
}

static void
test_verify (void)
{
  static const struct
  {
    const char *mechanism, *hash;
    gboolean is_rsa;
  } cases[] = { { "ecdsa", "sha256", FALSE },   { "ecdsa", "sha512", FALSE },
                { "rsa-pkcs", "sha256", TRUE }, { "rsa-pkcs", "sha384", TRUE },
                { "rsa-pss", "sha256", TRUE },  { "rsa-pss", "sha512", TRUE } };
  g_autoptr (EVP_PKEY) ec = EVP_EC_gen ("P-256");
  g_autoptr (EVP_PKEY) rsa = EVP_RSA_gen (2048);
  g_autoptr (GBytes) data = g_bytes_new_static ("data", 4);
  g_autoptr (GBytes) other = g_bytes_new_static ("Data", 4);
  g_autoptr (GBytes) garbage = g_bytes_new_static ("garbage", 7);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      EVP_PKEY *key = cases[i].is_rsa ? rsa : ec;
      g_autoptr (GBytes) spki = get_spki (key);
      g_autoptr (GBytes) signature = sign (key, cases[i].mechanism, cases[i].hash, data);
      const char *another = strcmp (cases[i].mechanism, "rsa-pss") == 0 ? "rsa-pkcs" : "rsa-pss";

      g_assert_true (verify (spki, cases[i].mechanism, cases[i].hash, data, signature));
      g_assert_false (verify (spki, cases[i].mechanism, cases[i].hash, other, signature));
      g_assert_false (verify (spki, cases[i].mechanism, "sha384", other, signature));
      g_assert_false (verify (spki, cases[i].mechanism, cases[i].hash, data, garbage));
      if (cases[i].is_rsa)
        g_assert_false (verify (spki, another, cases[i].hash, data, signature));
    }
}

static void
test_verify_arguments (void)
{
  g_autoptr (EVP_PKEY) ec = EVP_EC_gen ("P-256");
  g_autoptr (GBytes) spki = get_spki (ec);
  g_autoptr (GBytes) data = g_bytes_new_static ("data", 4);
  g_autoptr (GError) error = NULL;
  gboolean valid = FALSE;

  g_assert_false (public_key_verify (spki, "rsa-pss", NULL, FALSE, data, data, &valid, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED);
  g_clear_error (&error);
  g_assert_false (public_key_verify (spki, NULL, "md5", FALSE, data, data, &valid, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  g_assert_false (public_key_verify (spki, NULL, NULL, TRUE, data, data, &valid, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
}

/* ---- ROCA ---- */

/* k * M + 65537^a mod M, as the library of the chips made its primes; whether it is one does not matter here. */
static BIGNUM *
make_weak_factor (BN_CTX *context)
{
  g_autoptr (BIGNUM) primorial = BN_new ();
  g_autoptr (BIGNUM) base = BN_new ();
  g_autoptr (BIGNUM) power = BN_new ();
  g_autoptr (BIGNUM) factor = BN_new ();
  BIGNUM *number = BN_new ();

  /* M of a 2048-bit key: the first 126 primes, up to 701. */
  BN_one (primorial);
  for (guint candidate = 2; candidate <= 701; candidate++)
    {
      guint divisor = 2;

      while (divisor * divisor <= candidate && candidate % divisor != 0)
        divisor++;
      if (divisor * divisor > candidate)
        BN_mul_word (primorial, candidate);
    }
  BN_set_word (base, 65537);
  BN_rand (power, 64, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY);
  BN_rand (factor, 54, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY);
  BN_mod_exp (power, base, power, primorial, context);
  BN_mul (number, factor, primorial, context);
  BN_add (number, number, power);
  return number;
}

static void
test_roca (void)
{
  g_autoptr (BN_CTX) context = BN_CTX_new ();
  g_autoptr (EVP_PKEY) ec = EVP_EC_gen ("P-256");
  g_autoptr (GBytes) ec_spki = get_spki (ec);

  for (int i = 0; i < 20; i++)
    {
      g_autoptr (BIGNUM) p = make_weak_factor (context);
      g_autoptr (BIGNUM) q = make_weak_factor (context);
      g_autoptr (BIGNUM) modulus = BN_new ();
      g_autoptr (GBytes) weak = NULL;
      g_autoptr (GBytes) near = NULL;

      BN_mul (modulus, p, q, context);
      weak = make_rsa_spki (modulus);
      g_assert_true (public_key_is_roca (weak));
      BN_add_word (modulus, 2);
      near = make_rsa_spki (modulus);
      g_assert_false (public_key_is_roca (near));
    }
  for (int i = 0; i < 5; i++)
    {
      g_autoptr (EVP_PKEY) key = EVP_RSA_gen (1024);
      g_autoptr (GBytes) spki = get_spki (key);

      g_assert_false (public_key_is_roca (spki));
    }
  g_assert_false (public_key_is_roca (ec_spki));
}

/* ---- the public area ---- */

static void
test_area (void)
{
  static const guint8 area[] = { 0x00, 0x23, 0x00, 0x0b, 0x00, 0x06, 0x04, 0x72, 0x00, 0x00 };
  static const guint8 other[] = { 0x00, 0x23, 0x00, 0x0c, 0x00, 0x06, 0x04, 0x72, 0x00, 0x00 };
  g_autoptr (GBytes) good = g_bytes_new_static (area, sizeof area);
  g_autoptr (GBytes) sha384 = g_bytes_new_static (other, sizeof other);
  g_autoptr (GBytes) cut = g_bytes_new_static (area, 7);
  g_autoptr (GBytes) name = NULL;
  guint8 expected[34] = { 0x00, 0x0b };
  guint32 attributes = 0;

  SHA256 (area, sizeof area, expected + 2);
  g_assert_true (public_key_parse_area (good, &attributes, &name));
  g_assert_cmphex (attributes, ==, 0x00060472);
  g_assert_cmpmem (g_bytes_get_data (name, NULL), g_bytes_get_size (name), expected,
                   sizeof expected);
  g_assert_false (public_key_parse_area (sha384, &attributes, &name));
  g_assert_false (public_key_parse_area (cut, &attributes, &name));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/public-key/jwk-rsa", test_jwk_rsa);
  g_test_add_func ("/public-key/jwk-ec", test_jwk_ec);
  g_test_add_func ("/public-key/no-jwk", test_no_jwk);
  g_test_add_func ("/public-key/verify", test_verify);
  g_test_add_func ("/public-key/verify-arguments", test_verify_arguments);
  g_test_add_func ("/public-key/roca", test_roca);
  g_test_add_func ("/public-key/area", test_area);
  return g_test_run ();
}
