/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "test-rm.h"

#include <string.h>

/* On another chip. */
static void
make_again (TestRm *f, guint n_objects, guint n_sessions, guint gap)
{
  test_rm_tear_down (f, NULL);
  memset (f, 0, sizeof *f);
  test_rm_make (f, n_objects, n_sessions, gap);
}

/* One TPM command for each of a client's, as long as things fit. */
static void
test_no_overhead (TestRm *f, gconstpointer data)
{
  guint32 primary = test_rm_create_primary (f, f->a);
  guint32 key;

  g_assert_cmphex (primary, ==, 0x800000ff);
  g_assert_cmphex (test_rm_send (f, f->a, fake_tpm_put_load (f->command, primary)), ==, 0);
  key = test_rm_response_handle (f);
  for (guint i = 0; i < 10; i++)
    {
      g_assert_cmphex (test_rm_sign (f, f->a, key), ==, 0);
      g_assert_cmpuint (test_rm_response_handle (f), ==, 2);
    }
  g_assert_cmphex (test_rm_send_handle (f, f->a, TPM2_CC_FlushContext, key), ==, 0);
  g_assert_cmphex (test_rm_send_handle (f, f->a, TPM2_CC_FlushContext, primary), ==, 0);
  g_assert_cmpuint (fake_tpm_count (f->tpm, 0), ==, 14);
}

/* More keys than slots: each signature is by the right key, and a key is saved once only. */
static void
test_more_than_fit (TestRm *f, gconstpointer data)
{
  guint32 keys[8];

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    keys[i] = test_rm_create_primary (f, i % 2 == 0 ? f->a : f->b);
  for (guint round = 0; round < 20; round++)
    for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
      {
        g_assert_cmphex (test_rm_sign (f, i % 2 == 0 ? f->a : f->b, keys[i]), ==, 0);
        g_assert_cmpuint (test_rm_response_handle (f), ==, i + 1);
      }
  g_assert_cmpuint (fake_tpm_count (f->tpm, TPM2_CC_ContextSave), <=, G_N_ELEMENTS (keys));
}

static void
test_isolated (TestRm *f, gconstpointer data)
{
  guint32 key = test_rm_create_primary (f, f->a);
  guint32 session = test_rm_start_session (f, f->a, FALSE);
  guint before = fake_tpm_count (f->tpm, 0);

  g_assert_cmphex (test_rm_sign (f, f->b, key), ==, TPM2_RC_REFERENCE_H0);
  g_assert_cmphex (test_rm_sign (f, f->b, COMMAND_TRANSIENT_FIRST), ==, TPM2_RC_REFERENCE_H0);
  g_assert_cmphex (test_rm_sign_with (f, f->b, 0x81000001, session, TRUE), ==,
                   TPM2_RC_REFERENCE_S0);
  g_assert_cmphex (test_rm_send_handle (f, f->b, TPM2_CC_PolicyRestart, session), ==,
                   TPM2_RC_REFERENCE_H0);
  g_assert_cmphex (test_rm_send_handle (f, f->b, TPM2_CC_FlushContext, session), ==, 0xb01cb);
  g_assert_cmphex (test_rm_send_handle (f, f->b, TPM2_CC_FlushContext, key), ==, 0xb01cb);
  g_assert_cmphex (test_rm_send_handle (f, f->b, TPM2_CC_ContextSave, key), ==,
                   TPM2_RC_REFERENCE_H0);
  g_assert_cmphex (test_rm_send_handle (f, f->b, TPM2_CC_ContextSave, session), ==,
                   TPM2_RC_REFERENCE_H0);
  /* Nothing of that has reached the chip, and its owner notices nothing. */
  g_assert_cmpuint (fake_tpm_count (f->tpm, 0), ==, before);
  g_assert_cmphex (test_rm_sign_with (f, f->a, key, session, TRUE), ==, 0);
  g_assert_cmphex (test_rm_send (f, f->a, fake_tpm_put_simple (f->command, TPM2_CC_FlushContext)),
                   ==, 0xb009a);
}

/* Every command that makes an object. @blob: of a saved one */
static guint32
make_object (TestRm *f, Space *space, guint which, guint32 parent, GBytes *blob)
{
  const guint32 simple[] = { TPM2_CC_LoadExternal, TPM2_CC_HashSequenceStart };
  const guint32 below[] = { TPM2_CC_Load, TPM2_CC_CreateLoaded, TPM2_CC_HMAC_Start };

  if (which < 2)
    return test_rm_send (f, space, fake_tpm_put_simple (f->command, simple[which]));
  if (which < 5)
    return test_rm_send_handle (f, space, below[which - 2], parent);
  return which == 5 ? test_rm_send (f, space, fake_tpm_put_create_primary (f->command))
                    : test_rm_load (f, space, blob);
}

#define N_WAYS 7

static void
test_quotas (TestRm *f, gconstpointer data)
{
  guint32 key = test_rm_create_primary (f, f->a);
  g_autoptr (GBytes) blob = test_rm_save (f, f->a, key);

  for (guint i = 1; i < 28; i++)
    g_assert_cmphex (make_object (f, f->a, i % N_WAYS, key, blob), ==, 0);
  for (guint i = 0; i < N_WAYS; i++)
    g_assert_cmphex (make_object (f, f->a, i, key, blob), ==, 0xb0902);
  test_rm_create_primary (f, f->b);
  g_assert_cmphex (test_rm_send_handle (f, f->a, TPM2_CC_FlushContext, key), ==, 0);
  g_assert_cmphex (make_object (f, f->a, N_WAYS - 1, 0, blob), ==, 0);
}

/* A session that its client has saved is still one of its four; one that is loaded from another's blob, too. */
static void
test_session_quotas (TestRm *f, gconstpointer data)
{
  g_autoptr (GBytes) blob = NULL;
  guint32 session = test_rm_start_session (f, f->b, TRUE);

  for (guint i = 0; i < 4; i++)
    g_bytes_unref (test_rm_save (f, f->a, test_rm_start_session (f, f->a, i % 2 == 0)));
  g_assert_cmphex (test_rm_send (f, f->a, fake_tpm_put_start_session (f->command, TRUE)), ==,
                   0xb0903);
  blob = test_rm_save (f, f->b, session);
  g_assert_cmphex (test_rm_load (f, f->a, blob), ==, 0xb0903);
  g_assert_cmphex (test_rm_load (f, f->b, blob), ==, 0);
}

/* Many connections of one user have no more together than the user may; another user has as much again. */
static void
test_user_quotas (TestRm *f, gconstpointer data)
{
  Space *other = resource_manager_open_space (f->rm, TEST_RM_USER + 1, FALSE, FALSE);
  Space *spaces[4] = { f->a, f->b };
  guint n_objects = 0, n_sessions = 0;
  guint32 key = test_rm_create_primary (f, f->a);
  g_autoptr (GBytes) blob = test_rm_save (f, f->a, key);

  test_rm_send_handle (f, f->a, TPM2_CC_FlushContext, key);
  for (guint i = 2; i < G_N_ELEMENTS (spaces); i++)
    spaces[i] = resource_manager_open_space (f->rm, TEST_RM_USER, FALSE, FALSE);
  for (guint i = 0; i < G_N_ELEMENTS (spaces); i++)
    {
      while (test_rm_send (f, spaces[i], fake_tpm_put_create_primary (f->command)) == 0)
        n_objects++;
      while (test_rm_send (f, spaces[i], fake_tpm_put_start_session (f->command, TRUE)) == 0)
        n_sessions++;
    }
  g_assert_cmpuint (n_objects, ==, 60);
  g_assert_cmpuint (n_sessions, ==, 10);
  /* the last has room of its own, but its user has none */
  key = 0x81000001U;
  for (guint i = 0; i < N_WAYS; i++)
    g_assert_cmphex (make_object (f, spaces[3], i, key, blob), ==, 0xb0902);
  test_rm_create_primary (f, other);
  test_rm_start_session (f, other, TRUE);
  for (guint i = 2; i < G_N_ELEMENTS (spaces); i++)
    resource_manager_close_space (f->rm, spaces[i]);
  resource_manager_close_space (f->rm, other);
}

/* A sequence changes with every use: swapped out and in, it goes on where it was. */
static void
test_sequences (TestRm *f, gconstpointer data)
{
  guint32 sequences[10];

  for (guint i = 0; i < G_N_ELEMENTS (sequences); i++)
    {
      g_assert_cmphex (
          test_rm_send (f, f->a, fake_tpm_put_simple (f->command, TPM2_CC_HashSequenceStart)), ==,
          0);
      sequences[i] = test_rm_response_handle (f);
    }
  for (guint round = 0; round < 5; round++)
    for (guint i = 0; i < G_N_ELEMENTS (sequences); i++)
      g_assert_cmphex (test_rm_send_handle (f, f->a, TPM2_CC_SequenceUpdate, sequences[i]), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (sequences); i++)
    {
      g_assert_cmphex (test_rm_send_handle (f, f->a, TPM2_CC_SequenceComplete, sequences[i]), ==,
                       0);
      g_assert_cmpuint (test_rm_response_handle (f), ==, 6);
      g_assert_cmphex (test_rm_send_handle (f, f->a, TPM2_CC_SequenceUpdate, sequences[i]), ==,
                       TPM2_RC_REFERENCE_H0);
    }
}

/* The blob of a session is the same for its life, and whoever has it may have the session. */
static void
test_session_blob (TestRm *f, gconstpointer data)
{
  guint32 session = test_rm_start_session (f, f->a, TRUE);
  g_autoptr (GBytes) blob = test_rm_save (f, f->a, session);
  g_autoptr (GBytes) again = NULL;

  g_assert_cmphex (test_rm_send_handle (f, f->a, TPM2_CC_PolicyRestart, session), ==,
                   TPM2_RC_REFERENCE_H0);
  g_assert_cmphex (test_rm_load (f, f->a, blob), ==, 0);
  g_assert_cmphex (test_rm_response_handle (f), ==, session);
  g_assert_cmphex (test_rm_send_handle (f, f->a, TPM2_CC_PolicyRestart, session), ==, 0);
  /* It is loaded now: the blob is no way to take it away. */
  g_assert_cmphex (test_rm_load (f, f->b, blob), ==, TPM2_RC_HANDLE | TPM2_RC_P | TPM2_RC_1);
  again = test_rm_save (f, f->a, session);
  g_assert_true (g_bytes_equal (blob, again));
  g_assert_cmphex (test_rm_load (f, f->b, blob), ==, 0);
  g_assert_cmphex (test_rm_send_handle (f, f->b, TPM2_CC_PolicyRestart, session), ==, 0);
  g_assert_cmphex (test_rm_send_handle (f, f->a, TPM2_CC_PolicyRestart, session), ==,
                   TPM2_RC_REFERENCE_H0);
  g_assert_cmpuint (fake_tpm_count (f->tpm, TPM2_CC_ContextSave), ==, 1);
}

static void
test_abandoned (TestRm *f, gconstpointer data)
{
  g_autoptr (GPtrArray) blobs = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);

  for (guint i = 0; i < 5; i++)
    {
      Space *space = resource_manager_open_space (f->rm, TEST_RM_USER, FALSE, FALSE);

      g_ptr_array_add (blobs, test_rm_save (f, space, test_rm_start_session (f, space, FALSE)));
      test_rm_start_session (f, space, FALSE);
      resource_manager_close_space (f->rm, space);
      while (resource_manager_sweep (f->rm))
        test_rm_check (f);
    }
  g_assert_cmpuint (fake_tpm_n_active_sessions (f->tpm), ==, 4);
  g_assert_cmphex (test_rm_load (f, f->a, g_ptr_array_index (blobs, 0)), !=, 0);
  for (guint i = 1; i < 5; i++)
    g_assert_cmphex (test_rm_load (f, f->a, g_ptr_array_index (blobs, i)), ==, 0);
}

/* More sessions than slots for them; each still there when it is used. */
static void
test_session_room (TestRm *f, gconstpointer data)
{
  guint32 key = test_rm_create_primary (f, f->a);
  guint32 sessions[4];

  for (guint i = 0; i < G_N_ELEMENTS (sessions); i++)
    sessions[i] = test_rm_start_session (f, f->a, i % 2 == 0);
  for (guint round = 0; round < 10; round++)
    for (guint i = 0; i < G_N_ELEMENTS (sessions); i++)
      g_assert_cmphex (test_rm_sign_with (f, f->a, key, sessions[i], TRUE), ==, 0);
  g_assert_cmphex (test_rm_sign_with (f, f->a, key, sessions[1], FALSE), ==, 0);
  g_assert_cmphex (test_rm_sign_with (f, f->a, key, sessions[1], TRUE), ==, TPM2_RC_REFERENCE_S0);
}

/* An idle session lets the chip's counter run away from it: nobody notices. */
static void
test_gap (TestRm *f, gconstpointer data)
{
  guint32 key, sessions[4];
  g_autoptr (GBytes) blob = NULL;
  guint32 idle;

  make_again (f, 3, 3, 20);
  key = test_rm_create_primary (f, f->a);
  idle = test_rm_start_session (f, f->b, FALSE);
  blob = test_rm_save (f, f->b, idle);
  for (guint i = 0; i < G_N_ELEMENTS (sessions); i++)
    sessions[i] = test_rm_start_session (f, f->a, FALSE);
  for (guint i = 0; i < 200; i++)
    g_assert_cmphex (test_rm_sign_with (f, f->a, key, sessions[i % 4], TRUE), ==, 0);
  g_assert_cmphex (test_rm_load (f, f->b, blob), ==, 0);
  g_assert_cmphex (test_rm_sign_with (f, f->b, test_rm_create_primary (f, f->b), idle, TRUE), ==,
                   0);
}

/* Tables and chip agree again, whatever is in it that they do not know. */
static void
lose_power (TestRm *f)
{
  fake_tpm_reset (f->tpm);
  resource_manager_process (f->rm, f->a, 0, f->command,
                            fake_tpm_put_simple (f->command, TPM2_CC_GetRandom), f->response);
}

/* A gap that is not of our making is the client's to hear of, once. */
static void
test_foreign_gap (TestRm *f, gconstpointer data)
{
  guint8 response[COMMAND_MAX_SIZE];
  ChipBelow chip;
  gsize size;

  make_again (f, 3, 3, 2);
  chip = fake_tpm_get_chip (f->tpm);
  /* behind the resource manager's back */
  size = fake_tpm_put_start_session (f->command, FALSE);
  chip.transact (chip.data, f->command, size, 0, response, &size);
  size = fake_tpm_put_handle (f->command, TPM2_CC_ContextSave, TPM2_HMAC_SESSION_FIRST);
  chip.transact (chip.data, f->command, size, 0, response, &size);
  for (guint i = 0; i < 3; i++)
    {
      size = fake_tpm_put_start_session (f->command, FALSE);
      resource_manager_process (f->rm, f->a, 0, f->command, size, f->response);
      size = fake_tpm_put_handle (f->command, TPM2_CC_ContextSave,
                                  get_be32 (f->response + COMMAND_HEADER_SIZE));
      fake_tpm_reset_counts (f->tpm);
      resource_manager_process (f->rm, f->a, 0, f->command, size, f->response);
      g_assert_cmphex (command_response_get_rc (f->response), ==, i < 2 ? 0 : TPM2_RC_CONTEXT_GAP);
    }
  g_assert_cmpuint (fake_tpm_count (f->tpm, 0), <, 8);
  lose_power (f);
}

/* tpmKey and bind of one command: the second is not let in at the first's expense, also where that is what the policy
 * would put out; and twice the same one takes one slot. */
static void
test_two_objects (TestRm *f, gconstpointer data)
{
  guint32 first, second, busy;
  gsize size;

  make_again (f, 2, 3, 0xffff);
  first = test_rm_create_primary (f, f->a);
  second = test_rm_create_primary (f, f->a);
  busy = test_rm_create_primary (f, f->a);
  for (guint i = 0; i < 10; i++)
    test_rm_sign (f, f->a, busy);
  size = fake_tpm_put_start_session (f->command, FALSE);
  put_be32 (f->command + COMMAND_HEADER_SIZE, first);
  put_be32 (f->command + COMMAND_HEADER_SIZE + 4, second);
  g_assert_cmphex (test_rm_send (f, f->a, size), ==, 0);
  fake_tpm_reset_counts (f->tpm);
  test_rm_sign (f, f->a, first);
  test_rm_sign (f, f->a, second);
  g_assert_cmpuint (fake_tpm_count (f->tpm, 0), ==, 2);

  test_rm_sign (f, f->a, busy);
  fake_tpm_reset_counts (f->tpm);
  size = fake_tpm_put_start_session (f->command, FALSE);
  put_be32 (f->command + COMMAND_HEADER_SIZE, busy);
  put_be32 (f->command + COMMAND_HEADER_SIZE + 4, busy);
  g_assert_cmphex (test_rm_send (f, f->a, size), ==, 0);
  g_assert_cmpuint (fake_tpm_count (f->tpm, 0), ==, 1);
}

/* The same for the sessions of one command: it is not sent in vain. */
static void
test_two_sessions (TestRm *f, gconstpointer data)
{
  guint32 key, first, second, busy;
  gsize size;

  make_again (f, 3, 2, 0xffff);
  key = test_rm_create_primary (f, f->a);
  first = test_rm_start_session (f, f->a, FALSE);
  second = test_rm_start_session (f, f->a, FALSE);
  busy = test_rm_start_session (f, f->a, FALSE);
  for (guint i = 0; i < 10; i++)
    test_rm_sign_with (f, f->a, key, busy, TRUE);
  size = fake_tpm_put_sign (f->command, key, first, TRUE);
  memmove (f->command + size, f->command + size - 9, 9);
  put_be32 (f->command + size, second);
  put_be32 (f->command + COMMAND_HEADER_SIZE + 4, 18);
  put_be32 (f->command + 2, (guint32)size + 9);
  fake_tpm_reset_counts (f->tpm);
  g_assert_cmphex (test_rm_send (f, f->a, size + 9), ==, 0);
  g_assert_cmpuint (fake_tpm_count (f->tpm, TPM2_CC_Sign), ==, 1);
}

/* A saved session that the resource manager knows nothing of. */
static void
save_beside (TestRm *f)
{
  ChipBelow chip = fake_tpm_get_chip (f->tpm);
  guint8 response[COMMAND_MAX_SIZE];
  gsize size = fake_tpm_put_start_session (f->command, FALSE);

  g_assert_cmphex (chip.transact (chip.data, f->command, size, 0, response, &size), ==, 0);
  size = fake_tpm_put_handle (f->command, TPM2_CC_ContextSave,
                              get_be32 (response + COMMAND_HEADER_SIZE));
  g_assert_cmphex (chip.transact (chip.data, f->command, size, 0, response, &size), ==, 0);
  g_assert_cmphex (command_response_get_rc (response), ==, 0);
}

/* As a daemon that starts after another has crashed. */
static void
start_anew (TestRm *f)
{
  ChipBelow chip = fake_tpm_get_chip (f->tpm);
  ResourceManagerLimits limits = f->rm->limits;
  gboolean was_reset = FALSE;

  resource_manager_close_space (f->rm, f->a);
  resource_manager_close_space (f->rm, f->b);
  resource_manager_free (f->rm);
  f->rm = resource_manager_new (&limits, &chip);
  f->a = resource_manager_open_space (f->rm, TEST_RM_USER, FALSE, FALSE);
  f->b = resource_manager_open_space (f->rm, TEST_RM_USER, FALSE, FALSE);
  g_assert_cmphex (resource_manager_start (f->rm, &was_reset), ==, 0);
}

/* Starts a session and saves it; the answer of the first that fails. */
static guint32
save_unchecked (TestRm *f)
{
  gsize size = fake_tpm_put_start_session (f->command, FALSE);

  resource_manager_process (f->rm, f->a, 0, f->command, size, f->response);
  if (command_response_get_rc (f->response) != 0)
    return command_response_get_rc (f->response);
  size = fake_tpm_put_handle (f->command, TPM2_CC_ContextSave,
                              get_be32 (f->response + COMMAND_HEADER_SIZE));
  resource_manager_process (f->rm, f->a, 0, f->command, size, f->response);
  return command_response_get_rc (f->response);
}

/* What another daemon has left saved is given up one by one, and only when the chip has no handle left. */
static void
test_strays (TestRm *f, gconstpointer data)
{
  for (guint i = 0; i < FAKE_TPM_MAX_SESSIONS - 2; i++)
    save_beside (f);
  start_anew (f);
  for (guint i = 1; i <= 4; i++)
    {
      guint n = FAKE_TPM_MAX_SESSIONS - 2 + i;

      g_assert_cmphex (save_unchecked (f), ==, 0);
      g_assert_cmpuint (fake_tpm_n_active_sessions (f->tpm), ==, MIN (n, FAKE_TPM_MAX_SESSIONS));
    }
  lose_power (f);
}

/* One saved since, beside us, is somebody's: it stays, and the client hears of it. */
static void
test_no_strays (TestRm *f, gconstpointer data)
{
  start_anew (f);
  for (guint i = 0; i < FAKE_TPM_MAX_SESSIONS; i++)
    save_beside (f);
  g_assert_cmphex (save_unchecked (f), ==, TPM2_RC_SESSION_HANDLES);
  g_assert_cmpuint (fake_tpm_n_active_sessions (f->tpm), ==, FAKE_TPM_MAX_SESSIONS);
  lose_power (f);
}

/* Nor does it stand in the way of others' contexts for ever. */
static void
test_stray_gap (TestRm *f, gconstpointer data)
{
  make_again (f, 3, 3, 2);
  save_beside (f);
  start_anew (f);
  for (guint i = 0; i < 3; i++)
    g_assert_cmphex (save_unchecked (f), ==, 0);
  test_rm_check (f);
}

/* @expected: handles, ended by 0 */
static void
assert_handles (TestRm *f,
                Space *space,
                guint32 first,
                guint32 count,
                gboolean more,
                const guint32 *expected)
{
  guint32 n = 0;

  g_assert_cmphex (
      test_rm_send (f, space, fake_tpm_put_capability (f->command, TPM2_CAP_HANDLES, first, count)),
      ==, 0);
  while (expected[n] != 0)
    n++;
  g_assert_cmpuint (f->response[10] != 0, ==, more != 0);
  g_assert_cmpuint (get_be32 (f->response + 11), ==, TPM2_CAP_HANDLES);
  g_assert_cmpuint (get_be32 (f->response + 15), ==, n);
  g_assert_cmpuint (f->size, ==, 19 + 4 * n);
  for (guint32 i = 0; i < n; i++)
    g_assert_cmphex (get_be32 (f->response + 19 + 4 * i), ==, expected[i]);
}

static void
test_capability (TestRm *f, gconstpointer data)
{
  const guint32 none[] = { 0 };
  const guint32 all[] = { 0x800000ff, 0x80000100, 0x80000101, 0x80000102, 0x80000103, 0 };
  guint32 loaded[2] = { 0 }, saved[2] = { 0 };

  for (guint i = 0; i < 5; i++)
    test_rm_create_primary (f, f->a);
  assert_handles (f, f->a, COMMAND_TRANSIENT_FIRST, 254, FALSE, all);
  assert_handles (f, f->a, COMMAND_TRANSIENT_FIRST, 5, FALSE, all);
  assert_handles (f, f->a, 0x80000101, 10, FALSE, all + 2);
  assert_handles (f, f->b, COMMAND_TRANSIENT_FIRST, 254, FALSE, none);
  assert_handles (f, f->a, COMMAND_TRANSIENT_FIRST, 0, TRUE, none);
  test_rm_start_session (f, f->b, FALSE);
  saved[0] = test_rm_start_session (f, f->a, TRUE) & 0xffffff;
  loaded[0] = test_rm_start_session (f, f->a, TRUE);
  g_bytes_unref (test_rm_save (f, f->a, TPM2_POLICY_SESSION_FIRST | saved[0]));
  saved[0] |= TPM2_HMAC_SESSION_FIRST;
  assert_handles (f, f->a, TPM2_LOADED_SESSION_FIRST, 10, FALSE, loaded);
  assert_handles (f, f->a, TPM2_ACTIVE_SESSION_FIRST, 10, FALSE, saved);
  g_assert_cmphex (test_rm_send (f, f->a,
                                 fake_tpm_put_capability (f->command, TPM2_CAP_TPM_PROPERTIES,
                                                          TPM2_PT_CONTEXT_GAP_MAX, 1)),
                   ==, 0);
  g_assert_cmphex (get_be32 (f->response + 23), ==, G_MAXUINT32);
  g_assert_cmphex (test_rm_send (f, f->a, fake_tpm_put_capability (f->command, 0xa, 0, 1)), ==,
                   0x1c4);
  g_assert_cmphex (test_rm_send (f, f->a, fake_tpm_put_simple (f->command, TPM2_CC_GetCapability)),
                   ==, TPM2_RC_SIZE);
}

/* A command that needs a slot while it runs gets one; from then on before it asks. */
static void
test_temporary_slot (TestRm *f, gconstpointer data)
{
  guint32 keys[3];

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    keys[i] = test_rm_create_primary (f, f->a);
  g_assert_cmphex (test_rm_send_handle (f, f->a, TPM2_CC_Create, keys[0]), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    g_assert_cmphex (test_rm_sign (f, f->a, keys[i]), ==, 0);
}

static void
test_idle (TestRm *f, gconstpointer data)
{
  guint32 key = test_rm_create_primary (f, f->a);
  guint32 session = test_rm_start_session (f, f->a, FALSE);
  guint n = 0;

  while (resource_manager_idle_step (f->rm))
    {
      test_rm_check (f);
      g_assert_cmpuint (++n, <, 10);
    }
  g_assert_false (resource_manager_has_loaded (f->rm));
  g_assert_cmpuint (fake_tpm_n_objects (f->tpm), ==, 0);
  g_assert_cmpuint (fake_tpm_n_loaded_sessions (f->tpm), ==, 0);
  g_assert_cmphex (test_rm_sign_with (f, f->a, key, session, TRUE), ==, 0);
}

static void
test_closed (TestRm *f, gconstpointer data)
{
  for (guint i = 0; i < 5; i++)
    test_rm_create_primary (f, f->a);
  test_rm_start_session (f, f->a, FALSE);
  resource_manager_close_space (f->rm, g_steal_pointer (&f->a));
  while (resource_manager_sweep (f->rm))
    test_rm_check (f);
  g_assert_cmpuint (fake_tpm_n_objects (f->tpm), ==, 0);
  g_assert_cmpuint (fake_tpm_n_active_sessions (f->tpm), ==, 0);
}

/* A reset behind our back: the next command learns of it, and old handles are refused. */
static void
test_reset (TestRm *f, gconstpointer data)
{
  guint32 key = test_rm_create_primary (f, f->a);
  guint32 session = test_rm_start_session (f, f->a, FALSE);

  fake_tpm_reset (f->tpm);
  f->size = resource_manager_process (
      f->rm, f->a, 0, f->command, fake_tpm_put_sign (f->command, key, session, TRUE), f->response);
  g_assert_cmphex (command_response_get_rc (f->response), ==, TPM2_RC_INITIALIZE);
  test_rm_check (f);
  g_assert_true (resource_manager_take_was_reset (f->rm));
  g_assert_false (resource_manager_take_was_reset (f->rm));
  g_assert_cmphex (test_rm_sign (f, f->a, key), ==, TPM2_RC_REFERENCE_H0);
  test_rm_create_primary (f, f->a);
}

static void
test_privileges (TestRm *f, gconstpointer data)
{
  Space *root = resource_manager_open_space (f->rm, 0, TRUE, FALSE);
  guint32 keys[5];

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    keys[i] = test_rm_create_primary (f, f->a);
  fake_tpm_reset_counts (f->tpm);
  g_assert_cmphex (test_rm_send_handle (f, f->a, TPM2_CC_Clear, TPM2_RH_LOCKOUT), ==, 0xb000c);
  g_assert_cmphex (test_rm_send (f, f->a, fake_tpm_put_simple (f->command, TPM2_CC_Shutdown)), ==,
                   0xb000c);
  g_assert_cmphex (test_rm_send (f, f->a, fake_tpm_put_simple (f->command, TPM2_CC_Startup)), ==,
                   TPM2_RC_INITIALIZE);
  g_assert_cmpuint (fake_tpm_count (f->tpm, 0), ==, 0);
  g_assert_cmphex (test_rm_send_handle (f, root, TPM2_CC_Clear, TPM2_RH_LOCKOUT), ==, 0);
  g_assert_cmphex (test_rm_sign (f, f->a, keys[4]), ==, TPM2_RC_REFERENCE_H0);
  resource_manager_close_space (f->rm, root);
}

typedef struct
{
  guint32 handle;
  guint32 number;
} MadeKey;

/* One step of @who's life: makes, flushes or uses a key. */
static void
random_step (TestRm *f, GRand *rand, Space *space, GArray *mine, guint32 *n_made)
{
  gint what = g_rand_int_range (rand, 0, 10);
  guint pick = mine->len > 0 ? (guint)g_rand_int_range (rand, 0, (gint32)mine->len) : 0;
  MadeKey key = { 0 };

  if (mine->len > 0)
    key = g_array_index (mine, MadeKey, pick);
  if (what == 0 && mine->len < 28)
    {
      key.handle = test_rm_create_primary (f, space);
      key.number = ++*n_made;
      g_array_append_val (mine, key);
    }
  else if (what == 1 && mine->len > 0)
    {
      g_assert_cmphex (test_rm_send_handle (f, space, TPM2_CC_FlushContext, key.handle), ==, 0);
      g_array_remove_index_fast (mine, pick);
    }
  else if (what == 2)
    resource_manager_idle_step (f->rm);
  else if (mine->len > 0)
    {
      g_assert_cmphex (test_rm_sign (f, space, key.handle), ==, 0);
      g_assert_cmpuint (test_rm_response_handle (f), ==, key.number);
    }
}

/* A long random life of two connections; every command checked, every signature by the right key. */
static void
test_random (TestRm *f, gconstpointer data)
{
  GRand *rand = g_rand_new_with_seed (GPOINTER_TO_UINT (data));
  g_autoptr (GArray) of_a = g_array_new (FALSE, FALSE, sizeof (MadeKey));
  g_autoptr (GArray) of_b = g_array_new (FALSE, FALSE, sizeof (MadeKey));
  guint32 n_made = 0;

  for (guint i = 0; i < 3000; i++)
    if (g_rand_boolean (rand))
      random_step (f, rand, f->a, of_a, &n_made);
    else
      random_step (f, rand, f->b, of_b, &n_made);
  g_rand_free (rand);
}

/* Makes something, uses it, saves it. */
static void
live_a_little (TestRm *f, GRand *rand, Space *space)
{
  guint32 key = 0, session = 0;

  if (g_rand_int_range (rand, 0, 4) > 0 &&
      test_rm_send (f, space, fake_tpm_put_create_primary (f->command)) == 0)
    key = test_rm_response_handle (f);
  if (g_rand_boolean (rand) &&
      test_rm_send (f, space, fake_tpm_put_start_session (f->command, g_rand_boolean (rand))) == 0)
    session = test_rm_response_handle (f);
  if (key != 0 && session != 0)
    test_rm_sign_with (f, space, key, session, g_rand_boolean (rand));
  if (session != 0 && g_rand_boolean (rand))
    test_rm_send_handle (f, space, TPM2_CC_ContextSave, session);
  if (g_rand_int_range (rand, 0, 8) == 0)
    test_rm_send (f, space, fake_tpm_put_simple (f->command, TPM2_CC_HashSequenceStart));
}

/* Connections that close at any point of their lives, with the clearing up behind them at any pace. */
static void
test_hang_ups (TestRm *f, gconstpointer data)
{
  GRand *rand = g_rand_new_with_seed (3);
  guint32 key = test_rm_create_primary (f, f->a);
  Space *spaces[5] = { 0 };

  for (guint i = 0; i < 10000; i++)
    {
      Space **space = &spaces[g_rand_int_range (rand, 0, G_N_ELEMENTS (spaces))];

      if (*space != NULL)
        resource_manager_close_space (f->rm, *space);
      *space = resource_manager_open_space (f->rm, TEST_RM_USER + 1, FALSE, FALSE);
      test_rm_check (f);
      live_a_little (f, rand, *space);
      for (gint n = g_rand_int_range (rand, 0, 4); n > 0; n--)
        resource_manager_sweep (f->rm);
      test_rm_check (f);
    }
  for (guint i = 0; i < G_N_ELEMENTS (spaces); i++)
    if (spaces[i] != NULL)
      resource_manager_close_space (f->rm, spaces[i]);
  while (resource_manager_sweep (f->rm))
    test_rm_check (f);
  g_assert_cmphex (test_rm_sign (f, f->a, key), ==, 0);
  g_assert_cmpuint (test_rm_response_handle (f), ==, 1);
  g_assert_cmpuint (fake_tpm_n_objects (f->tpm), <=, 3);
  g_assert_cmpuint (fake_tpm_n_active_sessions (f->tpm), <=, 4);
  g_rand_free (rand);
}

/* Things that a client does with two keys, three sessions and a sequence, each answer taken as it comes. */
static void
run_flow (TestRm *f, guint32 *keys, guint32 *sessions)
{
  for (guint i = 0; i < 5; i++)
    if (test_rm_send (f, f->a, fake_tpm_put_create_primary (f->command)) == 0)
      keys[i] = test_rm_response_handle (f);
  for (guint i = 0; i < 4; i++)
    if (test_rm_send (f, f->a, fake_tpm_put_start_session (f->command, i == 1)) == 0)
      sessions[i] = test_rm_response_handle (f);
  for (guint i = 0; i < 20; i++)
    test_rm_sign_with (f, f->a, keys[i % 5], sessions[i % 4], i < 17);
  for (guint i = 0; i < 2; i++)
    if (test_rm_send_handle (f, f->a, TPM2_CC_ContextSave, i == 0 ? keys[0] : sessions[0]) == 0)
      {
        g_autoptr (GBytes) blob =
            g_bytes_new (f->response + COMMAND_HEADER_SIZE, f->size - COMMAND_HEADER_SIZE);
        test_rm_load (f, f->b, blob);
      }
  for (guint i = 0; i < 3; i++)
    test_rm_send_handle (f, f->a, TPM2_CC_FlushContext, i == 0 ? sessions[3] : keys[i]);
  while (!chip_commands_is_lost (f->rm->chip) && resource_manager_idle_step (f->rm))
    test_rm_check (f);
}

/* The flow once for every command that it sends, which fails; then the chip comes back and things go on. */
static void
run_with_fault (guint n, gboolean tcti, gboolean carried_out, TSS2_RC rc, guint *out_n_commands)
{
  TestRm f = { 0 };
  guint32 keys[5] = { 0 }, sessions[4] = { 0 };
  gboolean was_reset = FALSE;

  test_rm_make (&f, 3, 3, 50);
  if (n > 0)
    fake_tpm_fail (f.tpm, n, tcti, carried_out, rc);
  run_flow (&f, keys, sessions);
  if (out_n_commands != NULL)
    *out_n_commands = fake_tpm_count (f.tpm, 0);
  fake_tpm_fail (f.tpm, 0, FALSE, FALSE, 0);
  if (chip_commands_is_lost (f.rm->chip))
    {
      g_assert_cmphex (resource_manager_start (f.rm, &was_reset), ==, 0);
      g_assert_false (was_reset);
      test_rm_check (&f);
    }
  g_assert_cmphex (test_rm_sign (&f, f.b, test_rm_create_primary (&f, f.b)), ==, 0);
  run_flow (&f, keys, sessions);
  test_rm_tear_down (&f, NULL);
}

static void
test_faults (gconstpointer data)
{
  const TSS2_RC codes[] = { TPM2_RC_RETRY,           TPM2_RC_OBJECT_MEMORY, TPM2_RC_SESSION_MEMORY,
                            TPM2_RC_SESSION_HANDLES, TPM2_RC_MEMORY,        TPM2_RC_CONTEXT_GAP,
                            TPM2_RC_FAILURE,         TPM2_RC_INTEGRITY };
  guint n_commands = 0;

  run_with_fault (0, FALSE, FALSE, 0, &n_commands);
  g_assert_cmpuint (n_commands, >, 40);
  for (guint n = 1; n <= n_commands; n++)
    {
      run_with_fault (n, TRUE, FALSE, TSS2_TCTI_RC_IO_ERROR, NULL);
      run_with_fault (n, TRUE, TRUE, TSS2_TCTI_RC_IO_ERROR, NULL);
      for (guint i = 0; i < G_N_ELEMENTS (codes); i++)
        run_with_fault (n, FALSE, FALSE, codes[i], NULL);
    }
}

int
main (int argc, char **argv)
{
#define ADD(name, func, data)                                                                      \
  g_test_add ("/resource-manager/" name, TestRm, data, test_rm_set_up, func, test_rm_tear_down)
  g_test_init (&argc, &argv, NULL);
  ADD ("no-overhead", test_no_overhead, NULL);
  ADD ("more-than-fit", test_more_than_fit, NULL);
  ADD ("two-objects", test_two_objects, NULL);
  ADD ("two-sessions", test_two_sessions, NULL);
  ADD ("isolated", test_isolated, NULL);
  ADD ("quotas", test_quotas, NULL);
  ADD ("session-quotas", test_session_quotas, NULL);
  ADD ("user-quotas", test_user_quotas, NULL);
  ADD ("sequences", test_sequences, NULL);
  ADD ("session-blob", test_session_blob, NULL);
  ADD ("abandoned", test_abandoned, NULL);
  ADD ("strays", test_strays, NULL);
  ADD ("no-strays", test_no_strays, NULL);
  ADD ("stray-gap", test_stray_gap, NULL);
  ADD ("session-room", test_session_room, NULL);
  ADD ("gap", test_gap, NULL);
  ADD ("foreign-gap", test_foreign_gap, NULL);
  ADD ("capability", test_capability, NULL);
  ADD ("temporary-slot", test_temporary_slot, NULL);
  ADD ("idle", test_idle, NULL);
  ADD ("closed", test_closed, NULL);
  ADD ("reset", test_reset, NULL);
  ADD ("privileges", test_privileges, NULL);
  ADD ("random/1", test_random, GUINT_TO_POINTER (1));
  ADD ("random/2", test_random, GUINT_TO_POINTER (2));
  ADD ("hang-ups", test_hang_ups, NULL);
  g_test_add_data_func ("/resource-manager/faults", NULL, test_faults);
  return g_test_run ();
}
