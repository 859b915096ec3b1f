/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "store.h"

#include "common/store-access.h"

G_BEGIN_DECLS

/* What store.c, store-change.c and store-check.c share. */

#define STORE_DATABASE_MODE 0640
/* In the name of a file that was not settled yet; behind it is which state of the store it belongs to. */
#define STORE_STAGED ".new-"

struct _Store
{
  char *state_dir;
  char *dir;
  char *database;
  char *pins;
  char *drawn; /* directory of store-drawn.c */
  char *staging;
  gid_t group;
  GHashTable *refused; /* path of a PIN file to what its PIN's being wrong rested on */
};

/* FALSE and GGTPM_ERROR_STORE: `WHAT PATH: errno's text`. */
gboolean store_set_errno (const char *what, const char *path, GError **error);

/* Anything that fails in the store is the store's fault to callers, whatever its domain was. FALSE. */
gboolean store_convert_error (GError **error);

/* What store_get_stamp() says of a database at @path. */
char *store_make_stamp (const char *path);

/* store-drawn.c's file of a token; free with g_free(). */
char *store_get_drawn_path (Store *self, const char *token);

/* Paths of the files in @dir that were not settled yet. */
GPtrArray *store_list_staged (const char *dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The parts of store_settle(). */
gboolean store_settle_pins (Store *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean store_settle_files (Store *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Borrowed. */
Store *store_change_get_store (StoreChange *change);

/* Removes a directory of ours with all that is in it; one that does not exist is fine. */
gboolean store_remove_tree (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
