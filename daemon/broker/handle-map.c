/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "handle-map.h"

typedef struct
{
  guint32 handle;
  gpointer object;
} Slot;

struct _HandleMap
{
  GArray *slots; /* sorted by handle */
  guint32 next;
};

HandleMap *
handle_map_new (void)
{
  HandleMap *map = g_new0 (HandleMap, 1);

  map->slots = g_array_new (FALSE, FALSE, sizeof (Slot));
  map->next = HANDLE_MAP_FIRST;
  return map;
}

void
handle_map_free (HandleMap *map)
{
  g_array_unref (map->slots);
  g_free (map);
}

/* Index of @handle, or of where it would be. */
static guint
find (const HandleMap *map, guint32 handle)
{
  guint low = 0, high = map->slots->len;

  while (low < high)
    {
      guint mid = (low + high) / 2;

      if (g_array_index (map->slots, Slot, mid).handle < handle)
        low = mid + 1;
      else
        high = mid;
    }
  return low;
}

static gboolean
is_at (const HandleMap *map, guint i, guint32 handle)
{
  return i < map->slots->len && g_array_index (map->slots, Slot, i).handle == handle;
}

guint32
handle_map_insert (HandleMap *map, gpointer object)
{
  Slot slot = { .object = object };
  guint i;

  /* After 2^24 handles the numbers come round; the few that are still in use are stepped over. */
  do
    {
      slot.handle = map->next;
      map->next = map->next == HANDLE_MAP_LAST ? HANDLE_MAP_FIRST : map->next + 1;
      i = find (map, slot.handle);
    }
  while (is_at (map, i, slot.handle));
  g_array_insert_val (map->slots, i, slot);
  return slot.handle;
}

gpointer
handle_map_lookup (const HandleMap *map, guint32 handle)
{
  guint i = find (map, handle);

  return is_at (map, i, handle) ? g_array_index (map->slots, Slot, i).object : NULL;
}

gboolean
handle_map_remove (HandleMap *map, guint32 handle)
{
  guint i = find (map, handle);

  if (!is_at (map, i, handle))
    return FALSE;
  g_array_remove_index (map->slots, i);
  return TRUE;
}

guint
handle_map_size (const HandleMap *map)
{
  return map->slots->len;
}

guint32
handle_map_nth (const HandleMap *map, guint i, gpointer *out_object)
{
  const Slot *slot = &g_array_index (map->slots, Slot, i);

  if (out_object != NULL)
    *out_object = slot->object;
  return slot->handle;
}
