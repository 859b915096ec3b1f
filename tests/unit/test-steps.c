/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "provision/journal.h"
#include "provision/steps.h"

#include <glib/gstdio.h>

static void
put (const char *dir, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static void
drop (const char *dir, const char *name)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  g_assert_cmpint (g_remove (path), ==, 0);
}

static void
add_entry (const char *dir, const char *key, gboolean ready)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Journal) journal = journal_load (dir, &error);
  JournalEntry *entry = journal_ensure (journal, "token", key);

  entry->algorithm = g_strdup ("ecc-p256");
  entry->subject = g_strdup ("CN=k");
  entry->key_id = g_strdup ("01");
  entry->ready = ready;
  g_assert_true (journal_save (journal, dir, &error));
}

/* Through all of what State can be. */
static void
test_state (void)
{
  g_autofree char *dir = g_dir_make_tmp ("steps.XXXXXX", NULL);
  g_autofree char *store = g_build_filename (dir, "pkcs11", NULL);
  Config config = { .state_dir = dir };

  g_assert_cmpstr (steps_get_state (&config), ==, "none");
  put (dir, "provision.json", "{");
  g_assert_cmpstr (steps_get_state (&config), ==, "unknown");
  put (dir, "provision.json", "{\"version\":1,\"entries\":[]}");
  g_assert_cmpstr (steps_get_state (&config), ==, "none");
  add_entry (dir, "a", TRUE);
  /* Somebody has taken the store away. */
  g_assert_cmpstr (steps_get_state (&config), ==, "partial");
  g_assert_cmpint (g_mkdir (store, 0700), ==, 0);
  put (store, "tpm2_pkcs11.sqlite3", "");
  g_assert_cmpstr (steps_get_state (&config), ==, "ready");
  add_entry (dir, "b", FALSE);
  g_assert_cmpstr (steps_get_state (&config), ==, "partial");

  drop (store, "tpm2_pkcs11.sqlite3");
  drop (dir, "pkcs11");
  drop (dir, "provision.json");
  g_assert_cmpint (g_rmdir (dir), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/steps/state", test_state);
  return g_test_run ();
}
