/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "dbus/error.h"
#include "provision/journal.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct
{
  char *dir;
  char *path;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->dir = g_dir_make_tmp ("journal.XXXXXX", &error);
  g_assert_no_error (error);
  fixture->path = g_build_filename (fixture->dir, "provision.json", NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_remove (fixture->path);
  g_assert_cmpint (g_rmdir (fixture->dir), ==, 0);
  g_free (fixture->path);
  g_free (fixture->dir);
}

static JournalEntry *
add_entry (Journal *journal, const char *token, const char *key)
{
  JournalEntry *entry = journal_ensure (journal, token, key);

  entry->algorithm = g_strdup ("ecc-p256");
  entry->subject = g_strdup ("CN=a\\, b \"c\",O=\xc3\xbc");
  entry->key_id = g_strdup ("0123456789abcdef");
  return entry;
}

static void
save (Fixture *fixture, const Journal *journal)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (journal_save (journal, fixture->dir, &error));
  g_assert_no_error (error);
}

static Journal *
load (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  Journal *journal = journal_load (fixture->dir, &error);

  g_assert_no_error (error);
  g_assert_nonnull (journal);
  return journal;
}

static void
test_none (Fixture *fixture, gconstpointer data)
{
  g_autoptr (Journal) journal = load (fixture);

  g_assert_cmpuint (journal->entries->len, ==, 0);
  g_assert_cmpuint (journal->primary_handle, ==, 0);
  g_assert_null (journal->primary_name);
}

static void
test_round_trip (Fixture *fixture, gconstpointer data)
{
  g_autoptr (Journal) journal = journal_new ();
  g_autoptr (Journal) back = NULL;
  JournalEntry *entry = add_entry (journal, "greengrass", "greenkey");
  struct stat status;

  /* Above INT32_MAX, as every persistent handle. */
  journal->primary_handle = 0x81000001;
  journal->primary_name = g_strdup ("000b0102");
  entry->extensions = g_strdup ("alt-names=DNS:x");
  entry->csr = g_strdup ("-----BEGIN CERTIFICATE REQUEST-----\nMII=\n");
  entry->spki_sum = g_strdup ("feed");
  entry->ready = TRUE;
  add_entry (journal, "greengrass", "other");
  save (fixture, journal);

  g_assert_cmpint (stat (fixture->path, &status), ==, 0);
  g_assert_cmpuint (status.st_mode & 07777, ==, 0600);

  back = load (fixture);
  g_assert_cmpuint (back->primary_handle, ==, 0x81000001);
  g_assert_cmpstr (back->primary_name, ==, "000b0102");
  g_assert_cmpuint (back->entries->len, ==, 2);
  entry = journal_find (back, "greengrass", "greenkey");
  g_assert_nonnull (entry);
  g_assert_cmpstr (entry->algorithm, ==, "ecc-p256");
  g_assert_cmpstr (entry->subject, ==, "CN=a\\, b \"c\",O=\xc3\xbc");
  g_assert_cmpstr (entry->extensions, ==, "alt-names=DNS:x");
  g_assert_cmpstr (entry->key_id, ==, "0123456789abcdef");
  g_assert_cmpstr (entry->csr, ==, "-----BEGIN CERTIFICATE REQUEST-----\nMII=\n");
  g_assert_cmpstr (entry->spki_sum, ==, "feed");
  g_assert_true (entry->ready);
  entry = journal_find (back, "greengrass", "other");
  g_assert_nonnull (entry);
  g_assert_null (entry->csr);
  g_assert_false (entry->ready);
  g_assert_null (journal_find (back, "other", "greenkey"));
}

static void
test_ensure (Fixture *fixture, gconstpointer data)
{
  g_autoptr (Journal) journal = journal_new ();
  JournalEntry *entry = journal_ensure (journal, "a", "b");

  g_assert_true (journal_ensure (journal, "a", "b") == entry);
  g_assert_true (journal_ensure (journal, "a", "c") != entry);
  g_assert_cmpuint (journal->entries->len, ==, 2);
}

static void
test_remove (Fixture *fixture, gconstpointer data)
{
  g_autoptr (Journal) journal = journal_new ();
  JournalEntry *entry = journal_ensure (journal, "t", "a");

  journal_ensure (journal, "u", "a");
  journal_remove (journal, entry);
  g_assert_cmpuint (journal->entries->len, ==, 1);
  g_assert_null (journal_find (journal, "t", "a"));
  g_assert_nonnull (journal_find (journal, "u", "a"));
}

#define ENTRY                                                                                      \
  "\"token\":\"t\",\"key\":\"k\",\"algorithm\":\"ecc-p256\",\"subject\":\"CN=k\",\"key-id\":"

static void
test_damaged (Fixture *fixture, gconstpointer data)
{
  static const char *const texts[] = {
    "",
    "{",
    "[]",
    "nonsense",
    "{}",
    "{\"version\":2,\"entries\":[]}",
    "{\"version\":1}",
    "{\"version\":1,\"entries\":{}}",
    "{\"version\":1,\"entries\":[1]}",
    "{\"version\":1,\"entries\":[{\"token\":\"t\"}]}",
    "{\"version\":1,\"entries\":[]} x",
    "{\"version\":1,\"entries\":[],\"primary-handle\":\"0x81000001\"}",
    "{\"version\":1,\"entries\":[{" ENTRY "\"0g\",\"ready\":true}]}",
    "{\"version\":1,\"entries\":[{" ENTRY "\"\",\"ready\":true}]}",
    "{\"version\":1,\"entries\":[{" ENTRY "\"01\",\"ready\":1}]}",
    "{\"version\":1,\"entries\":[{" ENTRY "\"01\",\"ready\":true,\"csr\":7}]}",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (Journal) journal = NULL;

      g_assert_true (g_file_set_contents (fixture->path, texts[i], -1, NULL));
      journal = journal_load (fixture->dir, &error);
      if (journal != NULL)
        g_error ("<%s> was accepted", texts[i]);
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
      g_assert_nonnull (strstr (error->message, fixture->path));
    }
  /* The same with nothing wrong: what is refused above is refused for its fault. */
  g_assert_true (g_file_set_contents (
      fixture->path, "{\"version\":1,\"entries\":[{" ENTRY "\"01\",\"ready\":true}]}\n", -1, NULL));
  journal_free (load (fixture));
}

static void
test_unwritable (Fixture *fixture, gconstpointer data)
{
  g_autoptr (Journal) journal = journal_new ();
  g_autofree char *nowhere = g_build_filename (fixture->dir, "nowhere", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_false (journal_save (journal, nowhere, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
  g_assert_nonnull (strstr (error->message, nowhere));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add (name, Fixture, NULL, set_up, func, tear_down)
  ADD ("/journal/none", test_none);
  ADD ("/journal/round-trip", test_round_trip);
  ADD ("/journal/ensure", test_ensure);
  ADD ("/journal/remove", test_remove);
  ADD ("/journal/damaged", test_damaged);
  ADD ("/journal/unwritable", test_unwritable);
  return g_test_run ();
}
