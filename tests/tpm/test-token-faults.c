/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * daemon/token where something is wrong: PINs, the helper, the disk, the chip. The store stays as it was, and the next
 * call works.
 */

#include "token/tokens.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>

#include "dbus/error.h"
#include "test-token.h"
#include "token/helper-client.h"
#include "token/primary.h"

/* ---- PINs ---- */

static void
test_wrong_pin (TestToken *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = store_get_pin_path (fixture->store, TEST_TOKEN_LABEL, STORE_PIN_USER);
  g_autofree char *sum = test_token_get_sum (fixture);
  g_autoptr (Secret) wrong = secret_new ("wrong", 5);
  g_autoptr (GBytes) signature = NULL;

  /* Against a warm signer, which has accepted the right one: the wrong one is tried all the same. */
  test_token_assert_signs (fixture);
  g_assert_null (test_token_try_sign (fixture, "wrong", &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED);
  test_token_assert_contains (error->message, "1 of 3 tries used");
  g_clear_error (&error);
  g_assert_cmpuint (test_token_get_lockout_counter (fixture), ==, 1);

  signature = test_token_try_sign (fixture, TEST_TOKEN_PIN, &error);
  g_assert_no_error (error);
  test_token_assert_signs (fixture);

  g_assert_null (tokens_create_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, "new",
                                    NULL, "ecc-p256", wrong, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED);
  test_token_assert_contains (error->message, "2 of 3 tries used");
  g_clear_error (&error);
  g_assert_cmpuint (test_token_get_lockout_counter (fixture), ==, 2);
  test_token_assert_unchanged (fixture, sum);

  /* No PIN at all costs no try. */
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_null (test_token_try_sign (fixture, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED);
  g_clear_error (&error);
  g_assert_cmpuint (test_token_get_lockout_counter (fixture), ==, 2);

  /* The third one locks; then the right one is not even sent. */
  g_assert_null (test_token_try_sign (fixture, "wrong", &error));
  g_clear_error (&error);
  g_assert_null (test_token_try_sign (fixture, TEST_TOKEN_PIN, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT);
  test_token_assert_contains (error->message, "3 of 3");
}

/* A stored PIN that is wrong is tried once, until its file or the token's PIN is another. */
static void
test_wrong_stored_pin (TestToken *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Secret) right = secret_new (TEST_TOKEN_PIN, strlen (TEST_TOKEN_PIN));
  g_autoptr (Secret) wrong = secret_new ("wrong", 5);
  g_autoptr (Secret) other = secret_new ("other", 5);

  g_assert_true (store_save_pin (fixture->store, TEST_TOKEN_LABEL, STORE_PIN_USER, wrong, &error));
  for (guint i = 0; i < 3; i++)
    {
      g_assert_null (test_token_try_sign (fixture, NULL, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED);
      test_token_assert_contains (error->message, i == 0 ? "1 of 3 tries" : "token unblock");
      g_clear_error (&error);
      g_assert_null (tokens_create_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, "new",
                                        NULL, "ecc-p256", NULL, NULL, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED);
      g_clear_error (&error);
      g_assert_cmpuint (test_token_get_lockout_counter (fixture), ==, 1);
    }

  g_assert_true (store_save_pin (fixture->store, TEST_TOKEN_LABEL, STORE_PIN_USER, other, &error));
  g_assert_null (test_token_try_sign (fixture, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED);
  g_clear_error (&error);
  g_assert_cmpuint (test_token_get_lockout_counter (fixture), ==, 2);

  /* The file stays, and the token gets the PIN that is in it. */
  g_assert_true (tokens_change_pin (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL,
                                    TOKENS_CHANGE_PIN, right, other, NULL, &error));
  test_token_assert_signs (fixture);
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
test_no_pin_in_proc (TestToken *fixture, gconstpointer algorithm)
{
  static const char *const names[] = { "cmdline", "environ" };
  g_autoptr (GArray) helpers = NULL;

  test_token_assert_signs (fixture);
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
      g_assert_null (memmem (data, len, TEST_TOKEN_PIN, strlen (TEST_TOKEN_PIN)));
      g_assert_null (memmem (data, len, TEST_TOKEN_SO_PIN, strlen (TEST_TOKEN_SO_PIN)));
      /* The environment is ours alone. */
      g_assert_null (memmem (data, len, "HOME=", 5));
    }
}

/* ---- what goes wrong ---- */

typedef enum
{
  TROUBLE_CANCEL,
  TROUBLE_KILL,
  TROUBLE_CUT_POWER,
} TroubleKind;

/* Of one kind; a chip whose power is cut a third time does not take authorisations any more. */
#define MAX_TRIES 2

typedef struct
{
  TroubleKind kind;
  GCancellable *cancellable;
  TestSwtpm *swtpm;
  guint n_made; /* keys so far */
  gint ended;   /* too late */
} Trouble;

static guint
count_made (TestSwtpm *swtpm)
{
  return test_swtpm_count (swtpm, TPM2_CC_Create) + test_swtpm_count (swtpm, TPM2_CC_CreateLoaded);
}

/* As soon as the chip is making the key. */
static gpointer
make_trouble (gpointer data)
{
  Trouble *trouble = data;
  g_autoptr (GArray) helpers = NULL;

  while (count_made (trouble->swtpm) == trouble->n_made && !g_atomic_int_get (&trouble->ended))
    g_usleep (1000);
  test_swtpm_hold (trouble->swtpm, TRUE);
  if (trouble->kind == TROUBLE_CANCEL)
    g_cancellable_cancel (trouble->cancellable);
  else if (trouble->kind == TROUBLE_CUT_POWER)
    test_swtpm_kill (trouble->swtpm);
  else
    {
      helpers = find_helpers ();
      for (guint i = 0; i < helpers->len; i++)
        kill (g_array_index (helpers, pid_t, i), SIGKILL);
    }
  test_swtpm_hold (trouble->swtpm, FALSE);
  return NULL;
}

/* A key of @label is made, and @kind comes between; the error of that, NULL if it came too late. */
static GError *
interrupt (TestToken *fixture, TroubleKind kind, const char *label)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  TestSwtpm *swtpm = fixture->bed->swtpm;
  g_autofree char *sum = test_token_get_sum (fixture);
  Trouble trouble = { kind, cancellable, swtpm, count_made (swtpm), FALSE };
  GThread *thread = g_thread_new ("trouble", make_trouble, &trouble);
  GError *error = NULL;
  g_autoptr (TokenKey) key =
      tokens_create_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, label, NULL,
                         "rsa-2048", NULL, cancellable, &error);

  g_atomic_int_set (&trouble.ended, TRUE);
  g_thread_join (thread);
  if (key == NULL)
    test_token_assert_unchanged (fixture, sum);
  return error;
}

static void
test_interrupted (TestToken *fixture, gconstpointer algorithm)
{
  static const struct
  {
    TroubleKind kind;
    int code;
    const char *words;
  } troubles[] = {
    { TROUBLE_CANCEL, GGTPM_ERROR_CANCELLED, "cancelled" },
    { TROUBLE_KILL, GGTPM_ERROR_UNAVAILABLE, "the token helper ended unexpectedly" },
    { TROUBLE_CUT_POWER, GGTPM_ERROR_UNAVAILABLE, "the connection to the TPM broke (" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (troubles); i++)
    {
      g_autoptr (GError) error = NULL;

      /* A busy machine may be quicker with the key than with the trouble. */
      for (guint n = 0; n < MAX_TRIES && error == NULL; n++)
        {
          g_autofree char *label = g_strdup_printf ("new-%u-%u", (guint)i, n);

          if (n > 0 && troubles[i].kind == TROUBLE_CUT_POWER)
            test_bed_power_cycle (fixture->bed);
          error = interrupt (fixture, troubles[i].kind, label);
        }
      g_assert_error (error, GGTPM_ERROR, troubles[i].code);
      test_token_assert_contains (error->message, troubles[i].words);
    }
  test_bed_power_cycle (fixture->bed);
  test_token_assert_signs (fixture);
}

/* What the chip makes is looked at before it is kept. */
static void
test_weak_key (TestToken *fixture, gconstpointer algorithm)
{
  g_autofree char *sum = test_token_get_sum (fixture);
  Config *config = fixture->bed->config;
  g_autofree char *path =
      g_build_filename (test_swtpm_get_dir (fixture->bed->swtpm), "helper", NULL);
  g_autofree char *script = g_strdup_printf ("#!/bin/sh\nexec /usr/bin/python3 %s roca %s \"$@\"\n",
                                             g_getenv ("GGTPM_WEAK_HELPER"), config->token_helper);
  g_autoptr (GError) error = NULL;
  g_autoptr (TokenKey) good = NULL;

  g_assert_true (g_file_set_contents_full (path, script, -1, G_FILE_SET_CONTENTS_NONE, 0700, NULL));
  g_free (config->token_helper);
  config->token_helper = g_strdup (path);
  g_assert_null (tokens_create_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, "new",
                                    NULL, "rsa-2048", NULL, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE);
  test_token_assert_contains (error->message, "CVE-2017-15361");
  g_clear_error (&error);
  test_token_assert_unchanged (fixture, sum);
  good = tokens_create_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, "new", NULL,
                            "ecc-p256", NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (good);
}

static void
test_timeout (TestToken *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HelperClient) client =
      helper_client_new (fixture->bed->config, store_get_dir (fixture->store), &error);
  g_autoptr (GArray) helpers = find_helpers ();
  json_object *request = json_object_new_object ();

  json_object_object_add (request, "job", json_object_new_string ("list"));
  g_assert_cmpuint (helpers->len, ==, 1);
  kill (g_array_index (helpers, pid_t, 0), SIGSTOP);
  g_assert_null (helper_client_call (client, request, NULL, 1, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_TIMEOUT);
  g_assert_false (helper_client_is_usable (client));
}

/* SQLite meets a limit on the size of files as it meets a full disk; the helper inherits it. */
static void
test_disk_full (TestToken *fixture, gconstpointer algorithm)
{
  g_autofree char *sum = test_token_get_sum (fixture);
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
      key = tokens_create_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, "new", NULL,
                               "ecc-p256", NULL, NULL, &error);
      setrlimit (RLIMIT_FSIZE, &limit);
      if (key != NULL)
        break;
      n_failed++;
      g_test_message ("%u bytes: %s", (guint)size, error->message);
      test_token_assert_unchanged (fixture, sum);
    }
  g_assert_cmpuint (n_failed, >, 3);
  g_assert_cmpuint (n_failed, <, 16);
  test_token_assert_signs (fixture);
}

/* ---- the chip ---- */

/* Another program writes: it is waited for. */
static gpointer
unlock_later (gpointer data)
{
  g_usleep (300000);
  g_assert_cmpint (sqlite3_close (data), ==, SQLITE_OK);
  return NULL;
}

static void
test_locked (TestToken *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TokenKey) key = NULL;

  for (int i = 0; i < 2; i++)
    {
      sqlite3 *database = NULL;
      GThread *thread;

      g_assert_cmpint (sqlite3_open (store_get_database (fixture->store), &database), ==,
                       SQLITE_OK);
      g_assert_cmpint (sqlite3_exec (database, "BEGIN EXCLUSIVE", NULL, NULL, NULL), ==, SQLITE_OK);
      thread = g_thread_new ("unlock", unlock_later, database);
      if (i == 0)
        test_token_assert_signs (fixture);
      else
        key = tokens_create_key (fixture->tokens, fixture->bed->tpm, TEST_TOKEN_LABEL, "new", NULL,
                                 "ecc-p256", NULL, NULL, &error);
      g_thread_join (thread);
    }
  g_assert_no_error (error);
  g_assert_nonnull (key);
}

/* Told for what it is, and left as it is. */
static void
test_damaged (TestToken *fixture, gconstpointer algorithm)
{
  static const char *const contents[] = { "", "this is no database at all" };

  for (gsize i = 0; i < G_N_ELEMENTS (contents); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *sum = NULL;

      g_assert_true (
          g_file_set_contents (store_get_database (fixture->store), contents[i], -1, NULL));
      sum = test_token_get_sum (fixture);
      g_assert_null (tokens_list (fixture->tokens, NULL, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
      test_token_assert_unchanged (fixture, sum);
    }
}

static void
test_power_cut (TestToken *fixture, gconstpointer algorithm)
{
  test_token_assert_signs (fixture);
  test_bed_power_cycle (fixture->bed);
  test_token_assert_signs (fixture);
  g_assert_cmpuint (test_token_get_lockout_counter (fixture), <=, 1);
}

static void
test_other_chip (TestToken *fixture, gconstpointer algorithm)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) blob = NULL;
  TPM2_HANDLE handle;
  gboolean created;

  test_bed_replace_chip (fixture->bed);
  g_assert_null (test_token_try_sign (fixture, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  test_token_assert_contains (error->message, "there is no storage key at 0x81000001");
  g_clear_error (&error);
  g_assert_true (
      primary_ensure (fixture->bed->tpm, NULL, NULL, NULL, &handle, &blob, &created, &error));
  g_assert_null (test_token_try_sign (fixture, NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  test_token_assert_contains (error->message, "another storage key is at 0x81000001");
  g_assert_cmpuint (test_token_get_lockout_counter (fixture), ==, 0);
}

static gboolean
refuse_intent (TPM2_HANDLE handle,
               const TPM2B_NAME *name,
               gboolean is_new,
               gpointer user_data,
               GError **error)
{
  *(TPM2_HANDLE *)user_data = handle;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "no journal");
  return FALSE;
}

static void
test_primary (TestToken *fixture, gconstpointer unused)
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
      primary_ensure (tpm, NULL, refuse_intent, &announced, &handle, &first, &created, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  g_clear_error (&error);
  g_assert_cmphex (announced, ==, 0x81000002);
  g_assert_cmpuint (test_swtpm_count (fixture->bed->swtpm, TPM2_CC_EvictControl), ==, 1);

  g_assert_true (primary_ensure (tpm, NULL, NULL, NULL, &handle, &first, &created, &error));
  g_assert_no_error (error);
  g_assert_true (created);
  g_assert_cmphex (handle, ==, 0x81000002);
  g_assert_true (primary_ensure (tpm, NULL, NULL, NULL, &handle, &second, &created, &error));
  g_assert_false (created);
  g_assert_cmphex (handle, ==, 0x81000002);
  g_assert_true (g_bytes_equal (first, second));

  output = test_bed_run (fixture->bed,
                         (const char *const[]){ "tpm2_readpublic", "-c", "0x81000002", NULL });
  test_token_assert_contains (
      output, "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt");
  g_clear_pointer (&output, g_free);
  output = test_bed_run (fixture->bed,
                         (const char *const[]){ "tpm2_getcap", "handles-transient", NULL });
  g_assert_cmpstr (output, ==, "");
}

#define ADD(path, algorithm, function)                                                             \
  g_test_add ("/token-faults/" path, TestToken, algorithm, test_token_set_up, function,            \
              test_token_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  test_swtpm_require ();
  ADD ("primary", NULL, test_primary);
  ADD ("pin/wrong", "ecc-p256", test_wrong_pin);
  ADD ("pin/wrong-stored", "ecc-p256", test_wrong_stored_pin);
  ADD ("pin/not-in-proc", "ecc-p256", test_no_pin_in_proc);
  ADD ("interrupted", "ecc-p256", test_interrupted);
  ADD ("weak-key", "ecc-p256", test_weak_key);
  ADD ("timeout", "ecc-p256", test_timeout);
  ADD ("disk-full", "ecc-p256", test_disk_full);
  ADD ("locked", "ecc-p256", test_locked);
  ADD ("damaged", "ecc-p256", test_damaged);
  ADD ("power-cut", "ecc-p256", test_power_cut);
  ADD ("other-chip", "ecc-p256", test_other_chip);
  return g_test_run ();
}
