/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "token/store.h"

#include <sqlite3.h>
#include <string.h>

static void
execute (StoreChange *change, const char *sql)
{
  g_autofree char *path =
      g_build_filename (store_change_get_dir (change), "tpm2_pkcs11.sqlite3", NULL);
  sqlite3 *database = NULL;

  g_assert_cmpint (sqlite3_open (path, &database), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (database, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (database);
}

/* As the library does it: the object that the PIN unseals is another one. */
static gboolean
change_pin (Store *store, StoreChange *change, const char *pin_text, GError **error)
{
  g_autofree char *sql = g_strdup_printf ("UPDATE sealobjects SET userpub = '%s'", pin_text);
  g_autoptr (Secret) pin = secret_new (pin_text, strlen (pin_text));

  execute (change, sql);
  return store_stage_pin (store, change, "greengrass", STORE_PIN_USER, pin, error) &&
         store_change_commit (change, error) && store_settle (store, error);
}

/* As a restored backup does it that has no such token. */
static gboolean
drop_token (Store *store, StoreChange *change, GError **error)
{
  execute (change, "DELETE FROM tokens; DELETE FROM sealobjects");
  return store_stage_no_pins (store, "greengrass", error) && store_change_commit (change, error) &&
         store_settle (store, error);
}

static gboolean
set_pss_sigs_good (StoreChange *change, gboolean good, GError **error)
{
  return store_change_set_pss_sigs_good (change, "greengrass", good, error) &&
         store_change_commit (change, error);
}

static gboolean
make_change (Store *store, StoreChange *change, const char *what, GError **error)
{
  if (g_str_has_prefix (what, "pin-"))
    return change_pin (store, change, what, error);
  if (strcmp (what, "drop") == 0)
    return drop_token (store, change, error);
  return set_pss_sigs_good (change, strcmp (what, "good") == 0, error);
}

/*
 * One change of a token store, for a test that kills it at every point: `store-runner STATE-DIRECTORY good|bad` sets
 * pss-sigs-good of the token `greengrass`. `pin-X` in its place changes
 * the user PIN to that, `drop` drops the token with its PIN files; with `check` it only starts, as the daemon would.
 */
int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Store) store = NULL;
  g_autoptr (StoreChange) change = NULL;
  Config config = { 0 };

  if (argc != 3)
    return 2;
  config.state_dir = argv[1];
  store = store_new (&config, &error);
  if (store != NULL && strcmp (argv[2], "check") == 0)
    return 0;
  change = store != NULL ? store_change_new (store, &error) : NULL;
  if (change != NULL && make_change (store, change, argv[2], &error))
    return 0;
  g_printerr ("%s\n", error->message);
  return 1;
}
