/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "resource-manager-private.h"

/* What each connection has: opened and closed, how much of it there may be, and how things come into it and go. */

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

/* Quotas */

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
