/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "removal.h"

#include "dbus/error.h"
#include "provision/journal.h"
#include "token/primary.h"
#include "token/protocol.h"

typedef struct
{
  Tokens *tokens;
  Store *store;
  Tpm *tpm;
  const Config *config;
  const char *token;
  Journal *journal;
  gboolean in_store;
} Removal;

static void
removal_clear (Removal *self)
{
  g_clear_pointer (&self->journal, journal_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Removal, removal_clear)

/* ---- what is there ---- */

static gboolean
has_entries (Removal *self)
{
  for (guint i = 0; i < self->journal->entries->len; i++)
    {
      const JournalEntry *entry = g_ptr_array_index (self->journal->entries, i);

      if (g_str_equal (entry->token, self->token))
        return TRUE;
    }
  return FALSE;
}

static gboolean
look (Removal *self, GError **error)
{
  self->journal = journal_load (self->config->state_dir, error);
  if (self->journal == NULL || !store_has_token (self->store, self->token, &self->in_store, error))
    return FALSE;
  if (self->in_store || has_entries (self) || store_has_pins (self->store, self->token) ||
      g_strcmp0 (self->journal->removing, self->token) == 0)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND, "there is no token '%s'", self->token);
  return FALSE;
}

static void
list_keys (Removal *self, GPtrArray *lost, GCancellable *cancellable)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (TokenInfo) info = tokens_find (self->tokens, self->token, cancellable, &local_error);

  /* A token that the library cannot read can be removed all the same. */
  if (info == NULL)
    g_ptr_array_add (
        lost, g_strdup_printf ("its keys, which cannot be listed: %s", local_error->message));
  for (guint i = 0; info != NULL && i < info->keys->len; i++)
    {
      const TokenKey *key = g_ptr_array_index (info->keys, i);

      g_ptr_array_add (lost,
                       g_strdup_printf ("the key pair '%s', %s%s", key->label, key->algorithm,
                                        key->certificate != NULL ? ", with its certificate" : ""));
    }
}

static char **
list_lost (Removal *self, GCancellable *cancellable)
{
  g_autoptr (GPtrArray) lost = g_ptr_array_new ();

  if (self->in_store)
    {
      g_ptr_array_add (lost, g_strdup_printf ("the token '%s'", self->token));
      list_keys (self, lost, cancellable);
    }
  if (store_has_pins (self->store, self->token))
    g_ptr_array_add (lost, g_strdup ("its stored PINs"));
  if (has_entries (self))
    g_ptr_array_add (lost, g_strdup ("what the journal of the provisioning says of it"));
  g_ptr_array_add (lost, NULL);
  return (char **)g_ptr_array_steal (lost, NULL);
}

/* ---- taking it away ---- */

static gboolean
save (Removal *self, GError **error)
{
  return journal_save (self->journal, self->config->state_dir, error);
}

/* Announced in the journal until all is gone. A second one that was begun meanwhile is nobody's any more: it is
 * found by its rows, its PINs or its entries. */
static gboolean
announce (Removal *self, GError **error)
{
  g_free (self->journal->removing);
  self->journal->removing = g_strdup (self->token);
  return save (self, error);
}

/* Only what provisioning has made, by its name. */
static gboolean
evict (Removal *self, GBytes *name, GError **error)
{
  Journal *journal = self->journal;
  gboolean evicted = FALSE;

  if (journal->primary_made && journal->primary_handle != 0 &&
      !primary_evict (self->tpm, self->config->state_dir, journal->primary_handle, name, &evicted,
                      error))
    return FALSE;
  if (evicted)
    g_message ("the storage root key at 0x%08x was removed", journal->primary_handle);
  journal_set_primary (journal, 0, NULL, FALSE);
  return TRUE;
}

static gboolean
finish_journal (Removal *self, GError **error)
{
  journal_remove_token (self->journal, self->token);
  g_clear_pointer (&self->journal->removing, g_free);
  return save (self, error);
}

static gboolean
take_away (Removal *self, GError **error)
{
  const char *hex = self->journal->primary_name;
  g_autoptr (GBytes) name = hex != NULL ? protocol_decode_bytes (hex) : NULL;
  gboolean primary_used = FALSE;

  return announce (self, error) &&
         tokens_remove (self->tokens, self->token, name, &primary_used, error) &&
         (name == NULL || primary_used || evict (self, name, error)) &&
         store_remove_pins (self->store, self->token, error) && finish_journal (self, error);
}

char **
removal_run (Tokens *tokens,
             Tpm *tpm,
             const Config *config,
             const char *token,
             gboolean dry_run,
             GCancellable *cancellable,
             GError **error)
{
  g_auto (Removal) self = { .tokens = tokens,
                            .store = tokens_get_store (tokens),
                            .tpm = tpm,
                            .config = config,
                            .token = token };
  g_auto (GStrv) lost = NULL;

  if (!look (&self, error))
    return NULL;
  lost = list_lost (&self, cancellable);
  if (!dry_run && !take_away (&self, error))
    return NULL;
  if (!dry_run)
    g_message ("the token '%s' was removed", token);
  return g_steal_pointer (&lost);
}
