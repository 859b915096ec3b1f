/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "unsynced.h"

static int
set_pragmas (sqlite3 *database)
{
  return sqlite3_exec (database, "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY", NULL,
                       NULL, NULL);
}

static int
on_open (sqlite3 *database, char **out_message, const struct sqlite3_api_routines *routines)
{
  return set_pragmas (database);
}

gboolean
unsynced_set (sqlite3 *database)
{
  return set_pragmas (database) == SQLITE_OK;
}

gboolean
unsynced_set_all (void)
{
  /* The type is the one that sqlite3_auto_extension() is documented to want; it calls the function as what it is. */
  return sqlite3_auto_extension ((void (*) (void))on_open) == SQLITE_OK;
}
