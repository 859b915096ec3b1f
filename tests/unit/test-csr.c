/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* daemon/token/csr.c, with keys and signatures of OpenSSL in the place of the chip's. */

#include "token/csr.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/certificate.h"
#include "dbus/error.h"

static EVP_PKEY *
make_key (const char *type)
{
  EVP_PKEY *key = strcmp (type, "EC") == 0 ? EVP_EC_gen ("P-256") : EVP_RSA_gen (2048);

  g_assert_nonnull (key);
  return key;
}

static GBytes *
get_spki (EVP_PKEY *key)
{
  guint8 *der = NULL;
  int len = i2d_PUBKEY (key, &der);
  GBytes *spki = g_bytes_new (der, (gsize)len);

  OPENSSL_free (der);
  return spki;
}

/* The digest as it is, PKCS#1 v1.5 or ECDSA. */
static GBytes *
sign_digest (EVP_PKEY *key, GBytes *digest)
{
  g_autoptr (EVP_PKEY_CTX) context = EVP_PKEY_CTX_new (key, NULL);
  guint8 signature[512];
  size_t len = sizeof signature;

  g_assert_cmpint (EVP_PKEY_sign_init (context), ==, 1);
  g_assert_cmpint (EVP_PKEY_CTX_set_signature_md (context, EVP_sha256 ()), ==, 1);
  g_assert_cmpint (EVP_PKEY_sign (context, signature, &len, g_bytes_get_data (digest, NULL),
                                  g_bytes_get_size (digest)),
                   ==, 1);
  return g_bytes_new (signature, len);
}

static char *
name_of_request (const char *pem)
{
  g_autoptr (BIO) bio = BIO_new_mem_buf (pem, -1);
  g_autoptr (X509_REQ) request = PEM_read_bio_X509_REQ (bio, NULL, NULL, NULL);
  g_autoptr (BIO) out = BIO_new (BIO_s_mem ());
  char *text = NULL;
  long len;

  g_assert_nonnull (request);
  g_assert_cmpint (X509_REQ_verify (request, X509_REQ_get0_pubkey (request)), ==, 1);
  X509_NAME_print_ex (out, X509_REQ_get_subject_name (request), 0,
                      XN_FLAG_SEP_COMMA_PLUS | ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_UTF8_CONVERT);
  len = BIO_get_mem_data (out, &text);
  return g_strndup (text, (gsize)len);
}

static char *
make_request (EVP_PKEY *key, const char *subject)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) spki = get_spki (key);
  g_autoptr (Csr) csr = csr_new (spki, subject, NULL, &error);
  g_autoptr (GBytes) digest = NULL;
  g_autoptr (GBytes) signature = NULL;
  char *pem;

  g_assert_no_error (error);
  digest = csr_get_digest (csr);
  signature = sign_digest (key, digest);
  pem = csr_finish (csr, signature, &error);
  g_assert_no_error (error);
  return pem;
}

static void
test_algorithms (void)
{
  static const char *const types[][2] = { { "EC", "ecdsa" }, { "RSA", "rsa-pkcs" } };

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      g_autoptr (EVP_PKEY) key = make_key (types[i][0]);
      g_autoptr (GBytes) spki = get_spki (key);
      g_autoptr (Csr) csr = csr_new (spki, "CN=x", NULL, NULL);
      g_autofree char *pem = make_request (key, "CN=x");
      g_autofree char *name = name_of_request (pem);

      g_assert_cmpstr (csr_get_mechanism (csr), ==, types[i][1]);
      g_assert_cmpstr (name, ==, "CN=x");
    }
}

/* Signatures that end in a zero byte are one in 256: none may be cut. */
static void
test_many_signatures (void)
{
  g_autoptr (EVP_PKEY) key = make_key ("EC");

  for (int i = 0; i < 600; i++)
    {
      g_autofree char *pem = make_request (key, "CN=x");
      g_autofree char *name = name_of_request (pem);

      g_assert_cmpstr (name, ==, "CN=x");
    }
}

static void
test_wrong_signature (void)
{
  g_autoptr (EVP_PKEY) key = make_key ("EC");
  g_autoptr (EVP_PKEY) other = make_key ("EC");
  g_autoptr (GBytes) spki = get_spki (key);
  g_autoptr (GError) error = NULL;
  g_autoptr (Csr) csr = csr_new (spki, "CN=x", NULL, &error);
  g_autoptr (GBytes) digest = NULL;
  g_autoptr (GBytes) signature = NULL;

  g_assert_no_error (error);
  digest = csr_get_digest (csr);
  signature = sign_digest (other, digest);
  g_assert_null (csr_finish (csr, signature, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED);
}

static void
test_subjects (void)
{
  static const struct
  {
    const char *subject;
    const char *name;
  } good[] = {
    { "CN=device-1,O=Example", "CN=device-1,O=Example" },
    { "/C=DE/O=Infineon/CN=Greengrass-Test_Core", "C=DE,O=Infineon,CN=Greengrass-Test_Core" },
    { "CN = a , O = b ", "CN=a,O=b" },
    { "CN=a\\,b\\=c,O=x\\2fy", "CN=a,b=c,O=x/y" },
    { "/CN=a\\/b", "CN=a/b" },
    { "CN=a+serialNumber=7,O=b", "CN=a+serialNumber=7,O=b" },
    { "CN=\\ a\\ ", "CN= a " },
    { "CN=Gr\xc3\xbc\xc3\x9f", "CN=Gr\xc3\xbc\xc3\x9f" },
    { "CN=Gr\\c3\\bc", "CN=Gr\xc3\xbc" },
    { "2.5.4.3=by oid", "CN=by oid" },
    { "emailAddress=a@example.org", "emailAddress=a@example.org" },
  };
  g_autoptr (EVP_PKEY) key = make_key ("EC");

  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_autofree char *pem = make_request (key, good[i].subject);
      g_autofree char *name = name_of_request (pem);

      g_assert_cmpstr (name, ==, good[i].name);
    }
}

static void
test_bad_subjects (void)
{
  static const struct
  {
    const char *subject;
    const char *named; /* in the error */
  } bad[] = {
    { "", "empty" },
    { "/", "empty" },
    { "device-1", "device-1" },
    { "CN=a,", "TYPE=VALUE" },
    { "CN=a,,O=b", "TYPE=VALUE" },
    { "CN=a,XY=b", "XY=b" },
    { "CN=", "CN=" },
    { "CN=  ", "empty" },
    { "C=DEU", "C=DEU" },
    { "CN=a\\", "backslash" },
    { "CN=#0401", "#" },
    { "CN=\"a\"", "quotes" },
    { "CN=a\\00b", "NUL" },
    { "CN=\xff", "UTF-8" },
    { "CN=01234567890123456789012345678901234567890123456789012345678901234", "CN=0123" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (csr_check_subject (bad[i].subject, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
      if (strstr (error->message, bad[i].named) == NULL)
        g_error ("`%s` is not in: %s", bad[i].named, error->message);
    }
}

static void
test_default_subject (void)
{
  static const char *const names[] = { "greenkey",    " a b",     "x,y+z",
                                       "back\\slash", "\"q\" #1", "<a=b>;" };
  g_autoptr (EVP_PKEY) key = make_key ("EC");

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *subject = csr_make_subject (names[i]);
      g_autofree char *pem = make_request (key, subject);
      g_autoptr (BIO) bio = BIO_new_mem_buf (pem, -1);
      g_autoptr (X509_REQ) request = PEM_read_bio_X509_REQ (bio, NULL, NULL, NULL);
      const X509_NAME *name = X509_REQ_get_subject_name (request);
      const ASN1_STRING *value = X509_NAME_ENTRY_get_data (X509_NAME_get_entry (name, 0));

      g_assert_cmpint (X509_NAME_entry_count (name), ==, 1);
      g_assert_cmpmem (ASN1_STRING_get0_data (value), ASN1_STRING_length (value), names[i],
                       strlen (names[i]));
    }
}

/* ---- extensions ---- */

static char *
print_extension (const STACK_OF (X509_EXTENSION) * extensions, int nid)
{
  g_autoptr (BIO) out = BIO_new (BIO_s_mem ());
  int index = X509v3_get_ext_by_NID (extensions, nid, -1);
  char *text = NULL;
  long len;

  g_assert_cmpint (index, >=, 0);
  g_assert_cmpint (X509V3_EXT_print (out, X509v3_get_ext (extensions, index), 0, 0), ==, 1);
  len = BIO_get_mem_data (out, &text);
  return g_strndup (text, (gsize)len);
}

static void
assert_extensions (const STACK_OF (X509_EXTENSION) * extensions)
{
  g_autofree char *names = print_extension (extensions, NID_subject_alt_name);
  g_autofree char *usage = print_extension (extensions, NID_key_usage);
  g_autofree char *purposes = print_extension (extensions, NID_ext_key_usage);

  g_assert_cmpstr (
      names, ==, "DNS:core-1.example.org, IP Address:192.0.2.1, email:x@example.org, URI:urn:a,b");
  g_assert_cmpstr (usage, ==, "Digital Signature, Key Agreement");
  g_assert_cmpstr (purposes, ==, "TLS Web Client Authentication, 1.2.3.4");
}

static const char *const alt_names[] = { "DNS:core-1.example.org", "IP:192.0.2.1",
                                         "email:x@example.org", "URI:urn:a,b", NULL };
static const char *const key_usage[] = { "keyAgreement", "digitalSignature", NULL };
static const char *const ext_key_usage[] = { "clientAuth", "1.2.3.4", NULL };
static const ExtensionParams all_extensions = { (char **)alt_names, (char **)key_usage,
                                                (char **)ext_key_usage };

static void
test_request_extensions (void)
{
  g_autoptr (EVP_PKEY) key = make_key ("EC");
  g_autoptr (GBytes) spki = get_spki (key);
  g_autoptr (GError) error = NULL;
  g_autoptr (Csr) csr = csr_new (spki, "CN=x", &all_extensions, &error);
  g_autoptr (GBytes) digest = csr_get_digest (csr);
  g_autoptr (GBytes) signature = sign_digest (key, digest);
  g_autofree char *pem = csr_finish (csr, signature, &error);
  g_autoptr (BIO) bio = BIO_new_mem_buf (pem, -1);
  g_autoptr (X509_REQ) request = PEM_read_bio_X509_REQ (bio, NULL, NULL, NULL);
  STACK_OF (X509_EXTENSION) *extensions = X509_REQ_get_extensions (request);

  g_assert_no_error (error);
  assert_extensions (extensions);
  sk_X509_EXTENSION_pop_free (extensions, X509_EXTENSION_free);
}

static void
test_self_signed (void)
{
  static const char *const types[] = { "EC", "RSA" };

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      g_autoptr (EVP_PKEY) key = make_key (types[i]);
      g_autoptr (GBytes) spki = get_spki (key);
      g_autoptr (GError) error = NULL;
      g_autoptr (Csr) csr = csr_new_self_signed (spki, "CN=x,O=y", &all_extensions, 30, &error);
      g_autoptr (GBytes) digest = csr_get_digest (csr);
      g_autoptr (GBytes) signature = sign_digest (key, digest);
      g_autoptr (GBytes) wrong = g_bytes_new_static ("wrong", 5);
      g_autofree char *pem = csr_finish (csr, signature, &error);
      g_autoptr (X509) certificate = certificate_parse_pem (pem, &error);
      gint64 not_before = 0, not_after = 0;

      g_assert_no_error (error);
      g_assert_cmpint (X509_verify (certificate, key), ==, 1);
      g_assert_cmpint (X509_get_version (certificate), ==, X509_VERSION_3);
      g_assert_cmpint (X509_check_ca (certificate), ==, 0);
      assert_extensions (X509_get0_extensions (certificate));
      certificate_get_validity (certificate, &not_before, &not_after);
      g_assert_cmpint (not_after - not_before, ==, 30 * 24 * 60 * 60);
      g_assert_cmpint (ABS (not_before - g_get_real_time () / G_USEC_PER_SEC), <, 60);
      g_assert_null (csr_finish (csr, wrong, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED);
    }
}

static void
test_days (void)
{
  g_autoptr (EVP_PKEY) key = make_key ("EC");
  g_autoptr (GBytes) spki = get_spki (key);
  g_autoptr (GError) error = NULL;
  g_autoptr (Csr) most = csr_new_self_signed (spki, "CN=x", NULL, CSR_MAX_DAYS, &error);

  g_assert_no_error (error);
  g_assert_nonnull (most);
  g_assert_null (csr_new_self_signed (spki, "CN=x", NULL, CSR_MAX_DAYS + 1, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  g_assert_null (csr_new_self_signed (spki, "CN=x", NULL, 0, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
}

static void
test_bad_extensions (void)
{
  static const struct
  {
    int field; /* of ExtensionParams */
    const char *value;
  } bad[] = { { 0, "core-1" },     { 0, "DNS:" },      { 0, "DNS:a b" },  { 0, "IP:1.2.3" },
              { 0, "IP:host" },    { 0, "dirName:x" }, { 0, "DNS:\xff" }, { 0, "dns:a" },
              { 1, "clientAuth" }, { 1, "" },          { 2, "anything" }, { 2, "1..2" },
              { 2, "" },           { 2, "commonName" } };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      char *values[] = { (char *)bad[i].value, NULL };
      ExtensionParams params = { bad[i].field == 0 ? values : NULL,
                                 bad[i].field == 1 ? values : NULL,
                                 bad[i].field == 2 ? values : NULL };

      if (extensions_check (&params, &error))
        g_error ("'%s' was taken", bad[i].value);
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
      g_assert_nonnull (strstr (error->message, bad[i].value));
    }
}

static void
test_bad_key (void)
{
  g_autoptr (GBytes) garbage = g_bytes_new_static ("not a key", 9);
  g_autoptr (EVP_PKEY) key = EVP_PKEY_Q_keygen (NULL, NULL, "ED25519");
  g_autoptr (GBytes) spki = get_spki (key);
  g_autoptr (GError) error = NULL;

  g_assert_null (csr_new (garbage, "CN=x", NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  g_assert_null (csr_new (spki, "CN=x", NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/csr/algorithms", test_algorithms);
  g_test_add_func ("/csr/many-signatures", test_many_signatures);
  g_test_add_func ("/csr/wrong-signature", test_wrong_signature);
  g_test_add_func ("/csr/subjects", test_subjects);
  g_test_add_func ("/csr/bad-subjects", test_bad_subjects);
  g_test_add_func ("/csr/default-subject", test_default_subject);
  g_test_add_func ("/csr/bad-key", test_bad_key);
  g_test_add_func ("/csr/request-extensions", test_request_extensions);
  g_test_add_func ("/csr/self-signed", test_self_signed);
  g_test_add_func ("/csr/days", test_days);
  g_test_add_func ("/csr/bad-extensions", test_bad_extensions);
  return g_test_run ();
}
