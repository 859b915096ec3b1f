/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "journal.h"

#include "common/atomic-file.h"
#include "dbus/error.h"
#include "token/helper-client.h" /* json_object as an autoptr */
#include "token/protocol.h"

#include <json-c/json.h>
#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC (json_tokener, json_tokener_free)

#define VERSION 1

typedef struct
{
  const char *name;
  gsize offset;
  gboolean required;
} Member;

/* Text members of an entry. */
static const Member entry_members[] = {
  { "token", G_STRUCT_OFFSET (JournalEntry, token), TRUE },
  { "key", G_STRUCT_OFFSET (JournalEntry, key), TRUE },
  { "algorithm", G_STRUCT_OFFSET (JournalEntry, algorithm), TRUE },
  { "subject", G_STRUCT_OFFSET (JournalEntry, subject), TRUE },
  { "extensions", G_STRUCT_OFFSET (JournalEntry, extensions), FALSE },
  { "key-id", G_STRUCT_OFFSET (JournalEntry, key_id), TRUE },
  { "spki-sha256", G_STRUCT_OFFSET (JournalEntry, spki_sum), FALSE },
  { "csr", G_STRUCT_OFFSET (JournalEntry, csr), FALSE },
};

static const Member journal_members[] = {
  { "primary-name", G_STRUCT_OFFSET (Journal, primary_name), FALSE },
  { "removing", G_STRUCT_OFFSET (Journal, removing), FALSE },
};

void
journal_entry_free (JournalEntry *entry)
{
  if (entry == NULL)
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (entry_members); i++)
    g_free (G_STRUCT_MEMBER (char *, entry, entry_members[i].offset));
  g_free (entry);
}

Journal *
journal_new (void)
{
  Journal *journal = g_new0 (Journal, 1);

  journal->entries = g_ptr_array_new_with_free_func ((GDestroyNotify)journal_entry_free);
  return journal;
}

void
journal_free (Journal *journal)
{
  if (journal == NULL)
    return;
  g_free (journal->primary_name);
  g_free (journal->removing);
  g_ptr_array_unref (journal->entries);
  g_free (journal);
}

void
journal_set_primary (Journal *journal, guint32 handle, const char *name, gboolean is_new)
{
  gboolean is_known =
      journal->primary_handle == handle && g_strcmp0 (journal->primary_name, name) == 0;
  char *copy = g_strdup (name);

  journal->primary_made = is_new || (is_known && journal->primary_made);
  journal->primary_handle = handle;
  g_free (journal->primary_name);
  journal->primary_name = copy;
}

JournalEntry *
journal_find (const Journal *journal, const char *token, const char *key)
{
  for (guint i = 0; i < journal->entries->len; i++)
    {
      JournalEntry *entry = g_ptr_array_index (journal->entries, i);

      if (g_str_equal (entry->token, token) && g_str_equal (entry->key, key))
        return entry;
    }
  return NULL;
}

JournalEntry *
journal_ensure (Journal *journal, const char *token, const char *key)
{
  JournalEntry *entry = journal_find (journal, token, key);

  if (entry != NULL)
    return entry;
  entry = g_new0 (JournalEntry, 1);
  entry->token = g_strdup (token);
  entry->key = g_strdup (key);
  g_ptr_array_add (journal->entries, entry);
  return entry;
}

void
journal_remove (Journal *journal, JournalEntry *entry)
{
  g_ptr_array_remove (journal->entries, entry);
}

void
journal_remove_token (Journal *journal, const char *token)
{
  for (guint i = journal->entries->len; i-- > 0;)
    {
      JournalEntry *entry = g_ptr_array_index (journal->entries, i);

      if (g_str_equal (entry->token, token))
        g_ptr_array_remove_index (journal->entries, i);
    }
}

/* ---- reading ---- */

static gboolean
set_damaged (GError **error, const char *member)
{
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "'%s' is missing or of the wrong kind",
               member);
  return FALSE;
}

/* FALSE with @error only where the member is there and of another kind, or missing and @required. */
static gboolean
get_member (json_object *object,
            const char *name,
            json_type type,
            gboolean required,
            json_object **out_value,
            GError **error)
{
  if (!json_object_object_get_ex (object, name, out_value))
    *out_value = NULL;
  if (*out_value == NULL)
    return !required || set_damaged (error, name);
  return json_object_is_type (*out_value, type) || set_damaged (error, name);
}

static gboolean
read_texts (json_object *object,
            const Member *members,
            gsize n_members,
            gpointer target,
            GError **error)
{
  for (gsize i = 0; i < n_members; i++)
    {
      json_object *value;

      if (!get_member (object, members[i].name, json_type_string, members[i].required, &value,
                       error))
        return FALSE;
      G_STRUCT_MEMBER (char *, target, members[i].offset) =
          g_strdup (json_object_get_string (value));
    }
  return TRUE;
}

static JournalEntry *
read_entry (json_object *object, GError **error)
{
  g_autoptr (JournalEntry) entry = g_new0 (JournalEntry, 1);
  g_autoptr (GBytes) key_id = NULL;
  json_object *ready;

  if (!json_object_is_type (object, json_type_object))
    {
      set_damaged (error, "entries");
      return NULL;
    }
  if (!read_texts (object, entry_members, G_N_ELEMENTS (entry_members), entry, error) ||
      !get_member (object, "ready", json_type_boolean, TRUE, &ready, error))
    return NULL;
  key_id = protocol_decode_bytes (entry->key_id);
  if (key_id == NULL || g_bytes_get_size (key_id) == 0)
    {
      set_damaged (error, "key-id");
      return NULL;
    }
  entry->ready = json_object_get_boolean (ready);
  return g_steal_pointer (&entry);
}

static gboolean
read_entries (json_object *root, Journal *journal, GError **error)
{
  json_object *entries;

  if (!get_member (root, "entries", json_type_array, TRUE, &entries, error))
    return FALSE;
  for (size_t i = 0; i < json_object_array_length (entries); i++)
    {
      JournalEntry *entry = read_entry (json_object_array_get_idx (entries, i), error);

      if (entry == NULL)
        return FALSE;
      g_ptr_array_add (journal->entries, entry);
    }
  return TRUE;
}

static Journal *
read_journal (json_object *root, GError **error)
{
  g_autoptr (Journal) journal = journal_new ();
  json_object *version;
  json_object *handle;
  json_object *made;

  if (!json_object_is_type (root, json_type_object) ||
      !get_member (root, "version", json_type_int, TRUE, &version, NULL) ||
      json_object_get_int (version) != VERSION)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "it is not version %d", VERSION);
      return NULL;
    }
  if (!get_member (root, "primary-handle", json_type_int, FALSE, &handle, error) ||
      !get_member (root, "primary-made", json_type_boolean, FALSE, &made, error) ||
      !read_texts (root, journal_members, G_N_ELEMENTS (journal_members), journal, error) ||
      !read_entries (root, journal, error))
    return NULL;
  journal->primary_handle = handle != NULL ? (guint32)json_object_get_int64 (handle) : 0;
  journal->primary_made = made != NULL && json_object_get_boolean (made);
  return g_steal_pointer (&journal);
}

static json_object *
parse (const char *text, gsize len, GError **error)
{
  g_autoptr (json_tokener) tokener = json_tokener_new ();
  json_object *root;

  json_tokener_set_flags (tokener, JSON_TOKENER_STRICT);
  /* With its NUL, so that an unfinished value is told from a finished one. */
  root = json_tokener_parse_ex (tokener, text, (int)len + 1);
  if (root == NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "%s",
                 json_tokener_error_desc (json_tokener_get_error (tokener)));
  return root;
}

Journal *
journal_load (const char *state_dir, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, JOURNAL_FILE_NAME, NULL);
  g_autofree char *text = NULL;
  g_autoptr (json_object) root = NULL;
  g_autoptr (GError) local_error = NULL;
  Journal *journal = NULL;
  gsize len;

  if (!g_file_get_contents (path, &text, &len, &local_error))
    {
      if (g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return journal_new ();
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "the journal: %s", local_error->message);
      return NULL;
    }
  root = len < G_MAXINT ? parse (text, len, error) : NULL;
  if (root != NULL)
    journal = read_journal (root, error);
  if (journal == NULL)
    g_prefix_error (error, "the journal %s is damaged; remove it to begin anew: ", path);
  return journal;
}

/* ---- writing ---- */

static void
write_texts (json_object *object, const Member *members, gsize n_members, gconstpointer source)
{
  for (gsize i = 0; i < n_members; i++)
    {
      const char *text = G_STRUCT_MEMBER (char *, source, members[i].offset);

      if (text != NULL)
        json_object_object_add (object, members[i].name, json_object_new_string (text));
    }
}

static json_object *
write_journal (const Journal *journal)
{
  json_object *root = json_object_new_object ();
  json_object *entries = json_object_new_array ();

  json_object_object_add (root, "version", json_object_new_int (VERSION));
  if (journal->primary_handle != 0)
    json_object_object_add (root, "primary-handle",
                            json_object_new_int64 (journal->primary_handle));
  if (journal->primary_made)
    json_object_object_add (root, "primary-made", json_object_new_boolean (TRUE));
  write_texts (root, journal_members, G_N_ELEMENTS (journal_members), journal);
  json_object_object_add (root, "entries", entries);
  for (guint i = 0; i < journal->entries->len; i++)
    {
      const JournalEntry *entry = g_ptr_array_index (journal->entries, i);
      json_object *object = json_object_new_object ();

      write_texts (object, entry_members, G_N_ELEMENTS (entry_members), entry);
      json_object_object_add (object, "ready", json_object_new_boolean (entry->ready));
      json_object_array_add (entries, object);
    }
  return root;
}

gboolean
journal_save (const Journal *journal, const char *state_dir, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, JOURNAL_FILE_NAME, NULL);
  g_autoptr (json_object) root = write_journal (journal);
  g_autoptr (GError) local_error = NULL;
  const char *text = json_object_to_json_string_ext (
      root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);
  g_autofree char *line = g_strconcat (text, "\n", NULL);

  if (atomic_file_write (path, line, strlen (line), 0600, (gid_t)-1, &local_error))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "the journal: %s", local_error->message);
  return FALSE;
}
