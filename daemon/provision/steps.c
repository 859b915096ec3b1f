/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "steps.h"

#include "common/log.h"
#include "dbus/error.h"
#include "steps-private.h"
#include "token/protocol.h"
#include "token/uri.h"

#include <string.h>

static void
steps_clear (Steps *self)
{
  g_free (self->subject);
  journal_free (self->journal);
  token_info_free (self->token);
  g_clear_pointer (&self->listing, json_object_put);
  secret_free (self->pin);
  secret_free (self->so_pin);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Steps, steps_clear)

void
steps_result_free (StepsResult *result)
{
  if (result == NULL)
    return;
  g_free (result->token);
  g_clear_pointer (&result->key_id, g_bytes_unref);
  g_free (result->uri);
  g_free (result->csr);
  g_strfreev (result->missing);
  g_free (result);
}

gboolean
steps_begin (Steps *self, const char *step, double progress, GError **error)
{
  if (self->progress != NULL)
    self->progress (step, progress, self->user_data);
  if (!g_cancellable_is_cancelled (self->cancellable))
    return TRUE;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED, "the provisioning was cancelled");
  return FALSE;
}

char *
steps_sum (GBytes *bytes)
{
  return g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, bytes);
}

/* ---- what is there ---- */

static gboolean
look (Steps *self, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  self->journal = journal_load (self->config->state_dir, error);
  if (self->journal == NULL)
    return FALSE;
  self->entry = journal_find (self->journal, self->plan->token, self->plan->key);
  self->was_ready = self->entry != NULL && self->entry->ready;
  /* On a new device nothing need be asked: that would be one more start of the helper. */
  if (!store_exists (self->store))
    return TRUE;
  self->token = tokens_find (self->tokens, self->plan->token, self->cancellable, &local_error);
  if (self->token != NULL)
    self->key = token_info_find_key (self->token, self->plan->key);
  else if (!g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  return TRUE;
}

static gboolean
has_id (const TokenKey *key, const char *id)
{
  g_autofree char *key_id = protocol_encode_bytes (key->id);

  return g_str_equal (key_id, id);
}

/*
 * Whether the token is one that we provisioned with the plan's options. Our commits put token and key in place
 * together, so a token without our key is ours only if it was complete once.
 */
static gboolean
is_ours (Steps *self)
{
  const JournalEntry *entry = self->entry;

  if (entry == NULL || !g_str_equal (entry->algorithm, self->plan->algorithm) ||
      !g_str_equal (entry->subject, self->subject))
    return FALSE;
  return self->key != NULL ? has_id (self->key, entry->key_id) : entry->ready;
}

static gboolean
check_given_pin (Steps *self, StorePin kind, const Secret *given, GError **error)
{
  g_autoptr (Secret) stored = NULL;
  g_autoptr (GError) local_error = NULL;

  if (given == NULL)
    return TRUE;
  stored = store_load_pin (self->store, self->plan->token, kind, &local_error);
  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (stored == NULL || g_str_equal (secret_peek (stored), secret_peek (given)))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
               "the token '%s' exists with another %s; it was not touched", self->plan->token,
               kind == STORE_PIN_SO ? "SO PIN" : "PIN");
  return FALSE;
}

/* Whether what is there may be completed to what the plan says. */
static gboolean
check_token (Steps *self, GError **error)
{
  if (self->plan->exclusive && !is_ours (self))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
                   "a token '%s' exists that was not provisioned here with these options; it was "
                   "not touched. Give another label, or have it completed as it is",
                   self->plan->token);
      return FALSE;
    }
  if (self->key != NULL && !g_str_equal (self->key->algorithm, self->plan->algorithm))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
                   "the token '%s' has a key '%s' that is %s, not %s; it was not touched",
                   self->plan->token, self->plan->key, self->key->algorithm, self->plan->algorithm);
      return FALSE;
    }
  return check_given_pin (self, STORE_PIN_USER, self->plan->pin, error) &&
         check_given_pin (self, STORE_PIN_SO, self->plan->so_pin, error);
}

gboolean
steps_check_chip (Steps *self, gboolean will_login, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  gboolean fits = store_check_chip (self->store, self->tpm, &local_error);

  if (!self->plan->dry_run && g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_STORE))
    {
      if (!store_restore_primaries (self->store, self->tpm, error))
        return FALSE;
      g_clear_error (&local_error);
      g_message ("the storage root key was evicted; it was made again");
      self->restored = TRUE;
      fits = store_check_chip (self->store, self->tpm, &local_error);
    }
  if (fits || (!will_login && g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT)))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* ---- the result ---- */

static gboolean
has_csr (Steps *self)
{
  const JournalEntry *entry = self->entry;
  g_autofree char *sum = steps_sum (self->key->spki);

  return entry != NULL && entry->csr != NULL && g_strcmp0 (entry->spki_sum, sum) == 0 &&
         g_str_equal (entry->subject, self->subject);
}

static StepsResult *
new_result (Steps *self, gboolean changed)
{
  StepsResult *result = g_new0 (StepsResult, 1);

  result->token = g_strdup (self->plan->token);
  result->key_id = protocol_decode_bytes (self->entry->key_id);
  result->uri = self->key != NULL
                    ? g_strdup (self->key->uri)
                    : uri_for_object (self->plan->token, self->plan->key, NULL, "private", NULL);
  result->csr = g_strdup (self->entry->csr);
  result->changed = changed;
  if (changed)
    log_event (LOG_EVENT_PROVISIONED, "token '%s' is ready with key '%s'", self->plan->token,
               self->plan->key);
  if (self->progress != NULL)
    self->progress ("done", 1, self->user_data);
  return result;
}

/* The library says the same whatever is wrong: that the chip does not answer is found out by asking it. */
static void
explain_failure (Steps *self, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autofree guint8 *answer = NULL;

  if (!g_error_matches (*error, GGTPM_ERROR, GGTPM_ERROR_FAILED))
    return;
  answer = tpm_get_random (self->tpm, 1, &local_error);
  if (answer != NULL || !g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE))
    return;
  g_clear_error (error);
  *error = g_steal_pointer (&local_error);
}

/*
 * Nothing of a run that somebody ended is in the store, and nobody waits for it: the next one need not go on with it,
 * and State is as before. A run that failed stays `partial`.
 */
static void
forget_cancelled (Steps *self, const GError *error)
{
  g_autoptr (GError) local_error = NULL;

  if (!g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED) || self->entry == NULL ||
      self->entry->ready || self->was_ready)
    return;
  journal_remove (self->journal, self->entry);
  self->entry = NULL;
  if (!journal_save (self->journal, self->config->state_dir, &local_error))
    g_message ("the cancelled provisioning stays in the journal: %s", local_error->message);
}

static gboolean
compare_and_make (Steps *self, gboolean *out_changed, GError **error)
{
  *out_changed = TRUE;
  if (!steps_begin (self, "looking at what is there", 0, error) || !look (self, error))
    return FALSE;
  if (self->token == NULL)
    return steps_make_missing (self, error);
  if (!check_token (self, error))
    return FALSE;
  if (self->key == NULL)
    return steps_make_missing (self, error);
  if (!has_csr (self))
    return steps_make_csr (self, error);
  if (!steps_check_chip (self, FALSE, error))
    return FALSE;
  if (!self->entry->ready)
    /* Cut off between the commit and the journal. */
    return steps_finish_journal (self, error);
  *out_changed = self->restored;
  return TRUE;
}

/* ---- what would be done ---- */

static gboolean
find_missing (Steps *self, GPtrArray *missing, GError **error)
{
  const Plan *plan = self->plan;

  if (!look (self, error))
    return FALSE;
  if (self->token != NULL && (!check_token (self, error) || !steps_check_chip (self, FALSE, error)))
    return FALSE;
  if (!store_exists (self->store))
    g_ptr_array_add (missing, g_strdup ("the token store and its storage root key"));
  if (self->token == NULL)
    g_ptr_array_add (missing, g_strdup_printf ("the token '%s' with its PINs", plan->token));
  if (self->key == NULL)
    g_ptr_array_add (missing,
                     g_strdup_printf ("the key pair '%s', %s", plan->key, plan->algorithm));
  if (self->key == NULL || !has_csr (self))
    g_ptr_array_add (missing, g_strdup_printf ("the certificate request for %s", self->subject));
  else if (!self->entry->ready)
    g_ptr_array_add (missing, g_strdup ("the end of a run that was cut off, in the journal"));
  g_ptr_array_add (missing, NULL);
  return TRUE;
}

static StepsResult *
list_missing (Steps *self, GError **error)
{
  g_autoptr (GPtrArray) missing = g_ptr_array_new_with_free_func (g_free);
  StepsResult *result;

  if (!find_missing (self, missing, error))
    return NULL;
  result = g_new0 (StepsResult, 1);
  result->missing = (char **)g_ptr_array_steal (missing, NULL);
  return result;
}

StepsResult *
steps_run (Tokens *tokens,
           Tpm *tpm,
           const Config *config,
           const Plan *plan,
           StepsProgress progress,
           gpointer user_data,
           GCancellable *cancellable,
           GError **error)
{
  g_auto (Steps) self = { .tokens = tokens,
                          .store = tokens_get_store (tokens),
                          .tpm = tpm,
                          .config = config,
                          .plan = plan,
                          .cancellable = cancellable,
                          .progress = progress,
                          .user_data = user_data };
  g_autoptr (GError) local_error = NULL;
  gboolean changed = FALSE;

  if (!plan_check (plan, error))
    return NULL;
  self.subject = plan_dup_subject (plan);
  if (plan->dry_run)
    return list_missing (&self, error);
  if (compare_and_make (&self, &changed, &local_error))
    return new_result (&self, changed);
  explain_failure (&self, &local_error);
  forget_cancelled (&self, local_error);
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

const char *
steps_get_state (const Config *config)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Journal) journal = journal_load (config->state_dir, &error);

  if (journal == NULL)
    {
      g_debug ("the state of provisioning is unknown: %s", error->message);
      return "unknown";
    }
  if (journal->removing != NULL)
    return "partial";
  if (journal->entries->len == 0)
    return "none";
  for (guint i = 0; i < journal->entries->len; i++)
    {
      const JournalEntry *entry = g_ptr_array_index (journal->entries, i);

      if (!entry->ready)
        return "partial";
    }
  return store_exists_below (config->state_dir) ? "ready" : "partial";
}
