/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "store-database.h"

#include "common/secret.h"
#include "dbus/error.h"
#include "token/protocol.h"
#include "token/unsynced.h"

#include <string.h>

/* Readers hold their locks for milliseconds; a writer of ours or tpm2_ptool's for less than this. */
#define BUSY_TIMEOUT_MS 5000

static gboolean
set_error (sqlite3 *database, const char *what, GError **error)
{
  const char *path = database != NULL ? sqlite3_db_filename (database, "main") : NULL;

  if (database != NULL && sqlite3_errcode (database) == SQLITE_BUSY)
    {
      g_set_error (
          error, GGTPM_ERROR, GGTPM_ERROR_BUSY,
          "%s %s: another program has kept it locked for %d s; end that (`fuser %s` names it), or try "
          "again later",
          what, path, BUSY_TIMEOUT_MS / 1000, path);
      return FALSE;
    }
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "%s %s: %s", what,
               path != NULL ? path : "the token store",
               database != NULL ? sqlite3_errmsg (database) : "out of memory");
  return FALSE;
}

sqlite3 *
store_database_open (const char *path, GError **error)
{
  g_autoptr (sqlite3) database = NULL;

  if (sqlite3_open_v2 (path, &database, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
      sqlite3_busy_timeout (database, BUSY_TIMEOUT_MS) != SQLITE_OK ||
      sqlite3_db_config (database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "cannot open %s: %s", path,
                   sqlite3_errmsg (database));
      return NULL;
    }
  return g_steal_pointer (&database);
}

sqlite3 *
store_database_open_copy (const char *path, GError **error)
{
  g_autoptr (sqlite3) database = store_database_open (path, error);

  if (database != NULL && !unsynced_set (database))
    {
      set_error (database, "cannot change", error);
      return NULL;
    }
  return g_steal_pointer (&database);
}

static gboolean
execute (sqlite3 *database, const char *sql, const char *what, GError **error)
{
  if (sqlite3_exec (database, sql, NULL, NULL, NULL) == SQLITE_OK)
    return TRUE;
  return set_error (database, what, error);
}

static sqlite3_stmt *
prepare (sqlite3 *database, const char *sql, const char *what, GError **error)
{
  sqlite3_stmt *statement = NULL;

  if (sqlite3_prepare_v2 (database, sql, -1, &statement, NULL) == SQLITE_OK)
    return statement;
  set_error (database, what, error);
  return NULL;
}

gboolean
store_database_freeze (sqlite3 *database, GError **error)
{
  /* The lock comes with the first read. */
  return execute (database, "BEGIN; SELECT count(*) FROM sqlite_master", "cannot read", error);
}

gboolean
store_database_lock (sqlite3 *database, GError **error)
{
  return execute (database, "BEGIN IMMEDIATE", "cannot lock", error);
}

gboolean
store_database_copy (sqlite3 *source, const char *path, GError **error)
{
  g_autoptr (sqlite3) copy = NULL;
  sqlite3_backup *backup;

  if (sqlite3_open_v2 (path, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
          SQLITE_OK ||
      !unsynced_set (copy))
    return set_error (copy, "cannot create", error);
  backup = sqlite3_backup_init (copy, "main", source, "main");
  if (backup == NULL)
    return set_error (copy, "cannot copy to", error);
  while (sqlite3_backup_step (backup, -1) == SQLITE_BUSY)
    sqlite3_sleep (10);
  if (sqlite3_backup_finish (backup) != SQLITE_OK)
    return set_error (copy, "cannot copy to", error);
  return TRUE;
}

/* The first column of the first row is @expected, or there is no row where that is NULL. */
static gboolean
expect (sqlite3 *database, const char *sql, const char *expected, const char *what, GError **error)
{
  g_autoptr (sqlite3_stmt) statement = prepare (database, sql, what, error);
  const char *found = NULL;
  int result;

  if (statement == NULL)
    return FALSE;
  result = sqlite3_step (statement);
  if (result != SQLITE_ROW && result != SQLITE_DONE)
    return set_error (database, what, error);
  if (result == SQLITE_ROW)
    found = (const char *)sqlite3_column_text (statement, 0);
  if (g_strcmp0 (found, expected) == 0)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "%s %s: %s", what,
               sqlite3_db_filename (database, "main"), found != NULL ? found : "no answer");
  return FALSE;
}

gboolean
store_database_check (sqlite3 *database, GError **error)
{
  return expect (database, "PRAGMA integrity_check(1)", "ok",
                 "the token store is damaged:", error) &&
         expect (database, "PRAGMA foreign_key_check", NULL,
                 "the token store is damaged (a row without its owner):", error) &&
         expect (database,
                 "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN "
                 "('tokens', 'sealobjects', 'pobjects', 'tobjects', 'schema')",
                 "5", "tables are missing in the token store (remove it if it is new):", error);
}

/* ---- primaries ---- */

/*
 * The value of `esys-tr` in a pobject's config, which is YAML written by the library or by tpm2_ptool: the first long
 * run of hexadecimal digits behind the key.
 */
static GBytes *
parse_esys_tr (const char *config)
{
  const char *text = config != NULL ? strstr (config, "esys-tr") : NULL;

  for (; text != NULL && *text != '\0'; text++)
    {
      gsize len = strspn (text, "0123456789abcdefABCDEF");
      g_autofree char *digits = NULL;

      if (len == 0)
        continue;
      if (len >= 16)
        {
          digits = g_strndup (text, len);
          return protocol_decode_bytes (digits);
        }
      text += len - 1;
    }
  return NULL;
}

GPtrArray *
store_database_list_primaries (sqlite3 *database, gboolean used, GError **error)
{
  const char *sql = used ? "SELECT config FROM pobjects WHERE id IN (SELECT pid FROM tokens)"
                         : "SELECT config FROM pobjects";
  g_autoptr (sqlite3_stmt) statement = prepare (database, sql, "cannot read", error);
  g_autoptr (GPtrArray) blobs = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  int result;

  if (statement == NULL)
    return NULL;
  while ((result = sqlite3_step (statement)) == SQLITE_ROW)
    {
      GBytes *blob = parse_esys_tr ((const char *)sqlite3_column_text (statement, 0));

      if (blob != NULL)
        g_ptr_array_add (blobs, blob);
    }
  if (result == SQLITE_DONE)
    return g_steal_pointer (&blobs);
  set_error (database, "cannot read", error);
  return NULL;
}

GBytes *
store_database_find_primary (sqlite3 *database, const char *token)
{
  g_autoptr (sqlite3_stmt) statement = prepare (
      database, "SELECT config FROM pobjects WHERE id = (SELECT pid FROM tokens WHERE label = ?)",
      "cannot read", NULL);

  if (statement == NULL)
    return NULL;
  sqlite3_bind_text (statement, 1, token, -1, SQLITE_STATIC);
  if (sqlite3_step (statement) != SQLITE_ROW)
    return NULL;
  return parse_esys_tr ((const char *)sqlite3_column_text (statement, 0));
}

/* @sql: with one text to bind */
static gboolean
change (sqlite3 *database, const char *sql, const char *text, GError **error)
{
  g_autoptr (sqlite3_stmt) statement = prepare (database, sql, "cannot change", error);

  if (statement == NULL)
    return FALSE;
  sqlite3_bind_text (statement, 1, text, -1, SQLITE_STATIC);
  return sqlite3_step (statement) == SQLITE_DONE || set_error (database, "cannot change", error);
}

gboolean
store_database_add_primary (sqlite3 *database, GBytes *esys_blob, GError **error)
{
  g_autofree char *hex = protocol_encode_bytes (esys_blob);
  /* The very text that C_InitToken writes: hierarchy `o`, empty auth. */
  g_autofree char *config = g_strdup_printf ("---\n!!map {\n"
                                             "  ? !!str \"transient\"\n  : !!bool \"false\",\n"
                                             "  ? !!str \"esys-tr\"\n  : !!str \"%s\",\n"
                                             "}\n...\n",
                                             hex);

  return change (database, "INSERT INTO pobjects (hierarchy, config, objauth) VALUES ('o', ?, '')",
                 config, error);
}

gboolean
store_database_remove_primary (sqlite3 *database, GBytes *esys_blob, GError **error)
{
  g_autofree char *hex = protocol_encode_bytes (esys_blob);

  return change (database,
                 "DELETE FROM pobjects WHERE instr(lower(config), ?) > 0 AND id NOT IN "
                 "(SELECT pid FROM tokens WHERE pid IS NOT NULL)",
                 hex, error);
}

/* ---- tokens ---- */

gboolean
store_database_remove_token (sqlite3 *database, const char *token, GError **error)
{
  static const char *const tables[] = {
    "DELETE FROM tobjects WHERE tokid IN (SELECT id FROM tokens WHERE label = ?)",
    "DELETE FROM sealobjects WHERE tokid IN (SELECT id FROM tokens WHERE label = ?)",
    "DELETE FROM tokens WHERE label = ?",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (tables); i++)
    if (!change (database, tables[i], token, error))
      return FALSE;
  return TRUE;
}

char **
store_database_list_tokens (sqlite3 *database, GError **error)
{
  g_autoptr (sqlite3_stmt) statement =
      prepare (database, "SELECT label FROM tokens WHERE label IS NOT NULL", "cannot read", error);
  g_autoptr (GStrvBuilder) labels = g_strv_builder_new ();
  int result;

  if (statement == NULL)
    return NULL;
  while ((result = sqlite3_step (statement)) == SQLITE_ROW)
    g_strv_builder_add (labels, (const char *)sqlite3_column_text (statement, 0));
  if (result == SQLITE_DONE)
    return g_strv_builder_end (labels);
  set_error (database, "cannot read", error);
  return NULL;
}

gboolean
store_database_has_token (sqlite3 *database, const char *token, gboolean *out_found, GError **error)
{
  g_autoptr (sqlite3_stmt) statement =
      prepare (database, "SELECT 1 FROM tokens WHERE label = ?", "cannot read", error);
  int result;

  if (statement == NULL)
    return FALSE;
  sqlite3_bind_text (statement, 1, token, -1, SQLITE_STATIC);
  result = sqlite3_step (statement);
  if (result != SQLITE_ROW && result != SQLITE_DONE)
    return set_error (database, "cannot read", error);
  *out_found = result == SQLITE_ROW;
  return TRUE;
}

char *
store_database_sum_seal (sqlite3 *database, const char *token, gboolean is_so, GError **error)
{
  const char *sql = is_so ? "SELECT sopub, sopriv, soauthsalt FROM sealobjects WHERE tokid = "
                            "(SELECT id FROM tokens WHERE label = ?)"
                          : "SELECT userpub, userpriv, userauthsalt FROM sealobjects WHERE tokid = "
                            "(SELECT id FROM tokens WHERE label = ?)";
  g_autoptr (sqlite3_stmt) statement = prepare (database, sql, "cannot read", error);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);

  if (statement == NULL)
    return NULL;
  sqlite3_bind_text (statement, 1, token, -1, SQLITE_STATIC);
  if (sqlite3_step (statement) != SQLITE_ROW)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "there is no PIN of token '%s' in %s",
                   token, sqlite3_db_filename (database, "main"));
      return NULL;
    }
  for (int i = 0; i < 3; i++)
    {
      const void *data = sqlite3_column_blob (statement, i);
      int len = sqlite3_column_bytes (statement, i);

      g_checksum_update (sum, (const guchar *)&len, sizeof len);
      if (data != NULL)
        g_checksum_update (sum, data, len);
    }
  return g_strdup (g_checksum_get_string (sum));
}

/* ---- pss-sigs-good ---- */

/*
 * The library writes tokens.config, and tpm2_ptool in Debian too, as
 *
 *   ---
 *   !!map {
 *     ? !!str "token-init"
 *     : !!bool "true",
 *   }
 *
 * NULL where @config is of another form.
 */
static char *
edit_config (const char *config, gboolean good)
{
  static const char entry[] = "  ? !!str \"pss-sigs-good\"\n  : !!bool \"";
  const char *value = good ? "true" : "false";
  const char *old = strstr (config, entry);
  const char *map = strstr (config, "!!map {\n");
  const char *end;

  if (old != NULL)
    {
      end = strchr (old + strlen (entry), '"');
      return end == NULL
                 ? NULL
                 : g_strdup_printf ("%.*s%s%s", (int)(old - config + (gssize)strlen (entry)),
                                    config, value, end);
    }
  if (map == NULL || strstr (config, "pss-sigs-good") != NULL)
    return NULL;
  map += strlen ("!!map {\n");
  return g_strdup_printf ("%.*s%s%s\",\n%s", (int)(map - config), config, entry, value, map);
}

static char *
read_token_config (sqlite3 *database, const char *token, GError **error)
{
  g_autoptr (sqlite3_stmt) statement =
      prepare (database, "SELECT config FROM tokens WHERE label = ?", "cannot read", error);
  int result;

  if (statement == NULL)
    return NULL;
  sqlite3_bind_text (statement, 1, token, -1, SQLITE_STATIC);
  result = sqlite3_step (statement);
  if (result == SQLITE_ROW && sqlite3_column_text (statement, 0) != NULL)
    return g_strdup ((const char *)sqlite3_column_text (statement, 0));
  if (result == SQLITE_DONE)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "there is no token '%s' in %s", token,
                 sqlite3_db_filename (database, "main"));
  else
    set_error (database, "cannot read", error);
  return NULL;
}

gboolean
store_database_set_pss_sigs_good (sqlite3 *database,
                                  const char *token,
                                  gboolean good,
                                  GError **error)
{
  g_autofree char *config = read_token_config (database, token, error);
  g_autofree char *edited = NULL;
  g_autoptr (sqlite3_stmt) statement = NULL;

  if (config == NULL)
    return FALSE;
  edited = edit_config (config, good);
  if (edited == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE,
                   "the configuration of token '%s' in %s has an unknown form", token,
                   sqlite3_db_filename (database, "main"));
      return FALSE;
    }
  if (strcmp (edited, config) == 0)
    return TRUE;
  statement =
      prepare (database, "UPDATE tokens SET config = ? WHERE label = ?", "cannot change", error);
  if (statement == NULL)
    return FALSE;
  sqlite3_bind_text (statement, 1, edited, -1, SQLITE_STATIC);
  sqlite3_bind_text (statement, 2, token, -1, SQLITE_STATIC);
  return sqlite3_step (statement) == SQLITE_DONE || set_error (database, "cannot change", error);
}

/* ---- backups ---- */

gboolean
store_database_get_schema (sqlite3 *database, int *out_version, GError **error)
{
  g_autoptr (sqlite3_stmt) statement =
      prepare (database, "SELECT max(schema_version) FROM schema", "cannot read", error);

  if (statement == NULL)
    return FALSE;
  if (sqlite3_step (statement) != SQLITE_ROW)
    return set_error (database, "cannot read", error);
  *out_version = sqlite3_column_int (statement, 0);
  return TRUE;
}

static gboolean
put_extra (sqlite3 *database, const char *name, GBytes *content, GError **error)
{
  g_autoptr (sqlite3_stmt) statement =
      prepare (database, "INSERT INTO ggtpm_extras VALUES (?, ?)", "cannot change", error);

  if (statement == NULL)
    return FALSE;
  sqlite3_bind_text (statement, 1, name, -1, SQLITE_STATIC);
  sqlite3_bind_blob64 (statement, 2, g_bytes_get_data (content, NULL), g_bytes_get_size (content),
                       SQLITE_STATIC);
  return sqlite3_step (statement) == SQLITE_DONE || set_error (database, "cannot change", error);
}

gboolean
store_database_put_extras (sqlite3 *database, GHashTable *extras, GError **error)
{
  GHashTableIter iter;
  gpointer name, content;

  if (!execute (database,
                "CREATE TABLE ggtpm_extras (name TEXT PRIMARY KEY, content BLOB NOT NULL)",
                "cannot change", error))
    return FALSE;
  g_hash_table_iter_init (&iter, extras);
  while (g_hash_table_iter_next (&iter, &name, &content))
    if (!put_extra (database, name, content, error))
      return FALSE;
  return TRUE;
}

static void
wipe_extra (gpointer content)
{
  gsize len;
  gconstpointer data = g_bytes_get_data (content, &len);

  secret_wipe ((gpointer)data, len);
  g_bytes_unref (content);
}

GHashTable *
store_database_take_extras (sqlite3 *database, GError **error)
{
  g_autoptr (GHashTable) extras =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, wipe_extra);
  g_autoptr (sqlite3_stmt) statement = NULL;
  int result;

  if (!execute (database,
                "PRAGMA secure_delete = ON; CREATE TABLE IF NOT EXISTS ggtpm_extras "
                "(name TEXT PRIMARY KEY, content BLOB NOT NULL)",
                "cannot change", error))
    return NULL;
  statement = prepare (database, "SELECT name, content FROM ggtpm_extras", "cannot read", error);
  if (statement == NULL)
    return NULL;
  while ((result = sqlite3_step (statement)) == SQLITE_ROW)
    {
      const char *name = (const char *)sqlite3_column_text (statement, 0);
      const void *content = sqlite3_column_blob (statement, 1);

      if (name != NULL && content != NULL)
        g_hash_table_insert (extras, g_strdup (name),
                             g_bytes_new (content, (gsize)sqlite3_column_bytes (statement, 1)));
    }
  if (result != SQLITE_DONE)
    {
      set_error (database, "cannot read", error);
      return NULL;
    }
  g_clear_pointer (&statement, sqlite3_finalize);
  return execute (database, "DROP TABLE ggtpm_extras; VACUUM", "cannot change", error)
             ? g_steal_pointer (&extras)
             : NULL;
}
