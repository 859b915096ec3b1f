/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* common/certificate.c. */

#include "common/certificate.h"

#include <openssl/pem.h>

#include "dbus/error.h"

static EVP_PKEY *
make_key (void)
{
  return EVP_EC_gen ("P-256");
}

/* Valid from now + @from to now + @to seconds. */
static char *
make_pem (EVP_PKEY *key, long from, long to)
{
  g_autoptr (X509) certificate = X509_new ();

  X509_set_version (certificate, X509_VERSION_3);
  X509_gmtime_adj (X509_getm_notBefore (certificate), from);
  X509_gmtime_adj (X509_getm_notAfter (certificate), to);
  X509_set_pubkey (certificate, key);
  g_assert_cmpint (X509_sign (certificate, key, EVP_sha256 ()), >, 0);
  return certificate_to_pem (certificate);
}

static GBytes *
get_spki (EVP_PKEY *key)
{
  guint8 *der = NULL;
  int len = i2d_PUBKEY (key, &der);
  GBytes *bytes = g_bytes_new (der, (gsize)len);

  OPENSSL_free (der);
  return bytes;
}

static void
test_parse (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autofree char *pem = make_pem (key, 0, 3600);
  g_autofree char *with_text = g_strconcat ("subject=x\n", pem, "\n", NULL);
  g_autofree char *twice = g_strconcat (pem, pem, NULL);
  g_autoptr (X509) certificate = certificate_parse_pem (with_text, &error);
  g_autofree char *again = certificate_to_pem (certificate);
  const char *const bad[] = { "", "nonsense",
                              "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                              twice };

  g_assert_no_error (error);
  g_assert_cmpstr (again, ==, pem);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) bad_error = NULL;
      g_autoptr (X509) none = certificate_parse_pem (bad[i], &bad_error);

      g_assert_null (none);
      g_assert_error (bad_error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
    }
}

static void
test_matches (void)
{
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (EVP_PKEY) other = make_key ();
  g_autofree char *pem = make_pem (key, 0, 3600);
  g_autoptr (X509) certificate = certificate_parse_pem (pem, NULL);
  g_autoptr (GBytes) spki = get_spki (key);
  g_autoptr (GBytes) other_spki = get_spki (other);
  g_autoptr (GBytes) nonsense = g_bytes_new_static ("x", 1);

  g_assert_true (certificate_matches (certificate, spki));
  g_assert_false (certificate_matches (certificate, other_spki));
  g_assert_false (certificate_matches (certificate, nonsense));
}

static void
test_time (void)
{
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autofree char *pem = make_pem (key, -100, 100);
  g_autoptr (X509) certificate = certificate_parse_pem (pem, NULL);
  g_autoptr (GError) early = NULL;
  g_autoptr (GError) late = NULL;
  gint64 now = g_get_real_time () / G_USEC_PER_SEC;

  g_assert_true (certificate_check_time (certificate, now, NULL));
  g_assert_false (certificate_check_time (certificate, now - 1000, &early));
  g_assert_error (early, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_assert_nonnull (strstr (early->message, "not valid before"));
  g_assert_false (certificate_check_time (certificate, now + 1000, &late));
  g_assert_nonnull (strstr (late->message, "expired"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/certificate/parse", test_parse);
  g_test_add_func ("/certificate/matches", test_matches);
  g_test_add_func ("/certificate/time", test_time);
  return g_test_run ();
}
