/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* Which file `ggtpmctl config write` may replace, and what a power cut leaves. */

#include "client/config-file.h"
#include "dbus/error.h"

#include <glib/gstdio.h>

#include <sys/stat.h>
#include <unistd.h>

typedef struct
{
  char *dir;
  char *path;
  char *stamp;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->dir = g_dir_make_tmp ("ggtpm-XXXXXX", NULL);
  fixture->path = g_build_filename (fixture->dir, "config.json", NULL);
  fixture->stamp = g_build_filename (fixture->dir, ".config.json.ggtpmd", NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_unlink (fixture->path);
  g_unlink (fixture->stamp);
  /* nothing else may be left */
  g_assert_cmpint (g_rmdir (fixture->dir), ==, 0);
  g_free (fixture->dir);
  g_free (fixture->path);
  g_free (fixture->stamp);
}

static gboolean
put (Fixture *fixture, const char *text, gboolean force, gboolean *changed, GError **error)
{
  return config_file_write (fixture->path, text, strlen (text), CONFIG_FILE_MODE, (gid_t)-1, force,
                            changed, error);
}

static void
assert_content (const char *path, const char *expected)
{
  g_autofree char *content = NULL;

  g_assert_true (g_file_get_contents (path, &content, NULL, NULL));
  g_assert_cmpstr (content, ==, expected);
}

static void
assert_stamp (Fixture *fixture, const char *text)
{
  g_autofree char *sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
  g_autofree char *expected = g_strconcat (sum, "\n", NULL);

  assert_content (fixture->stamp, expected);
}

static mode_t
get_mode (const char *path)
{
  struct stat status = { 0 };

  g_assert_cmpint (lstat (path, &status), ==, 0);
  return status.st_mode & 07777;
}

static void
test_ours (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gboolean changed = FALSE;
  mode_t saved = umask (0);

  g_assert_true (put (fixture, "one", FALSE, &changed, &error));
  g_assert_no_error (error);
  g_assert_true (changed);
  assert_content (fixture->path, "one");
  assert_stamp (fixture, "one");
  g_assert_cmpuint (get_mode (fixture->path), ==, 0640);
  g_assert_cmpuint (get_mode (fixture->stamp), ==, 0640);

  g_assert_true (put (fixture, "one", FALSE, &changed, &error));
  g_assert_false (changed);

  /* the same text and another mode is no file of ours as it should be */
  g_assert_cmpint (chmod (fixture->path, 0644), ==, 0);
  g_assert_true (put (fixture, "one", FALSE, &changed, &error));
  g_assert_true (changed);
  g_assert_cmpuint (get_mode (fixture->path), ==, 0640);

  g_assert_true (put (fixture, "two", FALSE, &changed, &error));
  g_assert_true (changed);
  assert_content (fixture->path, "two");
  assert_stamp (fixture, "two");
  umask (saved);
}

static void
test_foreign (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gboolean changed = FALSE;

  g_assert_true (g_file_set_contents (fixture->path, "theirs", -1, NULL));
  g_assert_false (put (fixture, "ours", FALSE, &changed, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS);
  g_assert_nonnull (strstr (error->message, fixture->path));
  assert_content (fixture->path, "theirs");
  g_assert_false (g_file_test (fixture->stamp, G_FILE_TEST_EXISTS));
  g_clear_error (&error);

  /* not even if it says the same */
  g_assert_false (put (fixture, "theirs", FALSE, &changed, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS);
  g_clear_error (&error);

  g_assert_true (put (fixture, "ours", TRUE, &changed, &error));
  g_assert_no_error (error);
  assert_content (fixture->path, "ours");
  assert_stamp (fixture, "ours");
}

static void
test_edited (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gboolean changed = FALSE;

  g_assert_true (put (fixture, "one", FALSE, &changed, NULL));
  g_assert_true (g_file_set_contents (fixture->path, "edited", -1, NULL));
  g_assert_false (put (fixture, "two", FALSE, &changed, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS);
  g_assert_nonnull (strstr (error->message, "changed since"));
  assert_content (fixture->path, "edited");
  g_clear_error (&error);

  g_assert_true (put (fixture, "two", TRUE, &changed, &error));
  assert_content (fixture->path, "two");
  assert_stamp (fixture, "two");
}

/* Between the first stamp and the file, and between the file and the second stamp. */
static void
test_power_cut (Fixture *fixture, gconstpointer data)
{
  g_autofree char *one = g_compute_checksum_for_string (G_CHECKSUM_SHA256, "one", -1);
  g_autofree char *two = g_compute_checksum_for_string (G_CHECKSUM_SHA256, "two", -1);
  g_autofree char *both = g_strdup_printf ("%s\n%s\n", two, one);
  const char *const left[] = { "one", "two" };

  for (gsize i = 0; i < G_N_ELEMENTS (left); i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean changed = FALSE;

      g_assert_true (g_file_set_contents (fixture->stamp, both, -1, NULL));
      g_assert_true (g_file_set_contents (fixture->path, left[i], -1, NULL));
      g_assert_true (put (fixture, "three", FALSE, &changed, &error));
      g_assert_no_error (error);
      assert_stamp (fixture, "three");
    }
}

static void
test_special (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gboolean changed = FALSE;

  g_assert_cmpint (symlink ("elsewhere", fixture->path), ==, 0);
  g_assert_false (put (fixture, "one", TRUE, &changed, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS);
  g_assert_true (g_file_test (fixture->path, G_FILE_TEST_IS_SYMLINK));
  g_clear_error (&error);

  g_assert_cmpint (g_unlink (fixture->path), ==, 0);
  g_assert_cmpint (mkfifo (fixture->path, 0600), ==, 0);
  g_assert_false (put (fixture, "one", TRUE, &changed, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/config-file/ours", Fixture, NULL, set_up, test_ours, tear_down);
  g_test_add ("/config-file/foreign", Fixture, NULL, set_up, test_foreign, tear_down);
  g_test_add ("/config-file/edited", Fixture, NULL, set_up, test_edited, tear_down);
  g_test_add ("/config-file/power-cut", Fixture, NULL, set_up, test_power_cut, tear_down);
  g_test_add ("/config-file/special", Fixture, NULL, set_up, test_special, tear_down);
  return g_test_run ();
}
