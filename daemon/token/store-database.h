/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>
#include <sqlite3.h>

G_BEGIN_DECLS

/*
 * What the store does by SQLite in tpm2-pkcs11's database (schema 8): it adds a primary, sets one flag of a token,
 * copies and checks. All else is the library's. Every error is GGTPM_ERROR_STORE with the path in its text. Waits for a
 * few seconds where another process holds a lock, then it is GGTPM_ERROR_BUSY.
 */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (sqlite3, sqlite3_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (sqlite3_stmt, sqlite3_finalize)

/* An existing database, for reading and writing (what a killed writer left half done is rolled back at first use). */
sqlite3 *store_database_open (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same for a copy that is to be changed: see unsynced.h. */
sqlite3 *store_database_open_copy (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What is read from now on is one state: nobody's change is put in the file until @database is closed. */
gboolean store_database_freeze (sqlite3 *database, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Keeps other writers out until @database is closed. */
gboolean store_database_lock (sqlite3 *database, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A consistent copy of @source in a new file, which is not synced. */
gboolean
store_database_copy (sqlite3 *source, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Structure, foreign keys, and that the tables are there. */
gboolean store_database_check (sqlite3 *database, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Of GBytes: Esys_TR_Serialize()'s form of the persistent primaries. @used: only those that a token has.
 * Free with g_ptr_array_unref().
 */
GPtrArray *store_database_list_primaries (sqlite3 *database,
                                          gboolean used,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same form of the token's primary; NULL where it is not persistent, or cannot be read. */
GBytes *store_database_find_primary (sqlite3 *database, const char *token);

/* Labels, NULL-terminated; free with g_strfreev(). */
char **store_database_list_tokens (sqlite3 *database, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether there is a token of that label. */
gboolean store_database_has_token (sqlite3 *database,
                                   const char *token,
                                   gboolean *out_found,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* SHA-256 in hexadecimal of the object that the PIN of that kind unseals: another one after every change of that PIN.
 * Free with g_free(). Errors: also where there is no such token. */
char *store_database_sum_seal (sqlite3 *database, const char *token, gboolean is_so, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

gboolean store_database_add_primary (sqlite3 *database,
                                     GBytes *esys_blob,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Nothing where a token uses it. */
gboolean store_database_remove_primary (sqlite3 *database,
                                        GBytes *esys_blob,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Everything of that token, but not its primary. */
gboolean store_database_remove_token (sqlite3 *database,
                                      const char *token,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Of tpm2-pkcs11's tables. */
gboolean store_database_get_schema (sqlite3 *database,
                                    int *out_version,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What goes with the database in a backup, in a table of ours: name (char *) -> content (GBytes). */
gboolean store_database_put_extras (sqlite3 *database,
                                    GHashTable *extras,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Empty where there is no such table. The table goes, and what was in it is overwritten. */
GHashTable *store_database_take_extras (sqlite3 *database,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Errors: also where there is no such token. */
gboolean store_database_set_pss_sigs_good (sqlite3 *database,
                                           const char *token,
                                           gboolean good,
                                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
