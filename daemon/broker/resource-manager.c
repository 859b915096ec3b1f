/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "resource-manager.h"

#include "privilege.h"
#include "resource-manager-private.h"

#include <string.h>

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

ResourceManager *
resource_manager_new (const ResourceManagerLimits *limits, const ChipBelow *chip)
{
  ResourceManager *rm = g_new0 (ResourceManager, 1);

  rm->limits = *limits;
  rm->commands = command_table_new ();
  rm->chip = chip_commands_new (chip);
  rm->objects = object_table_new ();
  rm->sessions = session_table_new ();
  rm->slots = slots_new (rm->chip, rm->objects, rm->sessions);
  slots_set_limits (rm->slots, limits->chip_objects, limits->chip_sessions, limits->reserve_slots);
  rm->spaces = g_ptr_array_new ();
  return rm;
}

void
resource_manager_free (ResourceManager *rm)
{
  g_assert (rm->spaces->len == 0);
  g_ptr_array_unref (rm->spaces);
  slots_free (rm->slots);
  session_table_free (rm->sessions);
  object_table_free (rm->objects);
  chip_commands_free (rm->chip);
  command_table_free (rm->commands);
  g_free (rm);
}

void
resource_manager_set_alongside (ResourceManager *rm, guint chip_objects, guint chip_sessions)
{
  rm->limits.alongside = TRUE;
  slots_set_limits (rm->slots, chip_objects, chip_sessions, rm->limits.reserve_slots);
}

gboolean
resource_manager_take_was_reset (ResourceManager *rm)
{
  gboolean was_reset = rm->was_reset;

  rm->was_reset = FALSE;
  return was_reset;
}

guint
resource_manager_take_flushed (ResourceManager *rm)
{
  guint n_flushed = rm->n_flushed;

  rm->n_flushed = 0;
  return n_flushed;
}

/* Spaces */

Space *
resource_manager_open_space (ResourceManager *rm,
                             uid_t uid,
                             gboolean privileged,
                             gboolean unlimited)
{
  Space *space = g_new0 (Space, 1);

  space->objects = handle_map_new ();
  space->uid = uid;
  space->privileged = privileged;
  space->unlimited = unlimited;
  g_ptr_array_add (rm->spaces, space);
  return space;
}

static void
prune_abandoned (ResourceManager *rm)
{
  while (session_table_n_abandoned (rm->sessions) > rm->limits.max_abandoned_sessions)
    session_table_kill (rm->sessions, session_table_oldest_abandoned (rm->sessions));
}

void
resource_manager_close_space (ResourceManager *rm, Space *space)
{
  g_autoptr (GPtrArray) sessions = session_table_list (rm->sessions);

  for (guint i = 0; i < handle_map_size (space->objects); i++)
    {
      gpointer object;

      handle_map_nth (space->objects, i, &object);
      object_table_orphan (object);
    }
  for (guint i = 0; i < sessions->len; i++)
    {
      Session *session = g_ptr_array_index (sessions, i);

      if (session->owner != space)
        continue;
      if (session->client_saved)
        session_table_abandon (rm->sessions, session);
      else
        session_table_kill (rm->sessions, session);
    }
  prune_abandoned (rm);
  handle_map_free (space->objects);
  g_ptr_array_remove_fast (rm->spaces, space);
  g_free (space);
}

/* Root's connections have a quota each, and none together. */
static gboolean
has_user_quota (const Space *space, guint max)
{
  return max != 0 && space->uid != 0;
}

static guint
count_user_objects (const ResourceManager *rm, uid_t uid)
{
  guint n = 0;

  for (guint i = 0; i < rm->spaces->len; i++)
    {
      const Space *space = g_ptr_array_index (rm->spaces, i);

      if (space->uid == uid && !space->unlimited)
        n += handle_map_size (space->objects);
    }
  return n;
}

static guint
count_user_sessions (const ResourceManager *rm, uid_t uid)
{
  g_autoptr (GPtrArray) sessions = session_table_list (rm->sessions);
  guint n = 0;

  for (guint i = 0; i < sessions->len; i++)
    {
      const Space *owner = ((const Session *)g_ptr_array_index (sessions, i))->owner;

      n += owner != NULL && owner->uid == uid && !owner->unlimited;
    }
  return n;
}

gboolean
resource_manager_object_quota (const ResourceManager *rm, const Space *space)
{
  guint per_user = rm->limits.max_objects_per_uid;

  if (space->unlimited)
    return TRUE;
  return handle_map_size (space->objects) < rm->limits.max_objects &&
         (!has_user_quota (space, per_user) || count_user_objects (rm, space->uid) < per_user);
}

gboolean
resource_manager_session_quota (const ResourceManager *rm, const Space *space)
{
  guint per_user = rm->limits.max_sessions_per_uid;

  if (space->unlimited)
    return TRUE;
  return session_table_count_owned (rm->sessions, space) < rm->limits.max_sessions &&
         (!has_user_quota (space, per_user) || count_user_sessions (rm, space->uid) < per_user);
}

void
resource_manager_drop_object (ResourceManager *rm, Object *object)
{
  Space *space = object->owner;

  if (space != NULL)
    handle_map_remove (space->objects, object->virtual_handle);
  object_table_remove (rm->objects, object);
}

Session *
resource_manager_find_session (ResourceManager *rm, Space *space, guint32 handle)
{
  Session *session = session_table_lookup (rm->sessions, handle);

  return session != NULL && session->owner == space && !session->client_saved ? session : NULL;
}

/* The chip has given @handle out, so what we thought was there is not. */
static void
drop_stale (ResourceManager *rm, guint32 handle)
{
  Object *object = object_table_lookup (rm->objects, handle);

  if (object != NULL)
    resource_manager_drop_object (rm, object);
}

guint32
resource_manager_adopt (ResourceManager *rm,
                        Space *space,
                        guint32 handle,
                        gboolean sequence,
                        Object **out_object)
{
  if (handle_type (handle) == TPM2_HT_TRANSIENT)
    {
      Object *object;

      drop_stale (rm, handle);
      object = slots_add_object (rm->slots, space, handle, sequence);
      object->virtual_handle = handle_map_insert (space->objects, object);
      if (out_object != NULL)
        *out_object = object;
      return object->virtual_handle;
    }
  if (handle_is_session (handle))
    session_table_add (rm->sessions, handle, space);
  return handle;
}

/* Handles of a command */

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

/* Whether a failed TPM2_ContextLoad says that the context is good no more: format-one codes do, warnings do not. */
static gboolean
is_dead (TSS2_RC rc)
{
  return (rc & ~(TSS2_RC)0xfff) == 0 && (rc & TPM2_RC_FMT1) != 0;
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

          if (!is_dead (rc))
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

static TSS2_RC
process_startup (ResourceManager *rm,
                 Space *space,
                 guint8 locality,
                 Command *command,
                 guint8 *response,
                 gsize *out_size)
{
  TSS2_RC rc;

  if (!space->privileged)
    return TPM2_RC_INITIALIZE;
  rc = slots_forward (rm->slots, command, locality, FALSE, FALSE, response, out_size);
  if (rc == TSS2_RC_SUCCESS && command_response_get_rc (response) == TSS2_RC_SUCCESS)
    (void)!resource_manager_resync (rm, TRUE);
  return rc;
}

static TSS2_RC
process (ResourceManager *rm,
         Space *space,
         guint8 locality,
         guint8 *data,
         gsize size,
         guint8 *response,
         gsize *out_size)
{
  Command command;
  guint32 attributes = 0;
  gboolean known = command_table_lookup (rm->commands, command_peek_code (data), &attributes);
  TSS2_RC rc = command_parse (&command, data, size, attributes);

  if (command.code == TPM2_CC_FlushContext && size < COMMAND_HEADER_SIZE + 4)
    return RESMGR_RC (TPM2_RC_INSUFFICIENT);
  /* Without the table authorisations are not found, and need not be. */
  if (command_table_size (rm->commands) == 0)
    return resource_manager_process_in_failure_mode (rm, rc == TSS2_RC_SUCCESS ? &command : NULL,
                                                     response, out_size);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  if (!known)
    return TPM2_RC_COMMAND_CODE;
  if (!space->privileged && privilege_is_needed (command.code, rm->limits.open_commands))
    return RESMGR_RC (TSS2_BASE_RC_NOT_PERMITTED);
  switch (command.code)
    {
    case TPM2_CC_FlushContext:
      return resource_manager_flush_context (rm, space, &command, response, out_size);
    case TPM2_CC_ContextSave:
      return resource_manager_save_context (rm, space, &command, response, out_size);
    case TPM2_CC_ContextLoad:
      return resource_manager_load_context (rm, space, &command, response, out_size);
    case TPM2_CC_GetCapability:
      return resource_manager_virtual_capability (rm, space, &command, response, out_size);
    case TPM2_CC_Startup:
      return process_startup (rm, space, locality, &command, response, out_size);
    default:
      return resource_manager_process_any (rm, space, locality, &command, response, out_size);
    }
}

/* The chip has been reset without our knowing, and waits for its Startup. */
static void
restart (ResourceManager *rm)
{
  gboolean was_reset = FALSE;

  if (rm->limits.alongside || resource_manager_start (rm, &was_reset) != TSS2_RC_SUCCESS)
    return;
  rm->was_reset |= was_reset;
}

gsize
resource_manager_process (ResourceManager *rm,
                          Space *space,
                          guint8 locality,
                          guint8 *data,
                          gsize size,
                          guint8 *response)
{
  gsize response_size = 0;
  guint32 code = command_peek_code (data);
  TSS2_RC rc;

  slots_begin (rm->slots);
  rc = process (rm, space, locality, data, size, response, &response_size);
  if (rc != TSS2_RC_SUCCESS)
    return command_response_put_error (response, rc);
  if (command_response_get_rc (response) == TPM2_RC_INITIALIZE && code != TPM2_CC_Startup)
    restart (rm);
  return response_size;
}

/* Clearing up */

gboolean
resource_manager_sweep (ResourceManager *rm)
{
  return slots_sweep_one (rm->slots);
}

gboolean
resource_manager_has_loaded (const ResourceManager *rm)
{
  return object_table_get_loaded (rm->objects)->len > 0 ||
         session_table_n_loaded (rm->sessions) > 0;
}

gboolean
resource_manager_idle_step (ResourceManager *rm)
{
  slots_begin (rm->slots);
  if (slots_evict_one (rm->slots))
    return TRUE;
  slots_relax (rm->slots);
  return FALSE;
}

static char *
check_space (const Space *space)
{
  for (guint i = 0; i < handle_map_size (space->objects); i++)
    {
      gpointer entry;
      guint32 handle = handle_map_nth (space->objects, i, &entry);
      const Object *object = entry;

      if (object->owner != space || object->virtual_handle != handle)
        return g_strdup_printf ("0x%08x is not its connection's own", handle);
      if (object->handle == 0 && object->context == NULL)
        return g_strdup_printf ("0x%08x is neither loaded nor saved", handle);
    }
  return NULL;
}

static char *
check_loaded (const ResourceManager *rm)
{
  const GPtrArray *loaded = object_table_get_loaded (rm->objects);

  for (guint i = 0; i < loaded->len; i++)
    {
      const Object *object = g_ptr_array_index (loaded, i);
      const Space *space = object->owner;

      if (handle_type (object->handle) != TPM2_HT_TRANSIENT)
        return g_strdup_printf ("0x%08x is no transient handle", object->handle);
      for (guint j = 0; j < i; j++)
        if (((const Object *)g_ptr_array_index (loaded, j))->handle == object->handle)
          return g_strdup_printf ("0x%08x is there twice", object->handle);
      if (space != NULL && handle_map_lookup (space->objects, object->virtual_handle) != object)
        return g_strdup_printf ("0x%08x is in no connection's map", object->handle);
    }
  return NULL;
}

static char *
check_sessions (const ResourceManager *rm)
{
  g_autoptr (GPtrArray) sessions = session_table_list (rm->sessions);
  guint n_loaded = 0, n_abandoned = 0;

  for (guint i = 0; i < sessions->len; i++)
    {
      const Session *session = g_ptr_array_index (sessions, i);

      n_loaded += session->loaded != FALSE;
      n_abandoned += session->owner == NULL && !session->dead;
      if (session->loaded == (session->context != NULL))
        return g_strdup_printf ("0x%08x: loaded or saved, not both", session->handle);
      if (session->client_saved && session->client_context == NULL)
        return g_strdup_printf ("0x%08x: saved by its client without a blob", session->handle);
      if (session->owner != NULL && !g_ptr_array_find (rm->spaces, session->owner, NULL))
        return g_strdup_printf ("0x%08x belongs to a closed connection", session->handle);
    }
  if (n_loaded != session_table_n_loaded (rm->sessions))
    return g_strdup ("the number of loaded sessions is wrong");
  if (n_abandoned != session_table_n_abandoned (rm->sessions))
    return g_strdup ("the number of abandoned sessions is wrong");
  return NULL;
}

char *
resource_manager_check (const ResourceManager *rm)
{
  for (guint i = 0; i < rm->spaces->len; i++)
    {
      char *wrong = check_space (g_ptr_array_index (rm->spaces, i));

      if (wrong != NULL)
        return wrong;
    }
  {
    char *wrong = check_loaded (rm);

    return wrong != NULL ? wrong : check_sessions (rm);
  }
}
