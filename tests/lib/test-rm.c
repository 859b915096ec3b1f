/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "test-rm.h"

#include "rm-check.h"

static const ResourceManagerLimits limits = {
  .max_objects = 28,
  .max_sessions = 4,
  .max_objects_per_uid = 60,
  .max_sessions_per_uid = 10,
  .max_abandoned_sessions = 4,
};

/* Everything that must hold after each command, in the tables and against the chip. */
void
test_rm_check (TestRm *f)
{
  g_autofree char *wrong = rm_check (f->rm);
  const GPtrArray *loaded = object_table_get_loaded (f->rm->objects);
  g_autoptr (GPtrArray) sessions = session_table_list (f->rm->sessions);

  g_assert_cmpstr (wrong, ==, NULL);
  if (chip_commands_is_lost (f->rm->chip))
    return;
  g_assert_cmpuint (loaded->len, ==, fake_tpm_n_objects (f->tpm));
  for (guint i = 0; i < loaded->len; i++)
    g_assert_true (
        fake_tpm_has_object (f->tpm, ((const Object *)g_ptr_array_index (loaded, i))->handle));
  g_assert_cmpuint (sessions->len, ==, fake_tpm_n_active_sessions (f->tpm));
  for (guint i = 0; i < sessions->len; i++)
    {
      const Session *session = g_ptr_array_index (sessions, i);

      g_assert_true (fake_tpm_has_loaded_session (f->tpm, session->handle) == session->loaded);
    }
}

void
test_rm_make (TestRm *f, guint n_objects, guint n_sessions, guint gap)
{
  ChipBelow chip;
  gboolean was_reset = FALSE;

  f->tpm = fake_tpm_new (n_objects, n_sessions, gap);
  chip = fake_tpm_get_chip (f->tpm);
  f->rm = resource_manager_new (&limits, &chip);
  g_assert_cmphex (resource_manager_start (f->rm, &was_reset), ==, 0);
  g_assert_true (was_reset);
  f->a = resource_manager_open_space (f->rm, TEST_RM_USER, FALSE, FALSE);
  f->b = resource_manager_open_space (f->rm, TEST_RM_USER, FALSE, FALSE);
  fake_tpm_reset_counts (f->tpm);
}

void
test_rm_set_up (TestRm *f, gconstpointer data)
{
  test_rm_make (f, 3, 3, 0xffff);
}

void
test_rm_tear_down (TestRm *f, gconstpointer data)
{
  if (f->a != NULL)
    resource_manager_close_space (f->rm, f->a);
  if (f->b != NULL)
    resource_manager_close_space (f->rm, f->b);
  while (!chip_commands_is_lost (f->rm->chip) && resource_manager_sweep (f->rm))
    test_rm_check (f);
  resource_manager_free (f->rm);
  fake_tpm_free (f->tpm);
}

guint32
test_rm_send (TestRm *f, Space *space, gsize size)
{
  f->size = resource_manager_process (f->rm, space, 0, f->command, size, f->response);
  g_assert_true (command_response_is_valid (f->response, f->size));
  test_rm_check (f);
  return command_response_get_rc (f->response);
}

guint32
test_rm_response_handle (const TestRm *f)
{
  g_assert_cmpuint (f->size, >=, COMMAND_HEADER_SIZE + 4);
  return get_be32 (f->response + COMMAND_HEADER_SIZE);
}

guint32
test_rm_create_primary (TestRm *f, Space *space)
{
  g_assert_cmphex (test_rm_send (f, space, fake_tpm_put_create_primary (f->command)), ==, 0);
  return test_rm_response_handle (f);
}

guint32
test_rm_sign_with (TestRm *f, Space *space, guint32 key, guint32 session, gboolean keep)
{
  return test_rm_send (f, space, fake_tpm_put_sign (f->command, key, session, keep));
}

guint32
test_rm_sign (TestRm *f, Space *space, guint32 key)
{
  return test_rm_sign_with (f, space, key, TPM2_RS_PW, FALSE);
}

guint32
test_rm_start_session (TestRm *f, Space *space, gboolean policy)
{
  g_assert_cmphex (test_rm_send (f, space, fake_tpm_put_start_session (f->command, policy)), ==, 0);
  return test_rm_response_handle (f);
}

guint32
test_rm_send_handle (TestRm *f, Space *space, guint32 code, guint32 handle)
{
  return test_rm_send (f, space, fake_tpm_put_handle (f->command, code, handle));
}

GBytes *
test_rm_save (TestRm *f, Space *space, guint32 handle)
{
  g_assert_cmphex (test_rm_send_handle (f, space, TPM2_CC_ContextSave, handle), ==, 0);
  return g_bytes_new (f->response + COMMAND_HEADER_SIZE, f->size - COMMAND_HEADER_SIZE);
}

guint32
test_rm_load (TestRm *f, Space *space, GBytes *blob)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (blob, &size);

  return test_rm_send (f, space, fake_tpm_put_context_load (f->command, data, size));
}
