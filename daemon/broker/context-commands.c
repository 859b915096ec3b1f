/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "resource-manager-private.h"
#include "session-contexts.h"

#include <string.h>

/*
 * TPM2_ContextSave, TPM2_ContextLoad and TPM2_FlushContext of clients. A session's blob is the broker's promise: it is
 * the same for the session's life, any connection may load it, and the chip never sees it come back.
 */

#define CONTEXT_SAVED_HANDLE 8           /* offset in TPMS_CONTEXT: after sequence */
#define CONTEXT_MIN_SIZE     18          /* sequence, savedHandle, hierarchy, size of contextBlob */
#define SAVED_SEQUENCE       0x80000001U /* Part 2, 14.4: savedHandle of a sequence object */

#define RC_HANDLE_P1 (TPM2_RC_HANDLE | TPM2_RC_P | TPM2_RC_1)

static void
put_bytes (guint8 *response, GBytes *bytes, gsize *out_size)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  memcpy (response + COMMAND_HEADER_SIZE, data, size);
  *out_size = command_put_header (response, COMMAND_HEADER_SIZE + size, TPM2_RC_SUCCESS);
}

static TSS2_RC
pass (ResourceManager *rm, Command *command, guint8 *response, gsize *out_size)
{
  return slots_forward (rm->slots, command, 0, FALSE, FALSE, response, out_size);
}

static TSS2_RC
flush_object (ResourceManager *rm, Space *space, guint32 handle)
{
  Object *object = handle_map_lookup (space->objects, handle);
  TSS2_RC rc = TSS2_RC_SUCCESS;

  if (object == NULL)
    return RESMGR_RC (RC_HANDLE_P1);
  if (object->handle != 0)
    rc = chip_commands_flush (rm->chip, object->handle);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  resource_manager_drop_object (rm, object);
  return TSS2_RC_SUCCESS;
}

static TSS2_RC
flush_session (ResourceManager *rm, Space *space, guint32 handle)
{
  Session *session = session_table_lookup (rm->sessions, handle);
  TSS2_RC rc;

  if (session == NULL || session->owner != space)
    return RESMGR_RC (RC_HANDLE_P1);
  rc = chip_commands_flush (rm->chip, handle);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  session_table_remove (rm->sessions, session);
  return TSS2_RC_SUCCESS;
}

TSS2_RC
resource_manager_flush_context (ResourceManager *rm,
                                Space *space,
                                Command *command,
                                guint8 *response,
                                gsize *out_size)
{
  guint32 handle;
  TSS2_RC rc;

  if (command->tag != TPM2_ST_NO_SESSIONS)
    return TPM2_RC_AUTH_CONTEXT;
  /* Part 3, 28.4: the handle is a parameter; some TPMs list it in the handle area. Same place either way. */
  if (command->size != COMMAND_HEADER_SIZE + 4)
    return TPM2_RC_SIZE;
  handle = get_be32 (command->data + COMMAND_HEADER_SIZE);
  if (handle_type (handle) == TPM2_HT_TRANSIENT)
    rc = flush_object (rm, space, handle);
  else if (handle_is_session (handle))
    rc = flush_session (rm, space, handle);
  else
    return pass (rm, command, response, out_size);
  if (rc == TSS2_RC_SUCCESS)
    *out_size = command_put_header (response, COMMAND_HEADER_SIZE, TPM2_RC_SUCCESS);
  return rc;
}

static TSS2_RC
save_object (ResourceManager *rm, Object *object, guint8 *response, gsize *out_size)
{
  TSS2_RC rc = slots_save_object (rm->slots, object);

  if (rc == TSS2_RC_SUCCESS)
    put_bytes (response, object->context, out_size);
  return rc;
}

static TSS2_RC
save_session (ResourceManager *rm, Session *session, guint8 *response, gsize *out_size)
{
  TSS2_RC rc = TSS2_RC_SUCCESS;

  if (session->client_context == NULL)
    {
      if (session->loaded)
        rc = session_contexts_save (rm->chip, rm->sessions, session);
      if (rc != TSS2_RC_SUCCESS)
        return rc;
      session->client_context = g_bytes_ref (session->context);
    }
  session->client_saved = TRUE;
  put_bytes (response, session->client_context, out_size);
  return rc;
}

TSS2_RC
resource_manager_save_context (ResourceManager *rm,
                               Space *space,
                               Command *command,
                               guint8 *response,
                               gsize *out_size)
{
  guint32 handle;

  if (command->tag != TPM2_ST_NO_SESSIONS)
    return TPM2_RC_AUTH_CONTEXT;
  if (command->size != COMMAND_HEADER_SIZE + 4)
    return command->size < COMMAND_HEADER_SIZE + 4 ? TPM2_RC_INSUFFICIENT : TPM2_RC_SIZE;
  handle = get_be32 (command->data + COMMAND_HEADER_SIZE);
  if (handle_type (handle) == TPM2_HT_TRANSIENT)
    {
      Object *object = handle_map_lookup (space->objects, handle);

      return object != NULL ? save_object (rm, object, response, out_size) : TPM2_RC_REFERENCE_H0;
    }
  if (handle_is_session (handle))
    {
      Session *session = resource_manager_find_session (rm, space, handle);

      return session != NULL ? save_session (rm, session, response, out_size)
                             : TPM2_RC_REFERENCE_H0;
    }
  return pass (rm, command, response, out_size);
}

static void
put_handle (guint8 *response, guint32 handle, gsize *out_size)
{
  put_be32 (response + COMMAND_HEADER_SIZE, handle);
  *out_size = command_put_header (response, COMMAND_HEADER_SIZE + 4, TPM2_RC_SUCCESS);
}

static TSS2_RC
load_session (ResourceManager *rm,
              Space *space,
              Command *command,
              guint32 handle,
              guint8 *response,
              gsize *out_size)
{
  const guint8 *blob = command->data + COMMAND_HEADER_SIZE;
  gsize blob_size = command->size - COMMAND_HEADER_SIZE;
  Session *session = session_table_lookup_context (rm->sessions, blob, blob_size);
  TSS2_RC rc;

  if ((session == NULL || session->owner != space) && !resource_manager_session_quota (rm, space))
    return RESMGR_RC (TPM2_RC_SESSION_MEMORY);
  if (session != NULL)
    {
      session_table_claim (rm->sessions, session, space);
      put_handle (response, session->handle, out_size);
      return TSS2_RC_SUCCESS;
    }
  /* One of ours, but not saved by its client now: the blob may be the chip's newest all the same. */
  if (session_table_lookup (rm->sessions, handle) != NULL)
    return RC_HANDLE_P1;
  rc = slots_forward (rm->slots, command, 0, FALSE, TRUE, response, out_size);
  if (rc == TSS2_RC_SUCCESS && command_response_get_rc (response) == TSS2_RC_SUCCESS &&
      *out_size >= COMMAND_HEADER_SIZE + 4)
    resource_manager_adopt (rm, space, get_be32 (response + COMMAND_HEADER_SIZE), FALSE, NULL);
  return rc;
}

static TSS2_RC
load_object (ResourceManager *rm,
             Space *space,
             Command *command,
             guint32 saved_handle,
             guint8 *response,
             gsize *out_size)
{
  gboolean sequence = saved_handle == SAVED_SEQUENCE;
  Object *object = NULL;
  guint32 handle;
  TSS2_RC rc;

  if (!resource_manager_object_quota (rm, space))
    return RESMGR_RC (TPM2_RC_OBJECT_MEMORY);
  rc = slots_forward (rm->slots, command, 0, TRUE, FALSE, response, out_size);
  if (rc != TSS2_RC_SUCCESS || command_response_get_rc (response) != TSS2_RC_SUCCESS ||
      *out_size < COMMAND_HEADER_SIZE + 4)
    return rc;
  handle = get_be32 (response + COMMAND_HEADER_SIZE);
  handle = resource_manager_adopt (rm, space, handle, sequence, &object);
  put_be32 (response + COMMAND_HEADER_SIZE, handle);
  if (object != NULL)
    object_table_set_context (object, command->data + COMMAND_HEADER_SIZE,
                              command->size - COMMAND_HEADER_SIZE);
  return rc;
}

TSS2_RC
resource_manager_load_context (ResourceManager *rm,
                               Space *space,
                               Command *command,
                               guint8 *response,
                               gsize *out_size)
{
  guint32 handle;

  if (command->tag != TPM2_ST_NO_SESSIONS)
    return TPM2_RC_AUTH_CONTEXT;
  if (command->size < COMMAND_HEADER_SIZE + CONTEXT_MIN_SIZE)
    return TPM2_RC_INSUFFICIENT | TPM2_RC_P | TPM2_RC_1;
  handle = get_be32 (command->data + COMMAND_HEADER_SIZE + CONTEXT_SAVED_HANDLE);
  return handle_is_session (handle) ? load_session (rm, space, command, handle, response, out_size)
                                    : load_object (rm, space, command, handle, response, out_size);
}
