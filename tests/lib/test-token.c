/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "test-token.h"

#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "common/certificate.h"
#include "token/helper-jobs.h"
#include "token/primary.h"

/* ---- the bed ---- */

guint
test_token_count (TestToken *fixture)
{
  return test_swtpm_count (fixture->bed->swtpm, 0);
}

/* What provisioning does, with the TPM commands of each step. */
static void
make_token (TestToken *fixture, const char *algorithm)
{
  const Config *config = fixture->bed->config;
  Tpm *tpm = fixture->bed->tpm;
  g_autoptr (GError) error = NULL;
  g_autoptr (Secret) pin = secret_new (TEST_TOKEN_PIN, strlen (TEST_TOKEN_PIN));
  g_autoptr (Secret) so_pin = secret_new (TEST_TOKEN_SO_PIN, strlen (TEST_TOKEN_SO_PIN));
  g_autoptr (StoreChange) change = store_change_new (fixture->store, &error);
  g_autoptr (HelperClient) client =
      helper_client_new_writer (config, store_change_get_dir (change), &error);
  g_autoptr (GBytes) blob = NULL;
  g_autoptr (GBytes) spki = NULL;
  g_autofree char *csr = NULL;
  const HelperKey key = { TEST_TOKEN_LABEL, pin, fixture->id };
  gint64 start = g_get_monotonic_time ();
  guint at[7] = { test_token_count (fixture) };
  TPM2_HANDLE handle = 0;
  gboolean created = FALSE;

  g_assert_true (helper_jobs_open (client, NULL, &error));
  at[1] = test_token_count (fixture);
  g_assert_true (primary_ensure (tpm, NULL, NULL, NULL, &handle, &blob, &created, &error));
  g_assert_true (created);
  g_assert_cmphex (handle, ==, PRIMARY_FIRST_HANDLE);
  at[2] = test_token_count (fixture);
  g_assert_true (store_change_add_primary (change, g_bytes_get_data (blob, NULL),
                                           g_bytes_get_size (blob), &error));
  g_assert_true (helper_jobs_init_token (client, TEST_TOKEN_LABEL, so_pin, pin, NULL, &error));
  at[3] = test_token_count (fixture);
  spki = tokens_make_pair (change, client, &key, TEST_TOKEN_KEY, algorithm, NULL, &error);
  g_assert_no_error (error);
  at[4] = test_token_count (fixture);
  csr = helper_jobs_make_csr (client, &key, spki, "CN=x", NULL, 0, NULL, &error);
  g_assert_no_error (error);
  at[5] = test_token_count (fixture);
  g_clear_pointer (&client, helper_client_free);
  at[6] = test_token_count (fixture);
  g_assert_true (store_save_pin (fixture->store, TEST_TOKEN_LABEL, STORE_PIN_USER, pin, &error));
  g_assert_true (store_change_commit (change, &error));
  g_assert_no_error (error);
  g_test_message (
      "%s: open %u, primary %u, token %u, key %u, CSR %u, end %u: %u TPM commands in %.0f ms",
      algorithm, at[1] - at[0], at[2] - at[1], at[3] - at[2], at[4] - at[3], at[5] - at[4],
      at[6] - at[5], at[6] - at[0], (double)(g_get_monotonic_time () - start) / 1000);
}

void
test_token_set_up (TestToken *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;

  fixture->bed = test_bed_new ();
  fixture->tokens = tokens_new (fixture->bed->config, &error);
  g_assert_no_error (error);
  fixture->store = tokens_get_store (fixture->tokens);
  fixture->id = g_bytes_new_static ("\x01\x02", 2);
  if (algorithm != NULL)
    make_token (fixture, algorithm);
}

void
test_token_tear_down (TestToken *fixture, gconstpointer algorithm)
{
  tokens_free (fixture->tokens);
  g_bytes_unref (fixture->id);
  test_bed_free (fixture->bed);
}

char *
test_token_get_sum (TestToken *fixture)
{
  g_autofree char *data = NULL;
  gsize len = 0;

  g_assert_true (g_file_get_contents (store_get_database (fixture->store), &data, &len, NULL));
  return g_compute_checksum_for_data (G_CHECKSUM_SHA256, (guint8 *)data, len);
}

void
test_token_assert_unchanged (TestToken *fixture, const char *sum)
{
  g_autofree char *now = test_token_get_sum (fixture);
  g_autofree char *staging =
      g_build_filename (fixture->bed->config->state_dir, "pkcs11.staging", NULL);

  g_assert_cmpstr (now, ==, sum);
  g_assert_false (g_file_test (staging, G_FILE_TEST_EXISTS));
}

guint
test_token_get_lockout_counter (TestToken *fixture)
{
  g_autofree char *text = store_describe_tries (fixture->bed->tpm);

  return (guint)g_ascii_strtoull (text, NULL, 10);
}

void
test_token_assert_contains (const char *text, const char *part)
{
  if (text == NULL || strstr (text, part) == NULL)
    g_error ("`%s` is not in: %s", part, text);
}

/* ---- signatures ---- */

GBytes *
test_token_get_spki (TestToken *fixture)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TokenInfo) info = tokens_find (fixture->tokens, TEST_TOKEN_LABEL, NULL, &error);

  g_assert_no_error (error);
  return g_bytes_ref (token_info_find_key (info, TEST_TOKEN_KEY)->spki);
}

gboolean
test_token_verifies (GBytes *spki, const TokenSignParams *params, GBytes *data, GBytes *signature)
{
  const guint8 *der = g_bytes_get_data (spki, NULL);
  g_autoptr (EVP_PKEY) key = d2i_PUBKEY (NULL, &der, (long)g_bytes_get_size (spki));
  const char *hash = params->hash != NULL ? params->hash : "sha256";
  EVP_MD_CTX *context = EVP_MD_CTX_new ();
  EVP_PKEY_CTX *key_context = NULL;
  gboolean good;

  g_assert_cmpint (EVP_DigestVerifyInit_ex (context, &key_context, hash, NULL, NULL, key, NULL), ==,
                   1);
  if (g_strcmp0 (params->mechanism, "rsa-pss") == 0)
    {
      EVP_PKEY_CTX_set_rsa_padding (key_context, RSA_PKCS1_PSS_PADDING);
      EVP_PKEY_CTX_set_rsa_pss_saltlen (key_context, RSA_PSS_SALTLEN_DIGEST);
    }
  good =
      EVP_DigestVerify (context, g_bytes_get_data (signature, NULL), g_bytes_get_size (signature),
                        g_bytes_get_data (data, NULL), g_bytes_get_size (data)) == 1;
  EVP_MD_CTX_free (context);
  return good;
}

GBytes *
test_token_try_sign (TestToken *fixture, const char *pin_text, GError **error)
{
  g_autoptr (GBytes) data = g_bytes_new_static ("data", 4);
  g_autoptr (Secret) pin = pin_text != NULL ? secret_new (pin_text, strlen (pin_text)) : NULL;
  const TokenSignParams params = { NULL };

  return tokens_sign (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, fixture->id, data,
                      &params, pin, NULL, NULL, error);
}

void
test_token_assert_signs (TestToken *fixture)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) signature = test_token_try_sign (fixture, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (signature);
}
