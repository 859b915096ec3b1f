/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "resource-manager-private.h"

/*
 * A command that is nothing special: what it names is found among the connection's own, loaded, and named to the chip
 * as the chip knows it; the handle in its answer becomes one of the connection's.
 */

#define MAX_USES (COMMAND_MAX_HANDLES + COMMAND_MAX_AUTHS)

/* One place of a command that names something of ours. */
typedef struct
{
  Object *object; /* or */
  Session *session;
  gint handle_index; /* in the handle area; -1: in the authorisation area */
  TSS2_RC missing;   /* the answer if it is not there */
  gboolean ends;     /* a session that the command's success ends */
} Use;

typedef struct
{
  Use uses[MAX_USES];
  guint n;
} UseList;

static Use *
add_use (UseList *list, gint handle_index, TSS2_RC missing)
{
  Use *use = &list->uses[list->n++];

  *use = (Use){ .handle_index = handle_index, .missing = missing };
  return use;
}

static TSS2_RC
find_handle (ResourceManager *rm, Space *space, const Command *command, guint i, UseList *list)
{
  guint32 handle = command_get_handle (command, i);
  TSS2_RC missing = TPM2_RC_REFERENCE_H0 + i;
  Use *use;

  if (handle_type (handle) == TPM2_HT_TRANSIENT)
    {
      Object *object = handle_map_lookup (space->objects, handle);

      if (object == NULL)
        return missing;
      use = add_use (list, (gint)i, missing);
      use->object = object;
      slots_pin (rm->slots, &object->pin);
    }
  else if (handle_is_session (handle))
    {
      Session *session = resource_manager_find_session (rm, space, handle);

      if (session == NULL)
        return missing;
      use = add_use (list, (gint)i, missing);
      use->session = session;
      slots_pin (rm->slots, &session->pin);
    }
  return TSS2_RC_SUCCESS;
}

static TSS2_RC
find_auth (ResourceManager *rm, Space *space, const Command *command, guint i, UseList *list)
{
  const CommandAuth *auth = &command->auths[i];
  TSS2_RC missing = TPM2_RC_REFERENCE_S0 + i;
  Session *session;
  Use *use;

  if (!handle_is_session (auth->handle))
    return TSS2_RC_SUCCESS;
  session = resource_manager_find_session (rm, space, auth->handle);
  if (session == NULL)
    return missing;
  use = add_use (list, -1, missing);
  use->session = session;
  use->ends = (auth->attributes & TPMA_SESSION_CONTINUESESSION) == 0;
  slots_pin (rm->slots, &session->pin);
  return TSS2_RC_SUCCESS;
}

static TSS2_RC
find_uses (ResourceManager *rm, Space *space, const Command *command, UseList *list)
{
  TSS2_RC rc = TSS2_RC_SUCCESS;

  for (guint i = 0; i < command->n_handles && rc == TSS2_RC_SUCCESS; i++)
    rc = find_handle (rm, space, command, i, list);
  for (guint i = 0; i < command->n_auths && rc == TSS2_RC_SUCCESS; i++)
    rc = find_auth (rm, space, command, i, list);
  return rc;
}

/* Removes @use's thing from the tables, and from the rest of the list. */
static void
drop_use (ResourceManager *rm, UseList *list, Use *use)
{
  Object *object = use->object;
  Session *session = use->session;

  for (guint i = 0; i < list->n; i++)
    {
      if (list->uses[i].object == object)
        list->uses[i].object = NULL;
      if (list->uses[i].session == session)
        list->uses[i].session = NULL;
    }
  if (object != NULL)
    resource_manager_drop_object (rm, object);
  if (session != NULL)
    session_table_remove (rm->sessions, session);
}

static TSS2_RC
load_uses (ResourceManager *rm, Command *command, UseList *list)
{
  for (guint i = 0; i < list->n; i++)
    {
      Use *use = &list->uses[i];
      TSS2_RC rc = use->object != NULL ? slots_load_object (rm->slots, use->object)
                                       : slots_load_session (rm->slots, use->session);

      if (rc != TSS2_RC_SUCCESS)
        {
          TSS2_RC missing = use->missing;

          /* Such a code of TPM2_ContextLoad says that the context is good no more. */
          if (!command_rc_is_format_one (rc))
            return rc;
          /* The chip may still count the session among its active ones. */
          if (use->session != NULL)
            session_table_kill (rm->sessions, use->session);
          else
            drop_use (rm, list, use);
          /* A reset that nobody has told us of is what kills contexts: then the others are dead, too. */
          (void)!resource_manager_resync (rm, FALSE);
          return missing;
        }
      if (use->object != NULL)
        command_set_handle (command, (guint)use->handle_index, use->object->handle);
    }
  return TSS2_RC_SUCCESS;
}

/* After a successful command. */
static void
drop_ended (ResourceManager *rm, const Command *command, UseList *list)
{
  for (guint i = 0; i < list->n; i++)
    {
      Use *use = &list->uses[i];
      gboolean flushed = use->object != NULL && (command->attributes & TPMA_CC_FLUSHED) != 0;
      gboolean ended = use->session != NULL && use->ends;

      if (flushed || ended)
        drop_use (rm, list, use);
    }
}

static gboolean
makes_sequence (guint32 code)
{
  return code == TPM2_CC_HMAC_Start || code == TPM2_CC_HashSequenceStart;
}

static void
take_new_handle (ResourceManager *rm,
                 Space *space,
                 const Command *command,
                 guint8 *response,
                 gsize size)
{
  guint32 handle;

  if ((command->attributes & TPMA_CC_RHANDLE) == 0 || size < COMMAND_HEADER_SIZE + 4)
    return;
  handle = get_be32 (response + COMMAND_HEADER_SIZE);
  handle = resource_manager_adopt (rm, space, handle, makes_sequence (command->code), NULL);
  put_be32 (response + COMMAND_HEADER_SIZE, handle);
}

/* The chip says that something is not in it that we have put there. */
static gboolean
is_reference_error (TSS2_RC rc)
{
  return rc >= TPM2_RC_REFERENCE_H0 && rc <= TPM2_RC_REFERENCE_S6;
}

static TSS2_RC
check_quota (const ResourceManager *rm, const Space *space, const Command *command)
{
  if ((command->attributes & TPMA_CC_RHANDLE) == 0)
    return TSS2_RC_SUCCESS;
  if (command->code == TPM2_CC_StartAuthSession)
    return resource_manager_session_quota (rm, space) ? TSS2_RC_SUCCESS
                                                      : RESMGR_RC (TPM2_RC_SESSION_MEMORY);
  return resource_manager_object_quota (rm, space) ? TSS2_RC_SUCCESS
                                                   : RESMGR_RC (TPM2_RC_OBJECT_MEMORY);
}

/* Finds, loads and sends; on success the chip's answer is in @response. */
static TSS2_RC
forward (ResourceManager *rm,
         Space *space,
         guint8 locality,
         Command *command,
         UseList *list,
         guint8 *response,
         gsize *out_size)
{
  gboolean adds = (command->attributes & TPMA_CC_RHANDLE) != 0;
  gboolean adds_session = adds && command->code == TPM2_CC_StartAuthSession;
  TSS2_RC rc = find_uses (rm, space, command, list);

  if (rc == TSS2_RC_SUCCESS)
    rc = load_uses (rm, command, list);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  return slots_forward (rm->slots, command, locality, adds && !adds_session, adds_session, response,
                        out_size);
}

TSS2_RC
resource_manager_process_any (ResourceManager *rm,
                              Space *space,
                              guint8 locality,
                              Command *command,
                              guint8 *response,
                              gsize *out_size)
{
  guint32 handles[COMMAND_MAX_HANDLES];
  UseList list = { .n = 0 };
  TSS2_RC rc = check_quota (rm, space, command);

  if (rc != TSS2_RC_SUCCESS)
    return rc;
  for (guint i = 0; i < command->n_handles; i++)
    handles[i] = command_get_handle (command, i);
  rc = forward (rm, space, locality, command, &list, response, out_size);
  if (rc == TSS2_RC_SUCCESS && list.n > 0 &&
      is_reference_error (command_response_get_rc (response)))
    {
      /* Our tables are wrong. Once more, with what can be loaded again; the rest is found missing. */
      rc = resource_manager_resync (rm, FALSE);
      if (rc != TSS2_RC_SUCCESS)
        return rc;
      for (guint i = 0; i < command->n_handles; i++)
        command_set_handle (command, i, handles[i]);
      list.n = 0;
      rc = forward (rm, space, locality, command, &list, response, out_size);
    }
  if (rc != TSS2_RC_SUCCESS || command_response_get_rc (response) != TSS2_RC_SUCCESS)
    return rc;
  drop_ended (rm, command, &list);
  take_new_handle (rm, space, command, response, *out_size);
  if ((command->attributes & TPMA_CC_EXTENSIVE) != 0)
    resource_manager_follow_extensive (rm, command);
  return TSS2_RC_SUCCESS;
}
