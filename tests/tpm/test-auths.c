/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* tpm/auths on a software TPM: taking, using, giving back, and what a cut leaves at each point. */

#include "tpm/auths.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "dbus/error.h"
#include "health/lockout.h"
#include "test-bed.h"
#include "token/primary.h"

#define OWNER_SET   TPMA_PERMANENT_OWNERAUTHSET
#define LOCKOUT_SET TPMA_PERMANENT_LOCKOUTAUTHSET

typedef struct
{
  TestBed *bed;
  Tpm *tpm;
  const char *dir;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer unused)
{
  fixture->bed = test_bed_new ();
  fixture->tpm = fixture->bed->tpm;
  fixture->dir = fixture->bed->config->state_dir;
}

static void
tear_down (Fixture *fixture, gconstpointer unused)
{
  test_bed_free (fixture->bed);
}

static VariableProperties
read_variable (Fixture *fixture)
{
  VariableProperties variable;
  g_autoptr (GError) error = NULL;

  g_assert_true (properties_read_variable (fixture->tpm, &variable, &error));
  g_assert_no_error (error);
  return variable;
}

static void
assert_flags (Fixture *fixture, TPMA_PERMANENT expected)
{
  g_assert_cmphex (read_variable (fixture).permanent & (OWNER_SET | LOCKOUT_SET), ==, expected);
}

static void
assert_state (Fixture *fixture, AuthsState state)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Auths) auths = auths_load (fixture->dir, &error);

  g_assert_no_error (error);
  g_assert_cmpint (auths->state, ==, state);
}

static void
take (Fixture *fixture, gboolean expect_change)
{
  g_autoptr (GError) error = NULL;
  gboolean changed = FALSE;

  g_assert_true (auths_take_ownership (fixture->tpm, fixture->dir, &changed, &error));
  g_assert_no_error (error);
  g_assert_cmpint (changed, ==, expect_change);
  assert_flags (fixture, OWNER_SET | LOCKOUT_SET);
  assert_state (fixture, AUTHS_OWNED);
}

/* The lockout hierarchy has refused nothing: one wrong auth would lock it, and the reset would fail. */
static void
assert_reset_works (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  LockoutRecord record = { 0 };
  VariableProperties variable = read_variable (fixture);

  g_assert_true (
      lockout_may_reset (&record, auths_know_lockout (fixture->dir), &variable, 1, FALSE, &error));
  g_assert_true (lockout_reset (fixture->tpm, fixture->dir, &variable, 1, &record, &error));
  g_assert_no_error (error);
  g_assert_cmphex (record.refused, ==, 0);
}

static gboolean
make_primary (Fixture *fixture, GError **error)
{
  g_autoptr (GBytes) blob = NULL;
  TPM2_HANDLE handle = 0;
  gboolean created = FALSE;

  return primary_ensure (fixture->tpm, fixture->dir, NULL, NULL, &handle, &blob, &created, error);
}

static void
clear (Fixture *fixture)
{
  const char *const argv[] = { "tpm2_clear", "-c", "p", NULL };

  g_free (test_bed_run (fixture->bed, argv));
  tpm_disconnect (fixture->tpm);
}

/* ---- tests ---- */

static void
test_take_and_release (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Auths) first = NULL;
  g_autoptr (Auths) again = NULL;
  g_autofree char *path = g_build_filename (fixture->dir, "auths", NULL);
  struct stat status;

  g_assert_false (auths_release_ownership (fixture->tpm, fixture->dir, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND);
  g_clear_error (&error);
  take (fixture, TRUE);
  g_assert_cmpint (stat (path, &status), ==, 0);
  g_assert_cmpint (status.st_mode & 07777, ==, 0600);
  first = auths_load (fixture->dir, &error);
  g_assert_cmpuint (secret_get_length (first->owner), ==, 32);
  g_assert_cmpstr (secret_peek (first->owner), !=, secret_peek (first->lockout));
  take (fixture, FALSE);
  again = auths_load (fixture->dir, &error);
  g_assert_cmpstr (secret_peek (first->owner), ==, secret_peek (again->owner));

  g_assert_true (make_primary (fixture, &error));
  g_assert_no_error (error);
  assert_reset_works (fixture);

  g_assert_true (auths_release_ownership (fixture->tpm, fixture->dir, &error));
  g_assert_no_error (error);
  assert_flags (fixture, 0);
  assert_state (fixture, AUTHS_NONE);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_true (make_primary (fixture, &error));
  assert_reset_works (fixture);
}

/* A cut between the file and the chip, and between the two hierarchies; at the next start it is completed. */
static void
test_cut_while_taking (Fixture *fixture, gconstpointer unused)
{
  static const char *const auths[] = { "0123456789abcdef0123456789abcdef",
                                       "fedcba9876543210fedcba9876543210" };
  g_autofree char *path = g_build_filename (fixture->dir, "auths", NULL);
  g_autofree char *text =
      g_strdup_printf ("owner-auth: %s\nlockout-auth: %s\nstate: taking\n", auths[0], auths[1]);

  for (int i = 0; i < 3; i++)
    {
      const char *const owner[] = { "tpm2_changeauth", "-c", "o", auths[0], NULL };
      const char *const lockout[] = { "tpm2_changeauth", "-c", "l", auths[1], NULL };
      g_autoptr (GError) error = NULL;

      if (i >= 1)
        g_free (test_bed_run (fixture->bed, owner));
      if (i >= 2)
        g_free (test_bed_run (fixture->bed, lockout));
      g_assert_true (g_file_set_contents (path, text, -1, &error));
      /* also before it is completed the right ones are used */
      assert_reset_works (fixture);
      g_assert_true (make_primary (fixture, &error));
      g_assert_no_error (error);
      g_assert_true (auths_resume (fixture->tpm, fixture->dir, &error));
      g_assert_no_error (error);
      assert_state (fixture, AUTHS_OWNED);
      assert_flags (fixture, OWNER_SET | LOCKOUT_SET);
      assert_reset_works (fixture);
      g_assert_true (auths_release_ownership (fixture->tpm, fixture->dir, &error));
      g_assert_no_error (error);
      assert_flags (fixture, 0);
    }
}

static void
test_cut_while_releasing (Fixture *fixture, gconstpointer unused)
{
  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (Auths) auths = NULL;

      take (fixture, TRUE);
      auths = auths_load (fixture->dir, &error);
      auths->state = AUTHS_RELEASING;
      g_assert_true (auths_save (auths, fixture->dir, &error));
      if (i >= 1)
        {
          const char *const argv[] = {
            "tpm2_changeauth", "-c", "l", "-p", secret_peek (auths->lockout), NULL
          };
          g_free (test_bed_run (fixture->bed, argv));
        }
      if (i >= 2)
        {
          const char *const argv[] = { "tpm2_changeauth",          "-c", "o", "-p",
                                       secret_peek (auths->owner), NULL };
          g_free (test_bed_run (fixture->bed, argv));
        }
      assert_reset_works (fixture);
      g_assert_true (make_primary (fixture, &error));
      g_assert_no_error (error);
      g_assert_true (auths_resume (fixture->tpm, fixture->dir, &error));
      g_assert_no_error (error);
      assert_state (fixture, AUTHS_NONE);
      assert_flags (fixture, 0);
      assert_reset_works (fixture);
    }
}

static void
test_auths_of_others (Fixture *fixture, gconstpointer unused)
{
  static const char *const hierarchies[] = { "o", "l" };

  for (gsize i = 0; i < G_N_ELEMENTS (hierarchies); i++)
    {
      const char *const set[] = { "tpm2_changeauth", "-c", hierarchies[i], "theirs", NULL };
      const char *const empty[] = { "tpm2_changeauth", "-c", hierarchies[i], "-p", "theirs", NULL };
      g_autoptr (GError) error = NULL;
      gboolean changed = FALSE;

      g_free (test_bed_run (fixture->bed, set));
      g_assert_false (auths_take_ownership (fixture->tpm, fixture->dir, &changed, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS);
      assert_state (fixture, AUTHS_NONE);
      g_free (test_bed_run (fixture->bed, empty));
    }
}

/* Ours are on the disk, and the chip has been cleared and taken by others: the lockout hierarchy is not tried. */
static void
test_cleared_and_taken_by_others (Fixture *fixture, gconstpointer unused)
{
  const char *const owner[] = { "tpm2_changeauth", "-c", "o", "theirs", NULL };
  const char *const lockout[] = { "tpm2_changeauth", "-c", "l", "theirs", NULL };
  const char *const reset[] = { "tpm2_dictionarylockout", "-c", "-p", "theirs", NULL };
  g_autoptr (GError) error = NULL;
  VariableProperties variable;
  LockoutRecord record = { 0 };

  take (fixture, TRUE);
  clear (fixture);
  assert_flags (fixture, 0);
  assert_reset_works (fixture);
  g_assert_true (make_primary (fixture, &error));
  g_assert_no_error (error);

  for (int i = 0; i < 2; i++)
    {
      g_free (test_bed_run (fixture->bed, i == 0 ? lockout : owner));
      variable = read_variable (fixture);
      g_assert_false (lockout_reset (fixture->tpm, fixture->dir, &variable, 1, &record, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED);
      g_clear_error (&error);
      g_assert_cmphex (record.refused, ==, 0);
      tpm_disconnect (fixture->tpm);
      if (i == 1)
        {
          g_assert_false (auths_release_ownership (fixture->tpm, fixture->dir, &error));
          g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED);
          g_clear_error (&error);
        }
      /* it would be locked by one wrong try */
      g_free (test_bed_run (fixture->bed, reset));
    }
}

/* A cleared chip is taken with new auths. */
static void
test_cleared_and_taken_again (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Auths) first = NULL;
  g_autoptr (Auths) again = NULL;

  take (fixture, TRUE);
  first = auths_load (fixture->dir, &error);
  first->exported = TRUE;
  g_assert_true (auths_save (first, fixture->dir, &error));
  clear (fixture);
  take (fixture, TRUE);
  again = auths_load (fixture->dir, &error);
  g_assert_cmpstr (secret_peek (first->owner), !=, secret_peek (again->owner));
  g_assert_false (again->exported);
  assert_reset_works (fixture);
}

static void
test_damaged_file (Fixture *fixture, gconstpointer unused)
{
  static const char *const texts[] = { "", "owner-auth: x\nlockout-auth: y\nstate: owned\n",
                                       "state: owned\n",
                                       "owner-auth: 0123456789abcdef0123456789abcdef\n" };
  g_autofree char *path = g_build_filename (fixture->dir, "auths", NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean changed = FALSE;

      g_assert_true (g_file_set_contents (path, texts[i], -1, &error));
      g_assert_false (auths_take_ownership (fixture->tpm, fixture->dir, &changed, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
      g_assert_false (auths_know_lockout (fixture->dir));
      assert_flags (fixture, 0);
    }
}

#define ADD(name, function) g_test_add ("/auths/" name, Fixture, NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  test_swtpm_require ();
  ADD ("take-and-release", test_take_and_release);
  ADD ("cut-while-taking", test_cut_while_taking);
  ADD ("cut-while-releasing", test_cut_while_releasing);
  ADD ("auths-of-others", test_auths_of_others);
  ADD ("cleared-and-taken-by-others", test_cleared_and_taken_by_others);
  ADD ("cleared-and-taken-again", test_cleared_and_taken_again);
  ADD ("damaged-file", test_damaged_file);
  return g_test_run ();
}
