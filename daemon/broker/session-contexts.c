/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "session-contexts.h"

static TSS2_RC
save_once (ChipCommands *chip, SessionTable *sessions, Session *session)
{
  guint8 response[COMMAND_MAX_SIZE];
  const guint8 *blob;
  gsize size;
  TSS2_RC rc = chip_commands_save_context (chip, session->handle, response, &blob, &size);

  if (rc == TSS2_RC_SUCCESS)
    session_table_set_saved (sessions, session, blob, size);
  return rc;
}

TSS2_RC
session_contexts_load (ChipCommands *chip, SessionTable *sessions, Session *session)
{
  guint32 handle;
  TSS2_RC rc = chip_commands_load_context (chip, session->context, &handle);

  if (rc == TSS2_RC_SUCCESS)
    session_table_set_loaded (sessions, session);
  return rc;
}

/* In and out again: what was the oldest in the chip's count is the newest. */
static TSS2_RC
renew_context (ChipCommands *chip, SessionTable *sessions, Session *session)
{
  TSS2_RC rc = session_contexts_load (chip, sessions, session);

  return rc != TSS2_RC_SUCCESS ? rc : save_once (chip, sessions, session);
}

/* The saved one that is the oldest in the chip's count; NULL: none of @sessions is saved. */
static Session *
find_oldest (const GPtrArray *sessions)
{
  Session *oldest = NULL;

  for (guint i = 0; i < sessions->len; i++)
    {
      Session *session = g_ptr_array_index (sessions, i);

      if (!session->loaded && (oldest == NULL || session->save_order < oldest->save_order))
        oldest = session;
    }
  return oldest;
}

/* Brings the chip's count of session contexts forward: each saved session, the oldest first, in and out again. */
static TSS2_RC
regap (ChipCommands *chip, SessionTable *sessions)
{
  g_autoptr (GPtrArray) left = session_table_list (sessions);
  TSS2_RC rc = TPM2_RC_CONTEXT_GAP;

  for (;;)
    {
      Session *oldest = find_oldest (left);

      if (oldest == NULL || chip_commands_is_lost (chip))
        return rc;
      g_ptr_array_remove_fast (left, oldest);
      rc = renew_context (chip, sessions, oldest);
      if (rc != TSS2_RC_SUCCESS)
        return rc;
    }
}

gboolean
session_contexts_drop_stray (ChipCommands *chip, SessionTable *sessions)
{
  guint32 handle = session_table_take_stray (sessions);

  if (handle == 0 || chip_commands_is_lost (chip) ||
      chip_commands_flush (chip, handle) != TSS2_RC_SUCCESS)
    return FALSE;
  g_info (
      "flushed session 0x%08x, which was in the TPM before ggtpmd: there was no room for another",
      handle);
  return TRUE;
}

gboolean
session_contexts_close_gap (ChipCommands *chip, SessionTable *sessions)
{
  return regap (chip, sessions) == TSS2_RC_SUCCESS || session_contexts_drop_stray (chip, sessions);
}

TSS2_RC
session_contexts_save (ChipCommands *chip, SessionTable *sessions, Session *session)
{
  TSS2_RC rc = save_once (chip, sessions, session);

  if (rc == TPM2_RC_CONTEXT_GAP && regap (chip, sessions) == TSS2_RC_SUCCESS)
    rc = save_once (chip, sessions, session);
  while (rc == TPM2_RC_CONTEXT_GAP && session_contexts_drop_stray (chip, sessions))
    rc = save_once (chip, sessions, session);
  return rc;
}

gboolean
session_contexts_drop_abandoned (ChipCommands *chip, SessionTable *sessions)
{
  Session *session = session_table_first_dead (sessions);

  if (session == NULL)
    session = session_table_oldest_abandoned (sessions);
  if (session == NULL || chip_commands_is_lost (chip) ||
      chip_commands_flush (chip, session->handle) != TSS2_RC_SUCCESS)
    return FALSE;
  session_table_remove (sessions, session);
  return TRUE;
}
