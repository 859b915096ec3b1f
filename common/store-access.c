/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "store-access.h"

#include <sys/stat.h>

StoreAccess
store_access_judge_directory (mode_t mode)
{
  if ((mode & S_IRWXO) != 0)
    return STORE_ACCESS_DIRECTORY_OPEN;
  /* without the sticky bit who may write the directory may put another file in the database's place */
  if ((mode & S_IWGRP) != 0 && (mode & S_ISVTX) == 0)
    return STORE_ACCESS_DIRECTORY_REPLACEABLE;
  return STORE_ACCESS_OK;
}

StoreAccess
store_access_judge_database (mode_t mode)
{
  if ((mode & S_IRWXO) != 0)
    return STORE_ACCESS_DATABASE_OPEN;
  return (mode & S_IWGRP) != 0 ? STORE_ACCESS_DATABASE_WRITABLE : STORE_ACCESS_OK;
}

StoreAccess
store_access_judge_pin (mode_t mode, gboolean is_so)
{
  mode_t others = is_so ? S_IRWXG | S_IRWXO : S_IRWXO;

  return S_ISREG (mode) && (mode & others) == 0 ? STORE_ACCESS_OK : STORE_ACCESS_PIN_OPEN;
}

static StoreAccess
read_pins (const char *state_dir)
{
  g_autofree char *path = g_build_filename (state_dir, STORE_PINS_NAME, NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  StoreAccess access = STORE_ACCESS_OK;
  const char *name;

  while (dir != NULL && access == STORE_ACCESS_OK && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);
      struct stat status;

      if (lstat (file, &status) == 0)
        access =
            store_access_judge_pin (status.st_mode, g_str_has_suffix (name, STORE_SO_PIN_SUFFIX));
    }
  return access;
}

StoreAccess
store_access_read (const char *state_dir)
{
  g_autofree char *directory = g_build_filename (state_dir, STORE_DIRECTORY_NAME, NULL);
  g_autofree char *database = g_build_filename (directory, STORE_DATABASE_NAME, NULL);
  struct stat directory_status;
  struct stat database_status;
  StoreAccess access;

  if (lstat (database, &database_status) != 0 || lstat (directory, &directory_status) != 0)
    return STORE_ACCESS_NONE;
  access = store_access_judge_directory (directory_status.st_mode);
  if (access == STORE_ACCESS_OK)
    access = store_access_judge_database (database_status.st_mode);
  return access == STORE_ACCESS_OK ? read_pins (state_dir) : access;
}

const char *
store_access_to_string (StoreAccess access)
{
  static const char *const texts[] = {
    [STORE_ACCESS_NONE] = "there is no key store",
    [STORE_ACCESS_OK] = "nobody has rights on the key store who should not",
    [STORE_ACCESS_DIRECTORY_OPEN] = "the key store is open to every user",
    [STORE_ACCESS_DIRECTORY_REPLACEABLE] = "members of the group can replace the key store",
    [STORE_ACCESS_DATABASE_OPEN] = "the key store's database is open to every user",
    [STORE_ACCESS_DATABASE_WRITABLE] = "the group may write the key store's database",
    [STORE_ACCESS_PIN_OPEN] = "a file with a PIN is open to who should not read it",
  };

  return texts[access];
}
