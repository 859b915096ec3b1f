/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * daemon/token with the real libtpm2_pkcs11 in the real helper, on our broker and a software TPM; and what tpm2_ptool
 * and p11tool say of it.
 */

#include "token/tokens.h"

#include <openssl/pem.h>
#include <string.h>

#include "common/certificate.h"
#include "dbus/error.h"
#include "test-token.h"
#include "token/protocol.h"

/* ---- tests ---- */

static void
test_list (TestToken *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) infos = tokens_list (fixture->tokens, NULL, &error);
  TokenInfo *info;
  TokenKey *key;

  g_assert_no_error (error);
  g_assert_cmpuint (infos->len, ==, 1);
  info = infos->pdata[0];
  g_assert_cmpstr (info->label, ==, TEST_TOKEN_LABEL);
  g_assert_cmpuint (info->slot, ==, 1);
  g_assert_cmpstr (info->manufacturer, ==, "IBM");
  g_assert_cmpstr (info->model, ==, "SW   TPM");
  g_assert_cmpstr (info->uri, ==, "pkcs11:token=greengrass");
  g_assert_true (info->pin_stored);
  g_assert_cmpuint (info->keys->len, ==, 1);
  key = info->keys->pdata[0];
  g_assert_cmpstr (key->label, ==, TEST_TOKEN_KEY);
  g_assert_cmpstr (key->algorithm, ==, algorithm);
  g_assert_true (g_bytes_equal (key->id, fixture->id));
  g_assert_cmpstr (key->uri, ==, "pkcs11:token=greengrass;object=greenkey;type=private");
  g_assert_null (key->certificate);
}

static void
test_empty (TestToken *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  guint before = test_token_count (fixture);
  g_autoptr (GPtrArray) infos = tokens_list (fixture->tokens, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (infos->len, ==, 0);
  g_assert_cmpuint (test_token_count (fixture), ==, before);
  g_assert_null (tokens_find (fixture->tokens, TEST_TOKEN_LABEL, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (test_token_try_sign (fixture, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND);
}

static void
test_sign (TestToken *fixture, gconstpointer algorithm)
{
  static const TokenSignParams for_ecc[] = { { NULL, NULL, FALSE },
                                             { "ecdsa", "sha256", FALSE },
                                             { "ecdsa", "sha384", FALSE },
                                             { NULL, "sha512", FALSE } };
  static const TokenSignParams for_rsa[] = { { NULL, NULL, FALSE },
                                             { "rsa-pkcs", "sha384", FALSE },
                                             { "rsa-pss", "sha256", FALSE },
                                             { "rsa-pss", "sha384", FALSE },
                                             { "rsa-pkcs", "sha512", FALSE } };
  gboolean is_rsa = g_str_has_prefix (algorithm, "rsa");
  const TokenSignParams *params = is_rsa ? for_rsa : for_ecc;
  gsize n = is_rsa ? G_N_ELEMENTS (for_rsa) : G_N_ELEMENTS (for_ecc);
  g_autoptr (GBytes) data = g_bytes_new_static ("what is signed", 14);
  g_autoptr (GBytes) other = g_bytes_new_static ("what is not", 11);
  g_autoptr (GBytes) spki = test_token_get_spki (fixture);

  for (gsize i = 0; i < n; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) signature =
          tokens_sign (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, fixture->id, data,
                       &params[i], NULL, NULL, NULL, &error);

      g_assert_no_error (error);
      g_assert_true (test_token_verifies (spki, &params[i], data, signature));
      g_assert_false (test_token_verifies (spki, &params[i], other, signature));
    }
}

static void
test_sign_arguments (TestToken *fixture, gconstpointer algorithm)
{
  static const struct
  {
    TokenSignParams params;
    int code;
  } bad[] = {
    { { "rsa-pkcs", NULL, FALSE }, GGTPM_ERROR_NOT_SUPPORTED },
    { { "dsa", NULL, FALSE }, GGTPM_ERROR_INVALID_ARGS },
    { { NULL, "md5", FALSE }, GGTPM_ERROR_INVALID_ARGS },
    { { NULL, "md5", TRUE }, GGTPM_ERROR_INVALID_ARGS },
    { { NULL, "sha256", TRUE }, GGTPM_ERROR_INVALID_ARGS }, /* 4 bytes are no digest */
  };
  g_autoptr (GBytes) data = g_bytes_new_static ("data", 4);
  g_autoptr (GBytes) no_id = g_bytes_new_static ("\xee", 1);
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_null (tokens_sign (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, fixture->id,
                                  data, &bad[i].params, NULL, NULL, NULL, &error));
      g_assert_error (error, GGTPM_ERROR, bad[i].code);
      g_clear_error (&error);
    }
  g_assert_null (tokens_sign (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, no_id, data,
                              &(TokenSignParams){ NULL }, NULL, NULL, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND);
}

/* The second signature has no login, no check and no start of the library in it. */
static void
test_warm (TestToken *fixture, gconstpointer algorithm)
{
  guint first, second;
  gint64 start;

  first = test_token_count (fixture);
  test_token_assert_signs (fixture);
  first = test_token_count (fixture) - first;
  second = test_token_count (fixture);
  start = g_get_monotonic_time ();
  for (int i = 0; i < 20; i++)
    test_token_assert_signs (fixture);
  g_test_message ("20 signatures in %.1f ms", (double)(g_get_monotonic_time () - start) / 1000);
  second = test_token_count (fixture) - second;
  g_test_message ("first signature %u TPM commands, 20 more %u", first, second);
  g_assert_cmpuint (test_swtpm_count (fixture->bed->swtpm, TPM2_CC_Sign), >=, 21);
  g_assert_cmpuint (second, <=, 2 * 20);
}

static void
test_create_key (TestToken *fixture, gconstpointer algorithm)
{
  static const char *const algorithms[] = { "ecc-p256", "rsa-2048" };
  g_autoptr (GError) error = NULL;
  g_autoptr (TokenInfo) info = NULL;
  g_autofree char *sum = NULL;

  test_token_assert_signs (fixture);
  for (gsize i = 0; i < G_N_ELEMENTS (algorithms); i++)
    {
      guint before = test_token_count (fixture);
      g_autoptr (TokenKey) key =
          tokens_create_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, algorithms[i],
                             NULL, algorithms[i], NULL, NULL, &error);
      g_autofree char *csr = NULL;

      g_assert_no_error (error);
      g_test_message ("%s: %u TPM commands", algorithms[i], test_token_count (fixture) - before);
      g_assert_cmpuint (g_bytes_get_size (key->id), ==, 8);
      csr = tokens_create_csr (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, key->id,
                               &(TokenCsrParams){ NULL }, NULL, NULL, &error);
      g_assert_no_error (error);
      test_token_assert_contains (csr, "BEGIN CERTIFICATE REQUEST");
    }
  test_token_assert_signs (fixture);
  info = tokens_find (fixture->tokens, TEST_TOKEN_LABEL, NULL, &error);
  g_assert_cmpuint (info->keys->len, ==, 3);

  /* A label or id that is taken. */
  sum = test_token_get_sum (fixture);
  g_assert_null (tokens_create_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL,
                                    TEST_TOKEN_KEY, NULL, "ecc-p256", NULL, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS);
  g_clear_error (&error);
  g_assert_null (tokens_create_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, "new",
                                    fixture->id, "ecc-p256", NULL, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS);
  g_clear_error (&error);
  g_assert_null (tokens_create_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, "new",
                                    NULL, "rsa-1024", NULL, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED);
  test_token_assert_contains (error->message, "ecc-p256 and rsa-2048");
  g_clear_error (&error);
  g_assert_null (tokens_create_key (fixture->tokens, fixture->bed->tpm, "nobody", "new", NULL,
                                    "ecc-p256", NULL, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND);
  test_token_assert_unchanged (fixture, sum);
}

/* ---- certificates ---- */

static char *
issue (GBytes *spki, long from_s, long until_s, GBytes **out_der)
{
  const guint8 *der = g_bytes_get_data (spki, NULL);
  g_autoptr (EVP_PKEY) key = d2i_PUBKEY (NULL, &der, (long)g_bytes_get_size (spki));
  g_autoptr (EVP_PKEY) ca = EVP_EC_gen ("P-256");
  g_autoptr (X509) certificate = X509_new ();
  g_autoptr (X509_NAME) name = X509_NAME_new ();
  guint8 *made = NULL;
  int len;

  X509_NAME_add_entry_by_txt (name, "CN", MBSTRING_UTF8, (const guint8 *)"test", -1, -1, 0);
  ASN1_INTEGER_set (X509_get_serialNumber (certificate), 7);
  X509_gmtime_adj (X509_getm_notBefore (certificate), from_s);
  X509_gmtime_adj (X509_getm_notAfter (certificate), until_s);
  X509_set_issuer_name (certificate, name);
  X509_set_subject_name (certificate, name);
  X509_set_pubkey (certificate, key);
  g_assert_cmpint (X509_sign (certificate, ca, EVP_sha256 ()), >, 0);
  len = i2d_X509 (certificate, &made);
  if (out_der != NULL)
    *out_der = g_bytes_new (made, (gsize)len);
  OPENSSL_free (made);
  return certificate_to_pem (certificate);
}

static gboolean
install (TestToken *fixture, const char *pem, gboolean force, GError **error)
{
  return tokens_install_certificate (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL,
                                     fixture->id, pem, force, NULL, NULL, error);
}

static void
assert_installed (TestToken *fixture, GBytes *der)
{
  g_autoptr (TokenInfo) info = tokens_find (fixture->tokens, TEST_TOKEN_LABEL, NULL, NULL);

  g_assert_true (g_bytes_equal (token_info_find_key (info, TEST_TOKEN_KEY)->certificate, der));
}

static void
test_certificate (TestToken *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EVP_PKEY) other = EVP_EC_gen ("P-256");
  g_autoptr (GBytes) spki = test_token_get_spki (fixture);
  g_autoptr (GBytes) first_der = NULL;
  g_autoptr (GBytes) second_der = NULL;
  g_autoptr (GBytes) expired_der = NULL;
  g_autofree char *first = issue (spki, 0, 1000, &first_der);
  g_autofree char *second = issue (spki, 0, 2000, &second_der);
  g_autofree char *expired = issue (spki, -2000, -1000, &expired_der);
  g_autofree char *foreign = NULL;
  g_autofree char *sum = NULL;
  guint8 *der = NULL;
  int len = i2d_PUBKEY (other, &der);
  g_autoptr (GBytes) other_spki = g_bytes_new (der, (gsize)len);

  OPENSSL_free (der);
  foreign = issue (other_spki, 0, 1000, NULL);
  g_assert_true (install (fixture, first, FALSE, &error));
  g_assert_no_error (error);
  assert_installed (fixture, first_der);
  sum = test_token_get_sum (fixture);
  g_assert_true (install (fixture, first, FALSE, &error));
  test_token_assert_unchanged (fixture, sum);

  g_assert_false (install (fixture, foreign, TRUE, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  g_assert_false (install (fixture, expired, FALSE, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  g_assert_false (install (fixture, "no PEM", FALSE, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  test_token_assert_unchanged (fixture, sum);

  g_assert_true (install (fixture, second, FALSE, &error));
  assert_installed (fixture, second_der);
  g_assert_true (install (fixture, expired, TRUE, &error));
  assert_installed (fixture, expired_der);
  test_token_assert_signs (fixture);
}

/* ---- other programs ---- */

static void
test_seen_by_others (TestToken *fixture, gconstpointer algorithm)
{
  const char *store = store_get_dir (fixture->store);
  const char *module = fixture->bed->config->pkcs11_module;
  g_autoptr (GBytes) spki = test_token_get_spki (fixture);
  g_autofree char *provider = g_strdup_printf ("--provider=%s", module);
  g_autofree char *path = g_strdup_printf ("--path=%s", store);
  g_autofree char *certificate = issue (spki, 0, 1000, NULL);
  g_autofree char *tokens = NULL;
  g_autofree char *objects = NULL;
  g_autofree char *verified = NULL;
  g_autofree char *all = NULL;
  g_autofree char *mechanisms = NULL;
  g_autofree char *tested = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (install (fixture, certificate, FALSE, &error));
  tokens = test_bed_run (
      fixture->bed, (const char *const[]){ "tpm2_ptool", "listtokens", "--pid=1", path, NULL });
  test_token_assert_contains (tokens, "label: " TEST_TOKEN_LABEL);
  objects =
      test_bed_run (fixture->bed, (const char *const[]){ "tpm2_ptool", "listobjects",
                                                         "--label=" TEST_TOKEN_LABEL, path, NULL });
  test_token_assert_contains (objects, "CKA_LABEL: " TEST_TOKEN_KEY);
  test_token_assert_contains (objects, "CKO_PRIVATE_KEY");
  test_token_assert_contains (objects, "CKO_CERTIFICATE");
  verified = test_bed_run (
      fixture->bed, (const char *const[]){ "tpm2_ptool", "verify", "--label=" TEST_TOKEN_LABEL,
                                           "--userpin=" TEST_TOKEN_PIN,
                                           "--sopin=" TEST_TOKEN_SO_PIN, path, NULL });
  all = test_bed_run (fixture->bed, (const char *const[]){
                                        "p11tool", provider, "--login", "--set-pin=" TEST_TOKEN_PIN,
                                        "--list-all", "pkcs11:token=" TEST_TOKEN_LABEL, NULL });
  test_token_assert_contains (all, "object=" TEST_TOKEN_KEY ";type=private");
  test_token_assert_contains (all, "object=" TEST_TOKEN_KEY ";type=public");
  test_token_assert_contains (all, "object=" TEST_TOKEN_KEY ";type=cert");
  tested =
      test_bed_run (fixture->bed, (const char *const[]){ "p11tool", provider, "--login",
                                                         "--set-pin=" TEST_TOKEN_PIN, "--test-sign",
                                                         "pkcs11:token=" TEST_TOKEN_LABEL
                                                         ";object=" TEST_TOKEN_KEY ";type=private",
                                                         NULL });
  mechanisms =
      test_bed_run (fixture->bed, (const char *const[]){ "p11tool", provider, "--list-mechanisms",
                                                         "pkcs11:token=" TEST_TOKEN_LABEL, NULL });
  /* By pss-sigs-good, which C_InitToken does not set. */
  g_assert_cmpint (strstr (mechanisms, "CKM_RSA_PKCS_PSS") != NULL, ==,
                   g_str_has_prefix (algorithm, "rsa"));
}

/* A token of tpm2_ptool's is listed, signs, and gets keys and certificates of ours. */
static void
test_ptool_token (TestToken *fixture, gconstpointer unused)
{
  g_autofree char *path = g_strdup_printf ("--path=%s", store_get_dir (fixture->store));
  g_autoptr (Secret) pin = secret_new (TEST_TOKEN_OTHER_PIN, strlen (TEST_TOKEN_OTHER_PIN));
  g_autoptr (GBytes) data = g_bytes_new_static ("data", 4);
  g_autoptr (GError) error = NULL;
  g_autoptr (TokenInfo) info = NULL;
  g_autoptr (TokenKey) made = NULL;
  g_autoptr (Secret) new_pin = secret_new ("another-pin", strlen ("another-pin"));
  TokenKey *theirs;

  g_free (test_bed_run (fixture->bed, (const char *const[]){ "tpm2_ptool", "init", path, NULL }));
  g_free (test_bed_run (fixture->bed,
                        (const char *const[]){ "tpm2_ptool", "addtoken", "--pid=1",
                                               "--sopin=" TEST_TOKEN_OTHER_PIN,
                                               "--userpin=" TEST_TOKEN_OTHER_PIN,
                                               "--label=" TEST_TOKEN_LABEL, path, NULL }));
  g_free (test_bed_run (fixture->bed,
                        (const char *const[]){ "tpm2_ptool", "addkey", "--algorithm=ecc256",
                                               "--label=" TEST_TOKEN_LABEL,
                                               "--userpin=" TEST_TOKEN_OTHER_PIN,
                                               "--key-label=" TEST_TOKEN_KEY, path, NULL }));
  g_free (test_bed_run (fixture->bed,
                        (const char *const[]){ "tpm2_ptool", "addkey", "--algorithm=rsa2048",
                                               "--label=" TEST_TOKEN_LABEL,
                                               "--userpin=" TEST_TOKEN_OTHER_PIN, path, NULL }));
  info = tokens_find (fixture->tokens, TEST_TOKEN_LABEL, NULL, &error);
  g_assert_no_error (error);
  g_assert_false (info->pin_stored);
  g_assert_cmpuint (info->keys->len, ==, 2);
  for (guint i = 0; i < info->keys->len; i++)
    {
      TokenKey *key = info->keys->pdata[i];
      g_autoptr (GBytes) signature = NULL;
      const TokenSignParams params = { NULL };

      signature = tokens_sign (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, key->id, data,
                               &params, pin, NULL, NULL, &error);
      g_assert_no_error (error);
      g_assert_true (test_token_verifies (key->spki, &params, data, signature));
      /* Made without a label: the id names it. */
      if (*key->label == '\0')
        test_token_assert_contains (key->uri, "pkcs11:token=greengrass;id=%");
    }
  made = tokens_create_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, "ours", NULL,
                            "ecc-p256", pin, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (made);

  /* With another PIN of ours it is still theirs, too: a given one is not stored where none was. */
  g_assert_true (tokens_change_pin (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL,
                                    TOKENS_CHANGE_PIN, pin, new_pin, NULL, &error));
  g_assert_no_error (error);
  g_free (test_bed_run (fixture->bed,
                        (const char *const[]){ "tpm2_ptool", "addkey", "--algorithm=ecc256",
                                               "--label=" TEST_TOKEN_LABEL, "--userpin=another-pin",
                                               "--key-label=theirs", path, NULL }));
  g_clear_pointer (&info, token_info_free);
  info = tokens_find (fixture->tokens, TEST_TOKEN_LABEL, NULL, &error);
  g_assert_no_error (error);
  g_assert_false (info->pin_stored);
  g_assert_cmpuint (info->keys->len, ==, 4);
  theirs = token_info_find_key (info, "theirs");
  g_assert_nonnull (theirs);
  g_assert_true (tokens_delete_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL,
                                    theirs->id, new_pin, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (test_token_get_lockout_counter (fixture), ==, 0);
}

#define ADD(path, algorithm, function)                                                             \
  g_test_add ("/tokens/" path, TestToken, algorithm, test_token_set_up, function,                  \
              test_token_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  test_swtpm_require ();
  ADD ("empty", NULL, test_empty);
  ADD ("list/ecc", "ecc-p256", test_list);
  ADD ("list/rsa", "rsa-2048", test_list);
  ADD ("sign/ecc", "ecc-p256", test_sign);
  ADD ("sign/rsa", "rsa-2048", test_sign);
  ADD ("sign/arguments", "ecc-p256", test_sign_arguments);
  ADD ("sign/warm", "ecc-p256", test_warm);
  ADD ("create-key", "ecc-p256", test_create_key);
  ADD ("certificate", "ecc-p256", test_certificate);
  ADD ("seen-by-others/ecc", "ecc-p256", test_seen_by_others);
  ADD ("seen-by-others/rsa", "rsa-2048", test_seen_by_others);
  ADD ("ptool-token", NULL, test_ptool_token);
  return g_test_run ();
}
