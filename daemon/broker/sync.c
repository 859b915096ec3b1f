/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "resource-manager-private.h"

/* What the tables say and what is in the chip, brought together: at the start and whenever it may have changed. */

#define CONTEXT_HANDLE    8           /* offset of savedHandle in TPMS_CONTEXT, */
#define CONTEXT_HIERARCHY 12          /* and of hierarchy */
#define SAVED_ST_CLEAR    0x80000002U /* Part 2, 14.4: savedHandle of an object with stClear */

static gboolean
contains (const GArray *values, guint32 value)
{
  for (guint i = 0; i < values->len; i++)
    if (g_array_index (values, guint32, i) == value)
      return TRUE;
  return FALSE;
}

/* By number: the TPM lists saved sessions without telling HMAC from policy. */
static gboolean
contains_session (const GArray *values, guint32 handle)
{
  for (guint i = 0; i < values->len; i++)
    if (((g_array_index (values, guint32, i) ^ handle) & 0xffffff) == 0)
      return TRUE;
  return FALSE;
}

/* Another resource manager's are not to be told from what was left behind. */
static gboolean
keeps_strangers (const ResourceManager *rm)
{
  return rm->limits.alongside || rm->limits.keeps_leaked;
}

static void
flush_stranger (ResourceManager *rm, guint32 handle)
{
  if (chip_commands_flush (rm->chip, handle) == TSS2_RC_SUCCESS)
    rm->n_flushed++;
}

static void
reconcile_objects (ResourceManager *rm, const GArray *present)
{
  const GPtrArray *loaded = object_table_get_loaded (rm->objects);

  for (guint i = loaded->len; i > 0; i--)
    {
      Object *object = g_ptr_array_index (loaded, i - 1);

      if (contains (present, object->handle))
        continue;
      if (object->context != NULL && object->owner != NULL)
        object_table_set_unloaded (rm->objects, object);
      else
        resource_manager_drop_object (rm, object);
    }
  if (keeps_strangers (rm))
    return;
  for (guint i = 0; i < present->len; i++)
    {
      guint32 handle = g_array_index (present, guint32, i);

      if (object_table_lookup (rm->objects, handle) == NULL)
        flush_stranger (rm, handle);
    }
}

static void
reconcile_sessions (ResourceManager *rm, const GArray *loaded, const GArray *saved)
{
  g_autoptr (GPtrArray) sessions = session_table_list (rm->sessions);

  if (!keeps_strangers (rm))
    for (guint i = 0; i < loaded->len; i++)
      {
        guint32 handle = g_array_index (loaded, guint32, i);

        if (session_table_lookup (rm->sessions, handle) == NULL)
          flush_stranger (rm, handle);
      }
  for (guint i = 0; i < sessions->len; i++)
    {
      Session *session = g_ptr_array_index (sessions, i);
      gboolean is_loaded = contains_session (loaded, session->handle);

      if (is_loaded)
        session_table_set_loaded (rm->sessions, session);
      else if (session->loaded || !contains_session (saved, session->handle))
        {
          /* Saved into an answer that has not reached us, if it is there at all. */
          chip_commands_flush (rm->chip, session->handle);
          session_table_remove (rm->sessions, session);
        }
    }
}

TSS2_RC
resource_manager_reconcile (ResourceManager *rm)
{
  g_autoptr (GArray) objects = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GArray) loaded = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GArray) saved = g_array_new (FALSE, FALSE, sizeof (guint32));
  TSS2_RC rc;

  rc = chip_commands_read_list (rm->chip, TPM2_CAP_HANDLES, COMMAND_TRANSIENT_FIRST, 0xffffff,
                                objects);
  if (rc == TSS2_RC_SUCCESS)
    rc = chip_commands_read_list (rm->chip, TPM2_CAP_HANDLES, TPM2_LOADED_SESSION_FIRST, 0xffffff,
                                  loaded);
  if (rc == TSS2_RC_SUCCESS)
    rc = chip_commands_read_list (rm->chip, TPM2_CAP_HANDLES, TPM2_ACTIVE_SESSION_FIRST, 0xffffff,
                                  saved);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  reconcile_objects (rm, objects);
  reconcile_sessions (rm, loaded, saved);
  if (!rm->has_seen_sessions && !keeps_strangers (rm))
    session_table_set_strays (rm->sessions, saved);
  rm->has_seen_sessions = TRUE;
  return TSS2_RC_SUCCESS;
}

typedef gboolean (*IsDead) (const guint8 *context, gconstpointer data);

/* Drops the objects whose saved context can be loaded no more. */
static void
drop_dead (ResourceManager *rm, IsDead is_dead, gconstpointer data)
{
  for (guint i = 0; i < rm->spaces->len; i++)
    {
      Space *space = g_ptr_array_index (rm->spaces, i);

      for (guint j = handle_map_size (space->objects); j > 0; j--)
        {
          gpointer entry;
          Object *object;

          handle_map_nth (space->objects, j - 1, &entry);
          object = entry;
          if (object->context != NULL &&
              g_bytes_get_size (object->context) >= CONTEXT_HIERARCHY + 4 &&
              is_dead (g_bytes_get_data (object->context, NULL), data))
            resource_manager_drop_object (rm, object);
        }
    }
}

/* Part 3, 24.2, 24.4, 24.5, 24.6: the objects of a hierarchy that is cleared, seeded anew or switched off. */
static gboolean
ends_hierarchy (const Command *command, guint32 hierarchy)
{
  const guint8 *params = command->data + command->params;

  switch (command->code)
    {
    case TPM2_CC_Clear:
      return hierarchy == TPM2_RH_OWNER || hierarchy == TPM2_RH_ENDORSEMENT;
    case TPM2_CC_ChangeEPS:
      return hierarchy == TPM2_RH_ENDORSEMENT;
    case TPM2_CC_ChangePPS:
      return hierarchy == TPM2_RH_PLATFORM;
    case TPM2_CC_HierarchyControl:
      return command->size >= command->params + 5 && get_be32 (params) == hierarchy &&
             params[4] == TPM2_NO;
    default:
      return FALSE;
    }
}

static gboolean
is_of_ended_hierarchy (const guint8 *context, gconstpointer command)
{
  return ends_hierarchy (command, get_be32 (context + CONTEXT_HIERARCHY));
}

void
resource_manager_follow_extensive (ResourceManager *rm, const Command *command)
{
  drop_dead (rm, is_of_ended_hierarchy, command);
  /* Whatever this cannot find out is found out at the next use. */
  resource_manager_reconcile (rm);
}

static gboolean
is_st_clear (const guint8 *context, gconstpointer data)
{
  return get_be32 (context + CONTEXT_HANDLE) == SAVED_ST_CLEAR;
}

void
resource_manager_forget_all (ResourceManager *rm)
{
  object_table_clear (rm->objects);
  session_table_clear (rm->sessions);
  for (guint i = 0; i < rm->spaces->len; i++)
    {
      Space *space = g_ptr_array_index (rm->spaces, i);

      while (handle_map_size (space->objects) > 0)
        {
          gpointer object;

          handle_map_nth (space->objects, 0, &object);
          resource_manager_drop_object (rm, object);
        }
    }
}

static TSS2_RC
read_commands (ResourceManager *rm)
{
  g_autoptr (GArray) attributes = g_array_new (FALSE, FALSE, sizeof (guint32));
  TSS2_RC rc =
      chip_commands_read_list (rm->chip, TPM2_CAP_COMMANDS, TPM2_CC_FIRST, 0x2000ffff, attributes);
  guint32 unused;

  if (rc != TSS2_RC_SUCCESS)
    return rc;
  command_table_clear (rm->commands);
  for (guint i = 0; i < attributes->len; i++)
    command_table_add (rm->commands, g_array_index (attributes, guint32, i));
  /* Every TPM 2.0 has the command that was just answered: what leaves it out is no list of commands. */
  if (!command_table_lookup (rm->commands, TPM2_CC_GetCapability, &unused))
    return TSS2_TCTI_RC_MALFORMED_RESPONSE;
  return TSS2_RC_SUCCESS;
}

static void
read_minimum (ResourceManager *rm)
{
  guint32 minimum;

  if (chip_commands_read_property (rm->chip, TPM2_PT_HR_TRANSIENT_MIN, &minimum))
    slots_set_minimum (rm->slots, minimum);
}

/* Compares the counters; a reset empties the tables. */
static TSS2_RC
notice_reset (ResourceManager *rm, gboolean just_started, gboolean *out_was_reset)
{
  guint32 reset = 0, restart = 0;
  TSS2_RC rc = chip_commands_read_counters (rm->chip, &reset, &restart);

  if (rc != TSS2_RC_SUCCESS)
    return rc;
  if (!rm->started || reset != rm->reset_count)
    resource_manager_forget_all (rm);
  else if (just_started)
    drop_dead (rm, is_st_clear, NULL);
  *out_was_reset =
      just_started || !rm->started || reset != rm->reset_count || restart != rm->restart_count;
  rm->started = TRUE;
  rm->reset_count = reset;
  rm->restart_count = restart;
  return TSS2_RC_SUCCESS;
}

TSS2_RC
resource_manager_resync (ResourceManager *rm, gboolean just_started)
{
  gboolean was_reset = FALSE;
  TSS2_RC rc = notice_reset (rm, just_started, &was_reset);

  rm->was_reset |= was_reset;
  return rc != TSS2_RC_SUCCESS ? rc : resource_manager_reconcile (rm);
}

TSS2_RC
resource_manager_start (ResourceManager *rm, gboolean *out_was_reset)
{
  gboolean just_started = FALSE;
  TSS2_RC rc = TSS2_RC_SUCCESS;

  chip_commands_reset_lost (rm->chip);
  resource_manager_forget_parms (rm);
  *out_was_reset = FALSE;
  if (!rm->limits.alongside)
    {
      rc = chip_commands_startup (rm->chip);
      just_started = rc == TSS2_RC_SUCCESS;
      if (rc == TPM2_RC_INITIALIZE)
        rc = TSS2_RC_SUCCESS;
    }
  if (rc == TSS2_RC_SUCCESS)
    rc = notice_reset (rm, just_started, out_was_reset);
  if (rc == TSS2_RC_SUCCESS)
    rc = read_commands (rm);
  if (rc == TPM2_RC_FAILURE)
    {
      resource_manager_enter_failure_mode (rm);
      *out_was_reset = TRUE;
      return TSS2_RC_SUCCESS;
    }
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  rm->retry_delay = 0;
  read_minimum (rm);
  return resource_manager_reconcile (rm);
}
