/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "rm-check.h"

#include "broker/resource-manager-private.h"

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
rm_check (const ResourceManager *rm)
{
  char *wrong = NULL;

  for (guint i = 0; i < rm->spaces->len && wrong == NULL; i++)
    wrong = check_space (g_ptr_array_index (rm->spaces, i));
  if (wrong == NULL)
    wrong = check_loaded (rm);
  return wrong != NULL ? wrong : check_sessions (rm);
}
