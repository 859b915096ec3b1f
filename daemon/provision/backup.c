/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "backup.h"

#include "common/atomic-file.h"
#include "dbus/error.h"
#include "provision/journal.h"
#include "token/helper-jobs.h"
#include "token/protocol.h"

#include <string.h>

/* Of an extra: `user LABEL`, `so LABEL`. */
static char *
name_pin (const char *token, StorePin kind)
{
  return g_strdup_printf ("%s %s", kind == STORE_PIN_USER ? "user" : "so", token);
}

static void
wipe_bytes (gpointer content)
{
  gsize len;
  gconstpointer data = g_bytes_get_data (content, &len);

  secret_wipe ((gpointer)data, len);
  g_bytes_unref (content);
}

/* ---- making one ---- */

static gboolean
add_pins (Store *store, char **labels, GHashTable *extras, GError **error)
{
  for (char **label = labels; *label != NULL; label++)
    for (StorePin kind = STORE_PIN_USER; kind <= STORE_PIN_SO; kind++)
      {
        g_autoptr (GError) local_error = NULL;
        g_autoptr (Secret) pin = store_load_pin (store, *label, kind, &local_error);

        if (local_error != NULL)
          {
            g_propagate_error (error, g_steal_pointer (&local_error));
            return FALSE;
          }
        if (pin != NULL)
          g_hash_table_insert (extras, name_pin (*label, kind),
                               g_bytes_new (secret_peek (pin), secret_get_length (pin)));
      }
  return TRUE;
}

static void
add_journal (const Config *config, GHashTable *extras)
{
  g_autofree char *path = g_build_filename (config->state_dir, JOURNAL_FILE_NAME, NULL);
  char *text;
  gsize len;

  if (g_file_get_contents (path, &text, &len, NULL))
    g_hash_table_insert (extras, g_strdup (JOURNAL_FILE_NAME), g_bytes_new_take (text, len));
}

GBytes *
backup_make (Tokens *tokens, const Config *config, gboolean with_pins, GError **error)
{
  Store *store = tokens_get_store (tokens);
  g_autoptr (GHashTable) extras =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, wipe_bytes);
  g_autoptr (StoreChange) change = NULL;
  g_auto (GStrv) labels = NULL;

  if (store_exists (store))
    {
      change = store_change_new (store, error);
      labels = change != NULL ? store_change_list_tokens (change, error) : NULL;
      if (labels == NULL)
        return NULL;
    }
  if (labels == NULL || labels[0] == NULL)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND,
                           "there is no token: nothing is to be kept");
      return NULL;
    }
  add_journal (config, extras);
  if (with_pins && !add_pins (store, labels, extras, error))
    return NULL;
  return store_change_pack (change, extras, error);
}

/* ---- putting one back ---- */

static gboolean
check_place (StoreChange *change, Store *store, gboolean replace, GError **error)
{
  g_auto (GStrv) labels = NULL;

  if (!store_exists (store))
    return TRUE;
  labels = store_change_list_tokens (change, error);
  if (labels == NULL)
    return FALSE;
  if (labels[0] == NULL || replace)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
               "there is a token '%s': it would be replaced, with all others (--force)", labels[0]);
  return FALSE;
}

/* What the installed library makes, or has made of the store. */
static gboolean
find_schema (StoreChange *change,
             const Config *config,
             Store *store,
             int *out_version,
             GCancellable *cancellable,
             GError **error)
{
  g_autoptr (HelperClient) helper = NULL;

  if (store_exists (store))
    return store_change_get_schema (change, out_version, error);
  helper = helper_client_new_writer (config, store_change_get_dir (change), error);
  if (helper == NULL || !helper_jobs_open (helper, cancellable, error))
    return FALSE;
  g_clear_pointer (&helper, helper_client_free);
  return store_change_get_schema (change, out_version, error);
}

static gboolean
stage_pins (StoreChange *change, Store *store, GHashTable *extras, GError **error)
{
  g_auto (GStrv) labels = store_change_list_tokens (change, error);

  if (labels == NULL)
    return FALSE;
  for (char **label = labels; *label != NULL; label++)
    for (StorePin kind = STORE_PIN_USER; kind <= STORE_PIN_SO; kind++)
      {
        g_autofree char *name = name_pin (*label, kind);
        GBytes *content = g_hash_table_lookup (extras, name);
        g_autoptr (Secret) pin = NULL;

        if (content == NULL && store_change_keeps_pin (change, *label, kind))
          continue;
        if (content != NULL)
          pin = secret_new (g_bytes_get_data (content, NULL), g_bytes_get_size (content));
        if (!store_stage_pin (store, change, *label, kind, pin, error))
          return FALSE;
      }
  return TRUE;
}

/* Of the backup; an empty one where it has none. */
static Journal *
read_journal (StoreChange *change, GHashTable *extras, GError **error)
{
  GBytes *content = g_hash_table_lookup (extras, JOURNAL_FILE_NAME);
  g_autofree char *path = NULL;
  g_autoptr (GError) local_error = NULL;

  if (content == NULL)
    return journal_new ();
  path = g_build_filename (store_change_get_dir (change), JOURNAL_FILE_NAME, NULL);
  if (atomic_file_write (path, g_bytes_get_data (content, NULL), g_bytes_get_size (content), 0600,
                         (gid_t)-1, &local_error))
    return journal_load (store_change_get_dir (change), error);
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_STORE, local_error->message);
  return NULL;
}

/* A damaged one is no reason to refuse what replaces it. */
static Journal *
load_current_journal (const Config *config)
{
  g_autoptr (GError) local_error = NULL;
  Journal *journal = journal_load (config->state_dir, &local_error);

  if (journal != NULL)
    return journal;
  g_message ("%s", local_error->message);
  return journal_new ();
}

typedef struct
{
  const Config *config;
  Journal *journal; /* as it is now */
} Announcement;

/* A PrimaryIntentFunc. Where a cut comes before the store, the primary is in the journal that there is. */
static gboolean
announce_primary (TPM2_HANDLE handle,
                  const TPM2B_NAME *name,
                  gboolean is_new,
                  gpointer user_data,
                  GError **error)
{
  Announcement *self = user_data;
  g_autoptr (GBytes) bytes = g_bytes_new (name->name, name->size);
  g_autofree char *hex = protocol_encode_bytes (bytes);

  journal_set_primary (self->journal, handle, hex, is_new);
  return journal_save (self->journal, self->config->state_dir, error);
}

/* The primary is the chip's: what is known of it now is kept, whatever the backup says. */
static gboolean
stage_journal (StoreChange *change, Journal *journal, const Journal *current, GError **error)
{
  if (current->primary_handle != 0)
    {
      journal_set_primary (journal, current->primary_handle, current->primary_name, FALSE);
      journal->primary_made = current->primary_made;
    }
  return journal_save (journal, store_change_get_dir (change), error) &&
         store_stage_file (change, JOURNAL_FILE_NAME, error);
}

/* Of tokens that will not be there any more. */
static gboolean
stage_no_pins (StoreChange *change, Store *store, char **old_labels, GError **error)
{
  g_auto (GStrv) labels = store_change_list_tokens (change, error);

  if (labels == NULL)
    return FALSE;
  for (char **label = old_labels; label != NULL && *label != NULL; label++)
    if (!g_strv_contains ((const char *const *)labels, *label) &&
        !store_stage_no_pins (store, *label, error))
      return FALSE;
  return TRUE;
}

gboolean
backup_restore (Tokens *tokens,
                Tpm *tpm,
                const Config *config,
                GBytes *backup,
                gboolean replace,
                GCancellable *cancellable,
                GError **error)
{
  Store *store = tokens_get_store (tokens);
  g_autoptr (StoreChange) change = store_change_new (store, error);
  g_autoptr (GHashTable) extras = NULL;
  g_autoptr (Journal) current = load_current_journal (config);
  g_autoptr (Journal) journal = NULL;
  Announcement announcement = { config, current };
  g_auto (GStrv) old_labels = NULL;
  int schema = 0;

  if (change == NULL || !check_place (change, store, replace, error) ||
      !find_schema (change, config, store, &schema, cancellable, error))
    return FALSE;
  if (store_exists (store) && (old_labels = store_change_list_tokens (change, error)) == NULL)
    return FALSE;
  extras = store_change_unpack (change, backup, schema, error);
  journal = extras != NULL ? read_journal (change, extras, error) : NULL;
  return journal != NULL &&
         store_change_check_chip (change, tpm, announce_primary, &announcement, error) &&
         store_settle (store, error) && stage_pins (change, store, extras, error) &&
         stage_no_pins (change, store, old_labels, error) &&
         stage_journal (change, journal, current, error) && tokens_commit (tokens, change, error) &&
         store_settle (store, error);
}
