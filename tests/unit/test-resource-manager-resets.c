/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The resource manager when the chip loses things: hierarchies that end, resets told and untold, failure mode; and what
 * is remembered until then.
 */

#include "test-rm.h"

#define N_HIERARCHIES 4
#define CC_NONE       0u

static const guint32 hierarchies[N_HIERARCHIES] = { TPM2_RH_OWNER, TPM2_RH_ENDORSEMENT,
                                                    TPM2_RH_PLATFORM, TPM2_RH_NULL };

/* A command of root's, and the keys that live on. */
typedef struct
{
  guint32 code;
  guint32 hierarchy; /* of TPM2_HierarchyControl: switched off */
  gboolean lives[N_HIERARCHIES];
} Ending;

static const Ending endings[] = {
  { TPM2_CC_Clear, 0, { FALSE, FALSE, TRUE, TRUE } },
  { TPM2_CC_ChangeEPS, 0, { TRUE, FALSE, TRUE, TRUE } },
  { TPM2_CC_ChangePPS, 0, { TRUE, TRUE, FALSE, TRUE } },
  { TPM2_CC_HierarchyControl, TPM2_RH_OWNER, { FALSE, TRUE, TRUE, TRUE } },
  { TPM2_CC_HierarchyControl, TPM2_RH_ENDORSEMENT, { TRUE, FALSE, TRUE, TRUE } },
  { TPM2_CC_HierarchyControl, TPM2_RH_PLATFORM, { TRUE, TRUE, FALSE, TRUE } },
  { TPM2_CC_HierarchyControl, CC_NONE, { TRUE, TRUE, TRUE, TRUE } },
  { TPM2_CC_Startup, 0, { FALSE, FALSE, FALSE, FALSE } },
};

static void
make_keys (TestRm *f, Space *space, guint32 *out_keys)
{
  for (guint i = 0; i < N_HIERARCHIES; i++)
    {
      gsize size = fake_tpm_put_create_primary_in (f->command, hierarchies[i]);

      g_assert_cmphex (test_rm_send (f, space, size), ==, 0);
      out_keys[i] = test_rm_response_handle (f);
    }
}

static void
put_all_out (TestRm *f)
{
  while (resource_manager_idle_step (f->rm))
    test_rm_check (f);
  g_assert_false (resource_manager_has_loaded (f->rm));
}

static guint
count_listed (TestRm *f, Space *space)
{
  gsize size = fake_tpm_put_capability (f->command, TPM2_CAP_HANDLES, COMMAND_TRANSIENT_FIRST, 254);

  g_assert_cmphex (test_rm_send (f, space, size), ==, 0);
  return get_be32 (f->response + 15);
}

static gboolean
is_listed (TestRm *f, Space *space, guint32 handle)
{
  guint n = count_listed (f, space);

  for (guint i = 0; i < n; i++)
    if (get_be32 (f->response + 19 + 4 * (gsize)i) == handle)
      return TRUE;
  return FALSE;
}

static guint32
send_ending (TestRm *f, Space *root, const Ending *ending)
{
  gsize size;

  if (ending->code == TPM2_CC_Startup)
    {
      fake_tpm_reset (f->tpm);
      size = fake_tpm_put_simple (f->command, TPM2_CC_Startup);
    }
  else if (ending->code == TPM2_CC_HierarchyControl)
    size = fake_tpm_put_hierarchy_control (
        f->command, ending->hierarchy != CC_NONE ? ending->hierarchy : TPM2_RH_OWNER,
        ending->hierarchy == CC_NONE);
  else
    size = fake_tpm_put_handle (f->command, ending->code, TPM2_RH_LOCKOUT);
  return test_rm_send (f, root, size);
}

/* @what: some of: 1: put out of the chip before, 2: some of them loaded again */
static void
try_ending (TestRm *f, const Ending *ending, guint what)
{
  Space *root = resource_manager_open_space (f->rm, 0, TRUE, FALSE);
  guint32 of_a[N_HIERARCHIES], of_b[N_HIERARCHIES];

  make_keys (f, f->a, of_a);
  make_keys (f, f->b, of_b);
  if ((what & 1) != 0)
    put_all_out (f);
  for (guint i = 0; (what & 2) != 0 && i < 3; i++)
    g_assert_cmphex (test_rm_sign (f, f->a, of_a[i]), ==, 0);
  g_assert_cmphex (send_ending (f, root, ending), ==, 0);
  for (guint i = 0; i < N_HIERARCHIES; i++)
    {
      g_assert_true (is_listed (f, f->a, of_a[i]) == ending->lives[i]);
      g_assert_true (is_listed (f, f->b, of_b[i]) == ending->lives[i]);
    }
  for (guint i = 0; i < N_HIERARCHIES; i++)
    {
      guint32 rc = ending->lives[i] ? 0 : TPM2_RC_REFERENCE_H0;

      g_assert_cmphex (test_rm_sign (f, f->a, of_a[i]), ==, rc);
      g_assert_true (rc != 0 || test_rm_response_handle (f) == i + 1);
      g_assert_cmphex (test_rm_sign (f, f->b, of_b[i]), ==, rc);
      g_assert_true (rc != 0 || test_rm_response_handle (f) == N_HIERARCHIES + i + 1);
    }
  resource_manager_close_space (f->rm, root);
}

static void
test_endings (gconstpointer data)
{
  for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
    for (guint what = 0; what < 4; what++)
      {
        TestRm f = { 0 };

        g_test_message ("0x%x 0x%x, %u", endings[i].code, endings[i].hierarchy, what);
        test_rm_set_up (&f, NULL);
        try_ending (&f, &endings[i], what);
        test_rm_tear_down (&f, NULL);
      }
}

/* What fails has ended nothing. */
static void
test_failed_ending (TestRm *f, gconstpointer data)
{
  Space *root = resource_manager_open_space (f->rm, 0, TRUE, FALSE);
  guint32 keys[N_HIERARCHIES];

  make_keys (f, f->a, keys);
  put_all_out (f);
  fake_tpm_fail (f->tpm, 1, FALSE, FALSE, TPM2_RC_DISABLED);
  g_assert_cmphex (send_ending (f, root, &endings[0]), ==, TPM2_RC_DISABLED);
  for (guint i = 0; i < N_HIERARCHIES; i++)
    g_assert_cmphex (test_rm_sign (f, f->a, keys[i]), ==, 0);
  resource_manager_close_space (f->rm, root);
}

static void
send_behind (TestRm *f, gsize size)
{
  ChipBelow chip = fake_tpm_get_chip (f->tpm);

  g_assert_cmphex (chip.transact (chip.data, f->command, size, 0, f->response, &size), ==, 0);
  g_assert_cmphex (command_response_get_rc (f->response), ==, 0);
}

/* Reset and started by somebody else: the first command that stumbles over it clears up for all. */
static void
test_silent_reset (TestRm *f, gconstpointer data)
{
  gboolean saved = GPOINTER_TO_UINT (data) != 0;
  guint32 of_a[N_HIERARCHIES], of_b[N_HIERARCHIES];

  make_keys (f, f->a, of_a);
  make_keys (f, f->b, of_b);
  if (saved)
    put_all_out (f);
  fake_tpm_reset (f->tpm);
  send_behind (f, fake_tpm_put_simple (f->command, TPM2_CC_Startup));
  g_assert_cmphex (test_rm_sign (f, f->b, of_b[N_HIERARCHIES - 1]), ==, TPM2_RC_REFERENCE_H0);
  g_assert_true (resource_manager_take_was_reset (f->rm));
  g_assert_cmpuint (count_listed (f, f->a), ==, 0);
  g_assert_cmpuint (count_listed (f, f->b), ==, 0);
  test_rm_create_primary (f, f->b);
}

/* TPM Restart: what is saved lives on. */
static void
test_restart (TestRm *f, gconstpointer data)
{
  guint32 saved[N_HIERARCHIES], loaded;
  guint32 session = test_rm_start_session (f, f->a, FALSE);

  make_keys (f, f->a, saved);
  put_all_out (f);
  loaded = test_rm_create_primary (f, f->b);
  fake_tpm_restart (f->tpm);
  f->size = fake_tpm_put_simple (f->command, TPM2_CC_GetRandom);
  f->size = resource_manager_process (f->rm, f->a, 0, f->command, f->size, f->response);
  g_assert_cmphex (command_response_get_rc (f->response), ==, TPM2_RC_INITIALIZE);
  test_rm_check (f);
  g_assert_true (resource_manager_take_was_reset (f->rm));
  g_assert_false (is_listed (f, f->b, loaded));
  for (guint i = 0; i < N_HIERARCHIES; i++)
    g_assert_cmphex (test_rm_sign_with (f, f->a, saved[i], session, TRUE), ==, 0);
}

static guint32
send_simple (TestRm *f, guint32 code)
{
  return test_rm_send (f, f->a, fake_tpm_put_simple (f->command, code));
}

/* Found in failure mode; then it works again, with nothing lost on the way to it. */
static void
enter_failure_mode (TestRm *f)
{
  gboolean was_reset = FALSE;

  test_rm_create_primary (f, f->a);
  fake_tpm_set_broken (f->tpm, TRUE);
  g_assert_cmphex (resource_manager_start (f->rm, &was_reset), ==, 0);
  g_assert_true (was_reset);
  fake_tpm_reset_counts (f->tpm);
}

/* In the end the chip's own key of before has been put out. */
static void
assert_works (TestRm *f)
{
  test_rm_check (f);
  g_assert_true (resource_manager_take_was_reset (f->rm));
  g_assert_cmphex (test_rm_sign (f, f->a, test_rm_create_primary (f, f->a)), ==, 0);
}

static guint32
send_unchecked (TestRm *f, guint32 code)
{
  gsize size = fake_tpm_put_simple (f->command, code);

  resource_manager_process (f->rm, f->a, 0, f->command, size, f->response);
  return command_response_get_rc (f->response);
}

static void
test_failure_refused (TestRm *f, gconstpointer data)
{
  enter_failure_mode (f);
  for (guint i = 0; i < 1000; i++)
    g_assert_cmphex (send_unchecked (f, TPM2_CC_GetRandom), ==, TPM2_RC_FAILURE);
  /* with an authorisation */
  resource_manager_process (f->rm, f->a, 0, f->command, fake_tpm_put_create_primary (f->command),
                            f->response);
  g_assert_cmphex (command_response_get_rc (f->response), ==, TPM2_RC_FAILURE);
  g_assert_cmpuint (fake_tpm_count (f->tpm, 0), ==, 0);
  g_assert_cmphex (send_unchecked (f, TPM2_CC_GetTestResult), ==, 0);
  g_assert_cmphex (get_be32 (f->response + 12), ==, TPM2_RC_FAILURE);
  g_assert_cmphex (send_unchecked (f, TPM2_CC_SelfTest), ==, TPM2_RC_FAILURE);
  g_assert_cmpuint (fake_tpm_count (f->tpm, 0), ==, 2);
  fake_tpm_set_broken (f->tpm, FALSE);
  f->rm->retry_at = 0;
  g_assert_cmphex (send_simple (f, TPM2_CC_GetRandom), ==, TPM2_RC_RETRY);
}

/* Each time that it still does not work the next try is further away, up to a minute. */
static void
test_failure_back_off (TestRm *f, gconstpointer data)
{
  gint64 delay = 0;

  enter_failure_mode (f);
  for (guint i = 0; i < 10; i++)
    {
      guint before = fake_tpm_count (f->tpm, 0);

      g_assert_cmpint (f->rm->retry_delay, >=, MIN (2 * delay, 60 * G_TIME_SPAN_SECOND));
      g_assert_cmpint (f->rm->retry_delay, <=, 60 * G_TIME_SPAN_SECOND);
      g_assert_cmpint (f->rm->retry_at, <=, g_get_monotonic_time () + f->rm->retry_delay);
      delay = f->rm->retry_delay;
      f->rm->retry_at = 0;
      g_assert_cmphex (send_unchecked (f, TPM2_CC_GetRandom), ==, TPM2_RC_FAILURE);
      g_assert_cmpuint (fake_tpm_count (f->tpm, 0), <=, before + 2);
      g_assert_cmphex (send_unchecked (f, TPM2_CC_GetRandom), ==, TPM2_RC_FAILURE);
    }
  fake_tpm_set_broken (f->tpm, FALSE);
  f->rm->retry_at = 0;
  /* whoever is told to try again waits until health has looked at the chip */
  g_assert_cmphex (send_simple (f, TPM2_CC_GetRandom), ==, TPM2_RC_RETRY);
  assert_works (f);
  g_assert_cmpint (f->rm->retry_delay, ==, 0);
}

/* @data: what somebody asks, and is told that all is well */
static void
test_failure_left (TestRm *f, gconstpointer data)
{
  enter_failure_mode (f);
  fake_tpm_set_broken (f->tpm, FALSE);
  g_assert_cmphex (send_unchecked (f, TPM2_CC_GetRandom), ==, TPM2_RC_FAILURE);
  g_assert_cmphex (send_simple (f, GPOINTER_TO_UINT (data)), ==, 0);
  assert_works (f);
}

/* How often the chip was asked; @which: one of two questions. */
static guint
ask_parms (TestRm *f, guint which, guint32 expected)
{
  guint before = fake_tpm_count (f->tpm, TPM2_CC_TestParms);

  g_assert_cmphex (test_rm_send_handle (f, f->a, TPM2_CC_TestParms, which), ==, expected);
  return fake_tpm_count (f->tpm, TPM2_CC_TestParms) - before;
}

/* What the chip has said of its algorithms is not asked again, of another chip or set of algorithms it is. */
static void
test_parms (TestRm *f, gconstpointer data)
{
  g_assert_cmpuint (ask_parms (f, 1, 0), ==, 1);
  g_assert_cmpuint (ask_parms (f, 1, 0), ==, 0);
  fake_tpm_fail (f->tpm, 1, FALSE, FALSE, TPM2_RC_TESTING);
  g_assert_cmpuint (ask_parms (f, 2, TPM2_RC_TESTING), ==, 1);
  fake_tpm_fail (f->tpm, 1, FALSE, FALSE, TPM2_RC_VALUE | TPM2_RC_P | TPM2_RC_1);
  g_assert_cmpuint (ask_parms (f, 2, TPM2_RC_VALUE | TPM2_RC_P | TPM2_RC_1), ==, 1);
  g_assert_cmpuint (ask_parms (f, 2, TPM2_RC_VALUE | TPM2_RC_P | TPM2_RC_1), ==, 0);

  g_assert_cmphex (test_rm_send_handle (f, f->b, TPM2_CC_SetAlgorithmSet, TPM2_RH_PLATFORM), ==, 0);
  g_assert_cmpuint (ask_parms (f, 1, 0), ==, 1);
  g_assert_cmpuint (ask_parms (f, 2, 0), ==, 1);
  fake_tpm_reset (f->tpm);
  g_assert_cmphex (send_unchecked (f, TPM2_CC_GetRandom), ==, TPM2_RC_INITIALIZE);
  g_assert_cmpuint (ask_parms (f, 1, 0), ==, 1);
}

/* More questions than are remembered. */
static void
test_many_parms (TestRm *f, gconstpointer data)
{
  for (guint i = 0; i < 1000; i++)
    ask_parms (f, i, 0);
  g_assert_cmpuint (g_hash_table_size (f->rm->parms), <=, 64);
  g_assert_cmpuint (ask_parms (f, 999, 0), ==, 0);
}

int
main (int argc, char **argv)
{
#define ADD(name, func, data)                                                                      \
  g_test_add ("/resource-manager-resets/" name, TestRm, data, test_rm_set_up, func,                \
              test_rm_tear_down)
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/resource-manager-resets/endings", NULL, test_endings);
  ADD ("failed-ending", test_failed_ending, NULL);
  ADD ("silent-reset/loaded", test_silent_reset, GUINT_TO_POINTER (0));
  ADD ("silent-reset/saved", test_silent_reset, GUINT_TO_POINTER (1));
  ADD ("restart", test_restart, NULL);
  ADD ("parms/asked-once", test_parms, NULL);
  ADD ("parms/many", test_many_parms, NULL);
  ADD ("failure/refused", test_failure_refused, NULL);
  ADD ("failure/back-off", test_failure_back_off, NULL);
  ADD ("failure/test-result", test_failure_left, GUINT_TO_POINTER (TPM2_CC_GetTestResult));
  ADD ("failure/self-test", test_failure_left, GUINT_TO_POINTER (TPM2_CC_SelfTest));
  return g_test_run ();
}
