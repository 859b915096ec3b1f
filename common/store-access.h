/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

#include <sys/types.h>

G_BEGIN_DECLS

/* In the state directory: the token store, tpm2-pkcs11's database in it, and the files with PINs */
#define STORE_DIRECTORY_NAME "pkcs11"
#define STORE_DATABASE_NAME  "tpm2_pkcs11.sqlite3"
#define STORE_PINS_NAME      "pins"
/* End of the name of a file with a SO PIN */
#define STORE_SO_PIN_SUFFIX ".so"

/* StoreAccess: what is wrong with the permissions of the token store and of its PINs, the first fault of several. */
typedef enum
{
  STORE_ACCESS_NONE, /* there is no store */
  STORE_ACCESS_OK,
  STORE_ACCESS_DIRECTORY_OPEN,        /* every user has rights on the directory */
  STORE_ACCESS_DIRECTORY_REPLACEABLE, /* the group may replace the database in it */
  STORE_ACCESS_DATABASE_OPEN,         /* every user has rights on the database */
  STORE_ACCESS_DATABASE_WRITABLE,     /* the group may write it */
  STORE_ACCESS_PIN_OPEN, /* who should not may read a file with a PIN, or it is no file */
} StoreAccess;

/* For one of them; @mode: st_mode */
StoreAccess store_access_judge_directory (mode_t mode);
StoreAccess store_access_judge_database (mode_t mode);
/* @is_so: only for the daemon, not for the group */
StoreAccess store_access_judge_pin (mode_t mode, gboolean is_so);

/* All of them below @state_dir. Blocks, for some lstat()s. */
StoreAccess store_access_read (const char *state_dir);

/* What is wrong, for people; static. */
const char *store_access_to_string (StoreAccess access);

G_END_DECLS
