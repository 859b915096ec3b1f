/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * daemon/token with the real libtpm2_pkcs11 in the real helper, on our broker and a software TPM; and what tpm2_ptool
 * and p11tool say of it.
 */

#include "token/tokens.h"

#include <glib/gstdio.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/certificate.h"
#include "dbus/error.h"
#include "test-bed.h"
#include "token/helper-jobs.h"
#include "token/primary.h"
#include "token/protocol.h"

#define TOKEN   "greengrass"
#define KEY     "greenkey"
#define PIN     "user-pin-0123456789abcdef"
#define SO_PIN  "so-pin-0123456789abcdef"
#define OWN_PIN "123456" /* of a token that tpm2_ptool made */

typedef struct
{
  TestBed *bed;
  Tokens *tokens;
  Store *store;
  GBytes *id;
} Fixture;

/* ---- the bed ---- */

static guint
count (Fixture *fixture)
{
  return test_swtpm_count (fixture->bed->swtpm, 0);
}

/* What provisioning does, with the TPM commands of each step. */
static void
make_token (Fixture *fixture, const char *algorithm)
{
  const Config *config = fixture->bed->config;
  Tpm *tpm = fixture->bed->tpm;
  g_autoptr (GError) error = NULL;
  g_autoptr (Secret) pin = secret_new (PIN, strlen (PIN));
  g_autoptr (Secret) so_pin = secret_new (SO_PIN, strlen (SO_PIN));
  g_autoptr (StoreChange) change = store_change_new (fixture->store, &error);
  g_autoptr (HelperClient) client =
      helper_client_new (config, store_change_get_dir (change), &error);
  g_autoptr (GBytes) blob = NULL;
  g_autoptr (GBytes) spki = NULL;
  g_autofree char *csr = NULL;
  gint64 start = g_get_monotonic_time ();
  guint at[8] = { count (fixture) };
  TPM2_HANDLE handle = 0;
  gboolean created = FALSE;

  g_assert_true (helper_jobs_open (client, NULL, &error));
  at[1] = count (fixture);
  g_assert_true (primary_ensure (tpm, NULL, NULL, &handle, &blob, &created, &error));
  g_assert_true (created);
  g_assert_cmphex (handle, ==, PRIMARY_FIRST_HANDLE);
  at[2] = count (fixture);
  g_assert_true (store_change_add_primary (change, g_bytes_get_data (blob, NULL),
                                           g_bytes_get_size (blob), &error));
  g_assert_true (helper_jobs_init_token (client, TOKEN, so_pin, pin, NULL, &error));
  at[3] = count (fixture);
  spki = helper_jobs_generate_key (client, TOKEN, pin, KEY, fixture->id, algorithm, NULL, &error);
  g_assert_no_error (error);
  at[4] = count (fixture);
  csr = helper_jobs_make_csr (client, TOKEN, pin, fixture->id, spki, "CN=x", NULL, &error);
  g_assert_no_error (error);
  at[5] = count (fixture);
  g_assert_true (tokens_settle_pss (change, client, TOKEN, pin, fixture->id, spki, NULL, &error));
  at[6] = count (fixture);
  g_clear_pointer (&client, helper_client_free);
  at[7] = count (fixture);
  g_assert_true (store_save_pin (fixture->store, TOKEN, STORE_PIN_USER, pin, &error));
  g_assert_true (store_change_commit (change, &error));
  g_assert_no_error (error);
  g_test_message (
      "%s: open %u, primary %u, token %u, key %u, CSR %u, PSS %u, end %u: %u TPM commands in %.0f ms",
      algorithm, at[1] - at[0], at[2] - at[1], at[3] - at[2], at[4] - at[3], at[5] - at[4],
      at[6] - at[5], at[7] - at[6], at[7] - at[0],
      (double)(g_get_monotonic_time () - start) / 1000);
}

static void
set_up (Fixture *fixture, gconstpointer algorithm)
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

static void
tear_down (Fixture *fixture, gconstpointer algorithm)
{
  tokens_free (fixture->tokens);
  g_bytes_unref (fixture->id);
  test_bed_free (fixture->bed);
}

static char *
get_sum (Fixture *fixture)
{
  g_autofree char *data = NULL;
  gsize len = 0;

  g_assert_true (g_file_get_contents (store_get_database (fixture->store), &data, &len, NULL));
  return g_compute_checksum_for_data (G_CHECKSUM_SHA256, (guint8 *)data, len);
}

static void
assert_unchanged (Fixture *fixture, const char *sum)
{
  g_autofree char *now = get_sum (fixture);
  g_autofree char *staging =
      g_build_filename (fixture->bed->config->state_dir, "pkcs11.staging", NULL);

  g_assert_cmpstr (now, ==, sum);
  g_assert_false (g_file_test (staging, G_FILE_TEST_EXISTS));
}

static guint
get_lockout_counter (Fixture *fixture)
{
  g_autofree char *text = store_describe_tries (fixture->bed->tpm);

  return (guint)g_ascii_strtoull (text, NULL, 10);
}

static void
assert_contains (const char *text, const char *part)
{
  if (text == NULL || strstr (text, part) == NULL)
    g_error ("`%s` is not in: %s", part, text);
}

/* ---- signatures ---- */

static GBytes *
get_spki (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TokenInfo) info = tokens_find (fixture->tokens, TOKEN, NULL, &error);

  g_assert_no_error (error);
  return g_bytes_ref (token_info_find_key (info, KEY)->spki);
}

static gboolean
verifies (GBytes *spki, const TokenSignParams *params, GBytes *data, GBytes *signature)
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

static GBytes *
try_sign (Fixture *fixture, const char *pin_text, GError **error)
{
  g_autoptr (GBytes) data = g_bytes_new_static ("data", 4);
  g_autoptr (Secret) pin = pin_text != NULL ? secret_new (pin_text, strlen (pin_text)) : NULL;
  const TokenSignParams params = { NULL };

  return tokens_sign (fixture->tokens, fixture->bed->tpm, TOKEN, fixture->id, data, &params, pin,
                      NULL, error);
}

static void
assert_signs (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) signature = try_sign (fixture, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (signature);
}

/* ---- tests ---- */

static void
test_list (Fixture *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) infos = tokens_list (fixture->tokens, NULL, &error);
  TokenInfo *info;
  TokenKey *key;

  g_assert_no_error (error);
  g_assert_cmpuint (infos->len, ==, 1);
  info = infos->pdata[0];
  g_assert_cmpstr (info->label, ==, TOKEN);
  g_assert_cmpuint (info->slot, ==, 1);
  g_assert_cmpstr (info->manufacturer, ==, "IBM");
  g_assert_cmpstr (info->model, ==, "SW   TPM");
  g_assert_cmpstr (info->uri, ==, "pkcs11:token=greengrass");
  g_assert_true (info->pin_stored);
  g_assert_cmpuint (info->keys->len, ==, 1);
  key = info->keys->pdata[0];
  g_assert_cmpstr (key->label, ==, KEY);
  g_assert_cmpstr (key->algorithm, ==, algorithm);
  g_assert_true (g_bytes_equal (key->id, fixture->id));
  g_assert_cmpstr (key->uri, ==, "pkcs11:token=greengrass;object=greenkey;type=private");
  g_assert_null (key->certificate);
}

static void
test_empty (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  guint before = count (fixture);
  g_autoptr (GPtrArray) infos = tokens_list (fixture->tokens, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (infos->len, ==, 0);
  g_assert_cmpuint (count (fixture), ==, before);
  g_assert_null (tokens_find (fixture->tokens, TOKEN, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (try_sign (fixture, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND);
}

static void
test_sign (Fixture *fixture, gconstpointer algorithm)
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
  g_autoptr (GBytes) spki = get_spki (fixture);

  for (gsize i = 0; i < n; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) signature =
          tokens_sign (fixture->tokens, fixture->bed->tpm, TOKEN, fixture->id, data, &params[i],
                       NULL, NULL, &error);

      g_assert_no_error (error);
      g_assert_true (verifies (spki, &params[i], data, signature));
      g_assert_false (verifies (spki, &params[i], other, signature));
    }
}

static void
test_sign_arguments (Fixture *fixture, gconstpointer algorithm)
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
      g_assert_null (tokens_sign (fixture->tokens, fixture->bed->tpm, TOKEN, fixture->id, data,
                                  &bad[i].params, NULL, NULL, &error));
      g_assert_error (error, GGTPM_ERROR, bad[i].code);
      g_clear_error (&error);
    }
  g_assert_null (tokens_sign (fixture->tokens, fixture->bed->tpm, TOKEN, no_id, data,
                              &(TokenSignParams){ NULL }, NULL, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND);
}

/* The second signature has no login, no check and no start of the library in it. */
static void
test_warm (Fixture *fixture, gconstpointer algorithm)
{
  guint first, second;
  gint64 start;

  first = count (fixture);
  assert_signs (fixture);
  first = count (fixture) - first;
  second = count (fixture);
  start = g_get_monotonic_time ();
  for (int i = 0; i < 20; i++)
    assert_signs (fixture);
  g_test_message ("20 signatures in %.1f ms", (double)(g_get_monotonic_time () - start) / 1000);
  second = count (fixture) - second;
  g_test_message ("first signature %u TPM commands, 20 more %u", first, second);
  g_assert_cmpuint (test_swtpm_count (fixture->bed->swtpm, TPM2_CC_Sign), >=, 21);
  g_assert_cmpuint (second, <=, 2 * 20);
}

static void
test_create_key (Fixture *fixture, gconstpointer algorithm)
{
  static const char *const algorithms[] = { "ecc-p256", "rsa-2048" };
  g_autoptr (GError) error = NULL;
  g_autoptr (TokenInfo) info = NULL;
  g_autofree char *sum = NULL;

  assert_signs (fixture);
  for (gsize i = 0; i < G_N_ELEMENTS (algorithms); i++)
    {
      guint before = count (fixture);
      g_autoptr (TokenKey) key =
          tokens_create_key (fixture->tokens, fixture->bed->tpm, TOKEN, algorithms[i], NULL,
                             algorithms[i], NULL, NULL, &error);
      g_autofree char *csr = NULL;

      g_assert_no_error (error);
      g_test_message ("%s: %u TPM commands", algorithms[i], count (fixture) - before);
      g_assert_cmpuint (g_bytes_get_size (key->id), ==, 8);
      csr = tokens_create_csr (fixture->tokens, fixture->bed->tpm, TOKEN, key->id, NULL, NULL, NULL,
                               &error);
      g_assert_no_error (error);
      assert_contains (csr, "BEGIN CERTIFICATE REQUEST");
    }
  assert_signs (fixture);
  info = tokens_find (fixture->tokens, TOKEN, NULL, &error);
  g_assert_cmpuint (info->keys->len, ==, 3);

  /* A label or id that is taken. */
  sum = get_sum (fixture);
  g_assert_null (tokens_create_key (fixture->tokens, fixture->bed->tpm, TOKEN, KEY, NULL,
                                    "ecc-p256", NULL, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS);
  g_clear_error (&error);
  g_assert_null (tokens_create_key (fixture->tokens, fixture->bed->tpm, TOKEN, "new", fixture->id,
                                    "ecc-p256", NULL, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS);
  g_clear_error (&error);
  g_assert_null (tokens_create_key (fixture->tokens, fixture->bed->tpm, TOKEN, "new", NULL,
                                    "rsa-1024", NULL, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED);
  assert_contains (error->message, "ecc-p256 and rsa-2048");
  g_clear_error (&error);
  g_assert_null (tokens_create_key (fixture->tokens, fixture->bed->tpm, "nobody", "new", NULL,
                                    "ecc-p256", NULL, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND);
  assert_unchanged (fixture, sum);
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
install (Fixture *fixture, const char *pem, gboolean force, GError **error)
{
  return tokens_install_certificate (fixture->tokens, fixture->bed->tpm, TOKEN, fixture->id, pem,
                                     force, NULL, NULL, error);
}

static void
assert_installed (Fixture *fixture, GBytes *der)
{
  g_autoptr (TokenInfo) info = tokens_find (fixture->tokens, TOKEN, NULL, NULL);

  g_assert_true (g_bytes_equal (token_info_find_key (info, KEY)->certificate, der));
}

static void
test_certificate (Fixture *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EVP_PKEY) other = EVP_EC_gen ("P-256");
  g_autoptr (GBytes) spki = get_spki (fixture);
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
  sum = get_sum (fixture);
  g_assert_true (install (fixture, first, FALSE, &error));
  assert_unchanged (fixture, sum);

  g_assert_false (install (fixture, foreign, TRUE, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  g_assert_false (install (fixture, expired, FALSE, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  g_assert_false (install (fixture, "no PEM", FALSE, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  assert_unchanged (fixture, sum);

  g_assert_true (install (fixture, second, FALSE, &error));
  assert_installed (fixture, second_der);
  g_assert_true (install (fixture, expired, TRUE, &error));
  assert_installed (fixture, expired_der);
  assert_signs (fixture);
}

/* ---- PINs ---- */

static void
test_wrong_pin (Fixture *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = store_get_pin_path (fixture->store, TOKEN, STORE_PIN_USER);
  g_autofree char *sum = get_sum (fixture);
  g_autoptr (Secret) wrong = secret_new ("wrong", 5);
  g_autoptr (GBytes) signature = NULL;

  /* Against a warm signer, which has accepted the right one: the wrong one is tried all the same. */
  assert_signs (fixture);
  g_assert_null (try_sign (fixture, "wrong", &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED);
  assert_contains (error->message, "1 of 3 tries used");
  g_clear_error (&error);
  g_assert_cmpuint (get_lockout_counter (fixture), ==, 1);

  signature = try_sign (fixture, PIN, &error);
  g_assert_no_error (error);
  assert_signs (fixture);

  g_assert_null (tokens_create_key (fixture->tokens, fixture->bed->tpm, TOKEN, "new", NULL,
                                    "ecc-p256", wrong, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED);
  assert_contains (error->message, "2 of 3 tries used");
  g_clear_error (&error);
  g_assert_cmpuint (get_lockout_counter (fixture), ==, 2);
  assert_unchanged (fixture, sum);

  /* No PIN at all costs no try. */
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_null (try_sign (fixture, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED);
  g_clear_error (&error);
  g_assert_cmpuint (get_lockout_counter (fixture), ==, 2);

  /* The third one locks; then the right one is not even sent. */
  g_assert_null (try_sign (fixture, "wrong", &error));
  g_clear_error (&error);
  g_assert_null (try_sign (fixture, PIN, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT);
  assert_contains (error->message, "3 of 3");
}

/* Children of ours that are token helpers. */
static GArray *
find_helpers (void)
{
  GArray *pids = g_array_new (FALSE, FALSE, sizeof (pid_t));
  g_autoptr (GDir) tasks = g_dir_open ("/proc/self/task", 0, NULL);
  const char *task;

  while ((task = g_dir_read_name (tasks)) != NULL)
    {
      g_autofree char *path = g_strdup_printf ("/proc/self/task/%s/children", task);
      g_autofree char *text = NULL;
      g_auto (GStrv) children = NULL;

      if (!g_file_get_contents (path, &text, NULL, NULL))
        continue;
      children = g_strsplit (g_strstrip (text), " ", -1);
      for (char **child = children; *child != NULL; child++)
        {
          pid_t pid = (pid_t)g_ascii_strtoull (*child, NULL, 10);
          g_autofree char *comm_path = g_strdup_printf ("/proc/%s/comm", *child);
          g_autofree char *comm = NULL;

          if (g_file_get_contents (comm_path, &comm, NULL, NULL) &&
              g_str_has_prefix (comm, "ggtpm-token-hel"))
            g_array_append_val (pids, pid);
        }
    }
  return pids;
}

static void
test_no_pin_in_proc (Fixture *fixture, gconstpointer algorithm)
{
  static const char *const names[] = { "cmdline", "environ" };
  g_autoptr (GArray) helpers = NULL;

  assert_signs (fixture);
  helpers = find_helpers ();
  g_assert_cmpuint (helpers->len, ==, 1);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path =
          g_strdup_printf ("/proc/%d/%s", g_array_index (helpers, pid_t, 0), names[i]);
      g_autofree char *data = NULL;
      gsize len = 0;

      g_assert_true (g_file_get_contents (path, &data, &len, NULL));
      g_assert_cmpuint (len, >, 0);
      g_assert_null (memmem (data, len, PIN, strlen (PIN)));
      g_assert_null (memmem (data, len, SO_PIN, strlen (SO_PIN)));
      /* The environment is ours alone. */
      g_assert_null (memmem (data, len, "HOME=", 5));
    }
}

/* ---- what goes wrong ---- */

typedef struct
{
  GCancellable *cancellable;
  int signal; /* 0: cancel */
} Trouble;

/* As soon as a helper is making the key. */
static gpointer
make_trouble (gpointer data)
{
  Trouble *trouble = data;
  g_autoptr (GArray) helpers = NULL;

  do
    {
      g_clear_pointer (&helpers, g_array_unref);
      g_usleep (1000);
      helpers = find_helpers ();
    }
  while (helpers->len == 0);
  g_usleep (30000);
  if (trouble->signal == 0)
    g_cancellable_cancel (trouble->cancellable);
  for (guint i = 0; trouble->signal != 0 && i < helpers->len; i++)
    kill (g_array_index (helpers, pid_t, i), trouble->signal);
  return NULL;
}

static void
test_interrupted (Fixture *fixture, gconstpointer algorithm)
{
  static const struct
  {
    int signal;
    int code;
  } troubles[] = { { 0, GGTPM_ERROR_CANCELLED }, { SIGKILL, GGTPM_ERROR_FAILED } };
  g_autofree char *sum = get_sum (fixture);

  for (gsize i = 0; i < G_N_ELEMENTS (troubles); i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GError) error = NULL;
      Trouble trouble = { cancellable, troubles[i].signal };
      GThread *thread = g_thread_new ("trouble", make_trouble, &trouble);
      g_autoptr (TokenKey) key =
          tokens_create_key (fixture->tokens, fixture->bed->tpm, TOKEN, "new", NULL, "rsa-2048",
                             NULL, cancellable, &error);

      g_thread_join (thread);
      g_assert_null (key);
      g_assert_error (error, GGTPM_ERROR, troubles[i].code);
      assert_unchanged (fixture, sum);
    }
  assert_signs (fixture);
}

static void
test_timeout (Fixture *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HelperClient) client =
      helper_client_new (fixture->bed->config, store_get_dir (fixture->store), &error);
  g_autoptr (GArray) helpers = find_helpers ();
  json_object *request = json_object_new_object ();

  json_object_object_add (request, "job", json_object_new_string ("list"));
  g_assert_cmpuint (helpers->len, ==, 1);
  kill (g_array_index (helpers, pid_t, 0), SIGSTOP);
  g_assert_null (helper_client_call (client, request, 1, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_TIMEOUT);
  g_assert_false (helper_client_is_usable (client));
}

/* SQLite meets a limit on the size of files as it meets a full disk; the helper inherits it. */
static void
test_disk_full (Fixture *fixture, gconstpointer algorithm)
{
  g_autofree char *sum = get_sum (fixture);
  struct rlimit limit, small;
  guint n_failed = 0;

  getrlimit (RLIMIT_FSIZE, &limit);
  sigaction (SIGXFSZ, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
  for (rlim_t size = 4096; n_failed < 16; size += 4096)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (TokenKey) key = NULL;

      small = limit;
      small.rlim_cur = size;
      setrlimit (RLIMIT_FSIZE, &small);
      key = tokens_create_key (fixture->tokens, fixture->bed->tpm, TOKEN, "new", NULL, "ecc-p256",
                               NULL, NULL, &error);
      setrlimit (RLIMIT_FSIZE, &limit);
      if (key != NULL)
        break;
      n_failed++;
      g_test_message ("%u bytes: %s", (guint)size, error->message);
      assert_unchanged (fixture, sum);
    }
  g_assert_cmpuint (n_failed, >, 3);
  g_assert_cmpuint (n_failed, <, 16);
  assert_signs (fixture);
}

/* ---- the chip ---- */

static void
test_power_cut (Fixture *fixture, gconstpointer algorithm)
{
  assert_signs (fixture);
  test_bed_power_cycle (fixture->bed);
  assert_signs (fixture);
  g_assert_cmpuint (get_lockout_counter (fixture), <=, 1);
}

static void
test_other_chip (Fixture *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) blob = NULL;
  TPM2_HANDLE handle;
  gboolean created;

  test_bed_replace_chip (fixture->bed);
  g_assert_null (try_sign (fixture, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  assert_contains (error->message, "there is no storage key at 0x81000001");
  g_clear_error (&error);
  g_assert_true (primary_ensure (fixture->bed->tpm, NULL, NULL, &handle, &blob, &created, &error));
  g_assert_null (try_sign (fixture, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  assert_contains (error->message, "another storage key is at 0x81000001");
  g_assert_cmpuint (get_lockout_counter (fixture), ==, 0);
}

static gboolean
refuse_intent (TPM2_HANDLE handle, const TPM2B_NAME *name, gpointer user_data, GError **error)
{
  *(TPM2_HANDLE *)user_data = handle;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "no journal");
  return FALSE;
}

static void
test_primary (Fixture *fixture, gconstpointer unused)
{
  Tpm *tpm = fixture->bed->tpm;
  const char *dir = test_swtpm_get_dir (fixture->bed->swtpm);
  g_autofree char *context = g_build_filename (dir, "foreign.ctx", NULL);
  const char *create[] = { "tpm2_createprimary", "-Q", "-c", context, NULL };
  const char *persist[] = { "tpm2_evictcontrol", "-Q", "-c", context, "0x81000001", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) first = NULL;
  g_autoptr (GBytes) second = NULL;
  g_autofree char *output = NULL;
  TPM2_HANDLE handle = 0, announced = 0;
  gboolean created = FALSE;

  g_free (test_bed_run (fixture->bed, create));
  g_free (test_bed_run (fixture->bed, persist));

  /* Nothing is made that could not be announced. */
  g_assert_false (
      primary_ensure (tpm, refuse_intent, &announced, &handle, &first, &created, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  g_clear_error (&error);
  g_assert_cmphex (announced, ==, 0x81000002);
  g_assert_cmpuint (test_swtpm_count (fixture->bed->swtpm, TPM2_CC_EvictControl), ==, 1);

  g_assert_true (primary_ensure (tpm, NULL, NULL, &handle, &first, &created, &error));
  g_assert_no_error (error);
  g_assert_true (created);
  g_assert_cmphex (handle, ==, 0x81000002);
  g_assert_true (primary_ensure (tpm, NULL, NULL, &handle, &second, &created, &error));
  g_assert_false (created);
  g_assert_cmphex (handle, ==, 0x81000002);
  g_assert_true (g_bytes_equal (first, second));

  output = test_bed_run (fixture->bed,
                         (const char *const[]){ "tpm2_readpublic", "-c", "0x81000002", NULL });
  assert_contains (output,
                   "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt");
  g_clear_pointer (&output, g_free);
  output = test_bed_run (fixture->bed,
                         (const char *const[]){ "tpm2_getcap", "handles-transient", NULL });
  g_assert_cmpstr (output, ==, "");
}

/* ---- other programs ---- */

static void
test_seen_by_others (Fixture *fixture, gconstpointer algorithm)
{
  const char *store = store_get_dir (fixture->store);
  const char *module = fixture->bed->config->pkcs11_module;
  g_autoptr (GBytes) spki = get_spki (fixture);
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
  assert_contains (tokens, "label: " TOKEN);
  objects = test_bed_run (fixture->bed, (const char *const[]){ "tpm2_ptool", "listobjects",
                                                               "--label=" TOKEN, path, NULL });
  assert_contains (objects, "CKA_LABEL: " KEY);
  assert_contains (objects, "CKO_PRIVATE_KEY");
  assert_contains (objects, "CKO_CERTIFICATE");
  verified = test_bed_run (fixture->bed, (const char *const[]){ "tpm2_ptool", "verify",
                                                                "--label=" TOKEN, "--userpin=" PIN,
                                                                "--sopin=" SO_PIN, path, NULL });
  all = test_bed_run (fixture->bed,
                      (const char *const[]){ "p11tool", provider, "--login", "--set-pin=" PIN,
                                             "--list-all", "pkcs11:token=" TOKEN, NULL });
  assert_contains (all, "object=" KEY ";type=private");
  assert_contains (all, "object=" KEY ";type=public");
  assert_contains (all, "object=" KEY ";type=cert");
  tested = test_bed_run (
      fixture->bed,
      (const char *const[]){ "p11tool", provider, "--login", "--set-pin=" PIN, "--test-sign",
                             "pkcs11:token=" TOKEN ";object=" KEY ";type=private", NULL });
  mechanisms =
      test_bed_run (fixture->bed, (const char *const[]){ "p11tool", provider, "--list-mechanisms",
                                                         "pkcs11:token=" TOKEN, NULL });
  /* By pss-sigs-good, which C_InitToken does not set. */
  g_assert_cmpint (strstr (mechanisms, "CKM_RSA_PKCS_PSS") != NULL, ==,
                   g_str_has_prefix (algorithm, "rsa"));
}

/* A token of tpm2_ptool's is listed, signs, and gets keys and certificates of ours. */
static void
test_ptool_token (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *path = g_strdup_printf ("--path=%s", store_get_dir (fixture->store));
  g_autoptr (Secret) pin = secret_new (OWN_PIN, strlen (OWN_PIN));
  g_autoptr (GBytes) data = g_bytes_new_static ("data", 4);
  g_autoptr (GError) error = NULL;
  g_autoptr (TokenInfo) info = NULL;
  g_autoptr (TokenKey) made = NULL;

  g_free (test_bed_run (fixture->bed, (const char *const[]){ "tpm2_ptool", "init", path, NULL }));
  g_free (test_bed_run (
      fixture->bed, (const char *const[]){ "tpm2_ptool", "addtoken", "--pid=1", "--sopin=" OWN_PIN,
                                           "--userpin=" OWN_PIN, "--label=" TOKEN, path, NULL }));
  g_free (test_bed_run (fixture->bed,
                        (const char *const[]){ "tpm2_ptool", "addkey", "--algorithm=ecc256",
                                               "--label=" TOKEN, "--userpin=" OWN_PIN,
                                               "--key-label=" KEY, path, NULL }));
  g_free (test_bed_run (
      fixture->bed, (const char *const[]){ "tpm2_ptool", "addkey", "--algorithm=rsa2048",
                                           "--label=" TOKEN, "--userpin=" OWN_PIN, path, NULL }));
  info = tokens_find (fixture->tokens, TOKEN, NULL, &error);
  g_assert_no_error (error);
  g_assert_false (info->pin_stored);
  g_assert_cmpuint (info->keys->len, ==, 2);
  for (guint i = 0; i < info->keys->len; i++)
    {
      TokenKey *key = info->keys->pdata[i];
      g_autoptr (GBytes) signature = NULL;
      const TokenSignParams params = { NULL };

      signature = tokens_sign (fixture->tokens, fixture->bed->tpm, TOKEN, key->id, data, &params,
                               pin, NULL, &error);
      g_assert_no_error (error);
      g_assert_true (verifies (key->spki, &params, data, signature));
      /* Made without a label: the id names it. */
      if (*key->label == '\0')
        assert_contains (key->uri, "pkcs11:token=greengrass;id=%");
    }
  made = tokens_create_key (fixture->tokens, fixture->bed->tpm, TOKEN, "ours", NULL, "ecc-p256",
                            pin, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (made);
}

#define ADD(path, algorithm, function)                                                             \
  g_test_add ("/tokens/" path, Fixture, algorithm, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  test_swtpm_require ();
  ADD ("empty", NULL, test_empty);
  ADD ("primary", NULL, test_primary);
  ADD ("list/ecc", "ecc-p256", test_list);
  ADD ("list/rsa", "rsa-2048", test_list);
  ADD ("sign/ecc", "ecc-p256", test_sign);
  ADD ("sign/rsa", "rsa-2048", test_sign);
  ADD ("sign/arguments", "ecc-p256", test_sign_arguments);
  ADD ("sign/warm", "ecc-p256", test_warm);
  ADD ("create-key", "ecc-p256", test_create_key);
  ADD ("certificate", "ecc-p256", test_certificate);
  ADD ("pin/wrong", "ecc-p256", test_wrong_pin);
  ADD ("pin/not-in-proc", "ecc-p256", test_no_pin_in_proc);
  ADD ("interrupted", "ecc-p256", test_interrupted);
  ADD ("timeout", "ecc-p256", test_timeout);
  ADD ("disk-full", "ecc-p256", test_disk_full);
  ADD ("power-cut", "ecc-p256", test_power_cut);
  ADD ("other-chip", "ecc-p256", test_other_chip);
  ADD ("seen-by-others/ecc", "ecc-p256", test_seen_by_others);
  ADD ("seen-by-others/rsa", "rsa-2048", test_seen_by_others);
  ADD ("ptool-token", NULL, test_ptool_token);
  return g_test_run ();
}
