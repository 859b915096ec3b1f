/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* daemon/token/store*.c, on databases with tpm2-pkcs11's tables. No TPM, no helper. */

#include "token/store.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "build-config.h"
#include "dbus/error.h"

/* Tables of tpm2-pkcs11 1.9, and a token as C_InitToken leaves it. */
static const char schema[] =
    "CREATE TABLE tokens(id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, label TEXT UNIQUE, config TEXT NOT NULL,"
    " FOREIGN KEY (pid) REFERENCES pobjects(id) ON DELETE CASCADE);"
    "CREATE TABLE sealobjects(id INTEGER PRIMARY KEY, tokid INTEGER NOT NULL, userpub BLOB);"
    "CREATE TABLE pobjects(id INTEGER PRIMARY KEY, hierarchy TEXT NOT NULL, config TEXT NOT NULL,"
    " objauth TEXT NOT NULL);"
    "CREATE TABLE tobjects(id INTEGER PRIMARY KEY, tokid INTEGER NOT NULL, attrs TEXT NOT NULL);"
    "CREATE TABLE schema(id INTEGER PRIMARY KEY, schema_version INTEGER NOT NULL);"
    "INSERT INTO schema VALUES(1, 8);";

static const char config_of_c[] =
    "---\n!!map {\n  ? !!str \"token-init\"\n  : !!bool \"true\",\n}\n...\n";
static const char config_with_pss[] =
    "---\n!!map {\n  ? !!str \"pss-sigs-good\"\n  : !!bool \"true\",\n"
    "  ? !!str \"token-init\"\n  : !!bool \"true\",\n}\n...\n";
static const char config_without_pss[] =
    "---\n!!map {\n  ? !!str \"pss-sigs-good\"\n  : !!bool \"false\",\n"
    "  ? !!str \"token-init\"\n  : !!bool \"true\",\n}\n...\n";

typedef struct
{
  char *state;
  char *database;
  Config *config;
  Store *store;
} Fixture;

static void
execute (const char *path, const char *sql)
{
  sqlite3 *database = NULL;

  g_assert_cmpint (sqlite3_open (path, &database), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (database, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (database);
}

static char *
query (const char *path, const char *sql)
{
  sqlite3 *database = NULL;
  sqlite3_stmt *statement = NULL;
  char *text = NULL;

  g_assert_cmpint (sqlite3_open (path, &database), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_prepare_v2 (database, sql, -1, &statement, NULL), ==, SQLITE_OK);
  if (sqlite3_step (statement) == SQLITE_ROW)
    text = g_strdup ((const char *)sqlite3_column_text (statement, 0));
  sqlite3_finalize (statement);
  sqlite3_close (database);
  return text;
}

static void
fill_database (const char *path)
{
  g_autofree char *insert = g_strdup_printf ("INSERT INTO pobjects VALUES(1, 'o', 'x', ''); "
                                             "INSERT INTO tokens VALUES(1, 1, 'greengrass', '%s');",
                                             config_of_c);

  execute (path, schema);
  execute (path, insert);
}

static void
set_up (Fixture *fixture, gconstpointer with_database)
{
  g_autoptr (GError) error = NULL;

  fixture->state = g_dir_make_tmp ("store-XXXXXX", &error);
  g_assert_no_error (error);
  fixture->config = g_new0 (Config, 1);
  fixture->config->state_dir = g_strdup (fixture->state);
  fixture->store = store_new (fixture->config, &error);
  g_assert_no_error (error);
  fixture->database = g_strdup (store_get_database (fixture->store));
  if (with_database != NULL)
    fill_database (fixture->database);
}

static void
tear_down (Fixture *fixture, gconstpointer with_database)
{
  const char *argv[] = { "rm", "-rf", fixture->state, NULL };

  g_assert_true (g_spawn_sync (NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, NULL, NULL));
  store_free (fixture->store);
  g_free (fixture->config->state_dir);
  g_free (fixture->config);
  g_free (fixture->database);
  g_free (fixture->state);
}

static guint
get_mode (const char *path)
{
  struct stat status;

  g_assert_cmpint (stat (path, &status), ==, 0);
  return status.st_mode & 07777;
}

static char *
get_sum (const char *path)
{
  g_autofree char *data = NULL;
  gsize len = 0;

  g_assert_true (g_file_get_contents (path, &data, &len, NULL));
  return g_compute_checksum_for_data (G_CHECKSUM_SHA256, (guint8 *)data, len);
}

/* Nothing is left of a change. */
static void
assert_no_staging (Fixture *fixture)
{
  g_autofree char *staging = g_build_filename (fixture->state, "pkcs11.staging", NULL);

  g_assert_false (g_file_test (staging, G_FILE_TEST_EXISTS));
}

/* ---- */

static void
test_directories (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *pins = g_build_filename (fixture->state, "pins", NULL);
  g_autofree char *staging = g_build_filename (fixture->state, "pkcs11.staging", "abc", NULL);
  g_autofree char *file = g_build_filename (staging, "tpm2_pkcs11.sqlite3", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (get_mode (store_get_dir (fixture->store)), ==, 01770);
  g_assert_cmpuint (get_mode (pins), ==, 0751);
  g_assert_false (store_exists (fixture->store));

  /* What an interrupted change left is gone after a start. */
  g_assert_cmpint (g_mkdir_with_parents (staging, 0700), ==, 0);
  g_assert_true (g_file_set_contents (file, "half", 4, NULL));
  store_free (fixture->store);
  fixture->store = store_new (fixture->config, &error);
  g_assert_no_error (error);
  assert_no_staging (fixture);
}

/* As the helper of a killed daemon: writes and removes files below the last staging directory, by path. */
typedef struct
{
  const char *dir;
  gint stop;
  gint n_written;
} LateWriter;

static gpointer
write_late (gpointer data)
{
  LateWriter *writer = data;

  for (guint i = 0; !g_atomic_int_get (&writer->stop); i++)
    {
      g_autofree char *path = g_strdup_printf ("%s/%u", writer->dir, i % 16);
      int fd = open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

      if (fd < 0)
        continue;
      close (fd);
      g_atomic_int_inc (&writer->n_written);
      if (i % 3 == 0)
        g_unlink (path);
    }
  return NULL;
}

static void
test_late_writer (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *dir = g_build_filename (fixture->state, "pkcs11.staging", "abc", NULL);
  g_autofree char *old = g_build_filename (fixture->state, "pkcs11.staging.old", NULL);
  LateWriter writer = { dir, FALSE, 0 };
  GThread *thread = g_thread_new ("late-writer", write_late, &writer);

  for (int i = 0; i < 50; i++)
    {
      g_autoptr (GError) error = NULL;
      gint before = g_atomic_int_get (&writer.n_written);

      g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
      while (g_atomic_int_get (&writer.n_written) < before + 32)
        g_thread_yield ();
      store_free (fixture->store);
      fixture->store = store_new (fixture->config, &error);
      g_assert_no_error (error);
      assert_no_staging (fixture);
      g_assert_false (g_file_test (old, G_FILE_TEST_EXISTS));
    }
  g_atomic_int_set (&writer.stop, TRUE);
  g_thread_join (thread);
}

static void
test_pins (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (Secret) pin = secret_new ("s3cret", 6);
  g_autoptr (Secret) none = NULL;
  g_autoptr (Secret) read_back = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *user = store_get_pin_path (fixture->store, "1 Gr\xc3\xbc", STORE_PIN_USER);
  g_autofree char *so = store_get_pin_path (fixture->store, "1 Gr\xc3\xbc", STORE_PIN_SO);
  gboolean has_group = getgrnam (GGTPM_GROUP) != NULL;

  g_assert_true (g_str_has_suffix (user, "/pins/_31_20Gr_c3_bc.user"));
  g_assert_true (g_str_has_suffix (so, "/pins/_31_20Gr_c3_bc.so"));
  none = store_load_pin (fixture->store, "1 Gr\xc3\xbc", STORE_PIN_USER, &error);
  g_assert_no_error (error);
  g_assert_null (none);

  g_assert_true (store_save_pin (fixture->store, "1 Gr\xc3\xbc", STORE_PIN_USER, pin, &error));
  g_assert_true (store_save_pin (fixture->store, "1 Gr\xc3\xbc", STORE_PIN_SO, pin, &error));
  g_assert_cmpuint (get_mode (user), ==, has_group ? 0640 : 0600);
  g_assert_cmpuint (get_mode (so), ==, 0600);
  read_back = store_load_pin (fixture->store, "1 Gr\xc3\xbc", STORE_PIN_SO, &error);
  g_assert_cmpstr (secret_peek (read_back), ==, "s3cret");

  g_assert_true (g_file_set_contents (user, "", 0, NULL));
  g_assert_null (store_load_pin (fixture->store, "1 Gr\xc3\xbc", STORE_PIN_USER, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
}

static void
test_commit (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *before = get_sum (fixture->database);
  g_autofree char *stamp = store_get_stamp (fixture->store);
  g_autofree char *new_stamp = NULL;
  g_autofree char *config = NULL;
  g_autofree char *now = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (StoreChange) change = store_change_new (fixture->store, &error);

  g_assert_no_error (error);
  g_assert_true (store_change_set_pss_sigs_good (change, "greengrass", TRUE, &error));
  now = get_sum (fixture->database);
  g_assert_cmpstr (now, ==, before);

  g_assert_true (store_change_commit (change, &error));
  g_assert_no_error (error);
  g_clear_pointer (&change, store_change_free);
  assert_no_staging (fixture);
  g_assert_cmpuint (get_mode (fixture->database), ==, 0640);
  config = query (fixture->database, "SELECT config FROM tokens");
  g_assert_cmpstr (config, ==, config_with_pss);
  new_stamp = store_get_stamp (fixture->store);
  g_assert_cmpstr (new_stamp, !=, stamp);
}

static void
test_dropped (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *before = get_sum (fixture->database);
  g_autofree char *after = NULL;
  StoreChange *change = store_change_new (fixture->store, NULL);

  g_assert_true (store_change_set_pss_sigs_good (change, "greengrass", TRUE, NULL));
  store_change_free (change);
  after = get_sum (fixture->database);
  g_assert_cmpstr (after, ==, before);
  assert_no_staging (fixture);
}

static void
test_changed_meanwhile (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (StoreChange) change = store_change_new (fixture->store, NULL);
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;

  execute (fixture->database, "INSERT INTO tokens VALUES(2, 1, 'other', 'x')");
  before = get_sum (fixture->database);
  g_assert_true (store_change_set_pss_sigs_good (change, "greengrass", TRUE, NULL));
  g_assert_false (store_change_commit (change, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_BUSY);
  after = get_sum (fixture->database);
  g_assert_cmpstr (after, ==, before);
}

/* Made by somebody else while we made the first one: theirs stays. */
static void
test_appeared_meanwhile (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (StoreChange) change = store_change_new (fixture->store, NULL);
  g_autofree char *staged =
      g_build_filename (store_change_get_dir (change), "tpm2_pkcs11.sqlite3", NULL);

  fill_database (staged);
  fill_database (fixture->database);
  g_assert_false (store_change_commit (change, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_BUSY);
}

static void
test_damaged (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (StoreChange) change = store_change_new (fixture->store, NULL);
  g_autofree char *staged =
      g_build_filename (store_change_get_dir (change), "tpm2_pkcs11.sqlite3", NULL);
  g_autofree char *before = get_sum (fixture->database);
  g_autofree char *after = NULL;

  execute (staged, "DROP TABLE sealobjects");
  g_assert_false (store_change_commit (change, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  g_clear_error (&error);
  after = get_sum (fixture->database);
  g_assert_cmpstr (after, ==, before);

  /* An original that is no database, and one that was left without its tables. */
  g_assert_true (g_file_set_contents (fixture->database, "garbage that is not SQLite's", -1, NULL));
  g_assert_null (store_change_new (fixture->store, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  g_clear_error (&error);
  g_assert_true (g_file_set_contents (fixture->database, "", 0, NULL));
  g_assert_null (store_change_new (fixture->store, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
}

static void
test_first (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (StoreChange) change = store_change_new (fixture->store, &error);
  g_autofree char *staged = NULL;

  g_assert_no_error (error);
  g_assert_false (store_change_has_primary (change));
  /* Without the library's tables there is nothing to add to or to commit. */
  g_assert_false (store_change_add_primary (change, (const guint8 *)"x", 1, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  g_clear_error (&error);
  g_assert_false (store_change_commit (change, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  g_clear_error (&error);
  g_assert_false (store_exists (fixture->store));

  staged = g_build_filename (store_change_get_dir (change), "tpm2_pkcs11.sqlite3", NULL);
  execute (staged, schema);
  g_assert_true (store_change_commit (change, &error));
  g_assert_true (store_exists (fixture->store));
}

static void
test_primary (Fixture *fixture, gconstpointer unused)
{
  /* Esys_TR_Serialize()'s of a persistent object: handle, name and more */
  static const guint8 blob[] = { 0x81, 0x00, 0x00, 0x01, 0x00, 0x02, 0xab, 0xcd, 0x00, 0x00 };
  g_autoptr (GError) error = NULL;
  g_autoptr (StoreChange) change = store_change_new (fixture->store, &error);
  g_autofree char *config = NULL;
  g_autofree char *row = NULL;

  g_assert_false (store_change_has_primary (change));
  g_assert_true (store_change_add_primary (change, blob, sizeof blob, &error));
  g_assert_true (store_change_has_primary (change));
  g_assert_true (store_change_commit (change, &error));
  config = query (fixture->database, "SELECT config FROM pobjects WHERE id = 2");
  g_assert_cmpstr (config, ==,
                   "---\n!!map {\n  ? !!str \"transient\"\n  : !!bool \"false\",\n"
                   "  ? !!str \"esys-tr\"\n  : !!str \"810000010002abcd0000\",\n}\n...\n");
  row = query (fixture->database, "SELECT hierarchy || '/' || objauth FROM pobjects WHERE id = 2");
  g_assert_cmpstr (row, ==, "o/");
}

static void
test_pss (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (StoreChange) change = store_change_new (fixture->store, &error);
  g_autofree char *staged =
      g_build_filename (store_change_get_dir (change), "tpm2_pkcs11.sqlite3", NULL);
  g_autofree char *good = NULL;
  g_autofree char *bad = NULL;

  g_assert_true (store_change_set_pss_sigs_good (change, "greengrass", TRUE, &error));
  g_assert_true (store_change_set_pss_sigs_good (change, "greengrass", TRUE, &error));
  good = query (staged, "SELECT config FROM tokens");
  g_assert_cmpstr (good, ==, config_with_pss);
  g_assert_true (store_change_set_pss_sigs_good (change, "greengrass", FALSE, &error));
  bad = query (staged, "SELECT config FROM tokens");
  g_assert_cmpstr (bad, ==, config_without_pss);

  g_assert_false (store_change_set_pss_sigs_good (change, "nobody", TRUE, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  g_clear_error (&error);
  execute (staged, "UPDATE tokens SET config = 'token-init: true'");
  g_assert_false (store_change_set_pss_sigs_good (change, "greengrass", TRUE, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
}

static void
test_has_token (Fixture *fixture, gconstpointer with_database)
{
  g_autoptr (GError) error = NULL;
  gboolean found = TRUE;

  g_assert_true (store_has_token (fixture->store, "nobody", &found, &error));
  g_assert_false (found);
  g_assert_true (store_has_token (fixture->store, "greengrass", &found, &error));
  g_assert_cmpint (found, ==, with_database != NULL);
}

/* A limit on the size of files is what a full disk is to SQLite: the copy cannot be written. */
static void
test_disk_full (Fixture *fixture, gconstpointer unused)
{
  struct rlimit limit, small;
  g_autoptr (GError) error = NULL;
  g_autofree char *before = get_sum (fixture->database);
  g_autofree char *after = NULL;
  StoreChange *change;

  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  small = limit;
  small.rlim_cur = 8192;
  sigaction (SIGXFSZ, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
  setrlimit (RLIMIT_FSIZE, &small);
  change = store_change_new (fixture->store, &error);
  setrlimit (RLIMIT_FSIZE, &limit);

  g_assert_null (change);
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  after = get_sum (fixture->database);
  g_assert_cmpstr (after, ==, before);
  assert_no_staging (fixture);
}

/* A writer that was killed has left a journal: it is rolled back, not copied. */
static void
test_killed_writer (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *journal = g_strconcat (fixture->database, "-journal", NULL);
  g_autofree char *config = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (StoreChange) change = NULL;
  pid_t child = fork ();
  int status;

  if (child == 0)
    {
      sqlite3 *database = NULL;

      /* Pages are written before the commit when the cache is small. */
      sqlite3_open (fixture->database, &database);
      sqlite3_exec (
          database,
          "PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; UPDATE tokens SET config = "
          "hex(zeroblob(100000)); UPDATE pobjects SET config = hex(zeroblob(100000));",
          NULL, NULL, NULL);
      kill (getpid (), SIGKILL);
    }
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_true (g_file_test (journal, G_FILE_TEST_EXISTS));

  change = store_change_new (fixture->store, &error);
  g_assert_no_error (error);
  g_assert_true (store_change_set_pss_sigs_good (change, "greengrass", TRUE, &error));
  g_assert_true (store_change_commit (change, &error));
  g_assert_false (g_file_test (journal, G_FILE_TEST_EXISTS));
  config = query (fixture->database, "SELECT config FROM tokens");
  g_assert_cmpstr (config, ==, config_with_pss);
}

#define ADD(path, with_database, function)                                                         \
  g_test_add ("/store/" path, Fixture, with_database ? "" : NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("directories", FALSE, test_directories);
  ADD ("late-writer", FALSE, test_late_writer);
  ADD ("pins", FALSE, test_pins);
  ADD ("commit", TRUE, test_commit);
  ADD ("dropped", TRUE, test_dropped);
  ADD ("changed-meanwhile", TRUE, test_changed_meanwhile);
  ADD ("appeared-meanwhile", FALSE, test_appeared_meanwhile);
  ADD ("damaged", TRUE, test_damaged);
  ADD ("first", FALSE, test_first);
  ADD ("primary", TRUE, test_primary);
  ADD ("pss", TRUE, test_pss);
  ADD ("has-token/yes", TRUE, test_has_token);
  ADD ("has-token/no-database", FALSE, test_has_token);
  ADD ("disk-full", TRUE, test_disk_full);
  ADD ("killed-writer", TRUE, test_killed_writer);
  return g_test_run ();
}
