/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "room.h"

void
room_note (Room *room, guint n_loaded)
{
  room->peak = MAX (room->peak, n_loaded);
}

void
room_learn (Room *room, guint n_loaded)
{
  if (n_loaded > 0)
    room->learned = n_loaded;
}

void
room_relax (Room *room)
{
  if (room->learned != 0)
    room->learned = MAX (room->learned, room->peak);
}

guint
room_get_limit (const Room *room, guint reserve)
{
  guint limit = room->fixed != 0 ? room->fixed : room->learned;

  if (reserve > 0 && limit == 0)
    limit = MAX (room->minimum, room->peak);
  if (limit == 0)
    return G_MAXUINT;
  return limit > reserve ? limit - reserve : 1;
}
