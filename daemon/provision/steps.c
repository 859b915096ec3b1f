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
steps_key_free (gpointer data)
{
  StepsKey *key = data;

  g_free (key->subject);
  g_free (key->extensions);
  g_free (key);
}

static void
steps_clear (Steps *self)
{
  g_ptr_array_unref (self->keys);
  journal_free (self->journal);
  token_info_free (self->token);
  g_clear_pointer (&self->listing, json_object_put);
  secret_free (self->pin);
  secret_free (self->so_pin);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Steps, steps_clear)

static void
steps_result_key_free (gpointer data)
{
  StepsResultKey *key = data;

  g_clear_pointer (&key->id, g_bytes_unref);
  g_free (key->uri);
  g_free (key->csr);
  g_free (key->label);
  g_free (key);
}

void
steps_result_free (StepsResult *result)
{
  if (result == NULL)
    return;
  g_free (result->token);
  g_ptr_array_unref (result->keys);
  g_strfreev (result->missing);
  g_strfreev (result->warnings);
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

static void
add_keys (Steps *self)
{
  for (guint i = 0; i < self->plan->keys->len; i++)
    {
      StepsKey *key = g_new0 (StepsKey, 1);

      key->plan = self->plan->keys->pdata[i];
      key->subject = plan_key_dup_subject (key->plan);
      key->extensions = plan_key_dup_extensions (key->plan);
      key->entry = journal_find (self->journal, self->plan->token, key->plan->label);
      key->was_ready = key->entry != NULL && key->entry->ready;
      if (self->token != NULL)
        key->found = token_info_find_key (self->token, key->plan->label);
      g_ptr_array_add (self->keys, key);
    }
}

static gboolean
look (Steps *self, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  self->journal = journal_load (self->config->state_dir, error);
  if (self->journal == NULL)
    return FALSE;
  /* On a new device nothing need be asked: that would be one more start of the helper. */
  if (store_exists (self->store))
    self->token = tokens_find (self->tokens, self->plan->token, self->cancellable, &local_error);
  if (local_error != NULL && !g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  add_keys (self);
  return TRUE;
}

static gboolean
has_id (const TokenKey *key, const char *id)
{
  g_autofree char *key_id = protocol_encode_bytes (key->id);

  return g_str_equal (key_id, id);
}

static gboolean
is_as_asked_for (const StepsKey *key)
{
  return key->entry != NULL && g_str_equal (key->entry->subject, key->subject) &&
         g_strcmp0 (key->entry->extensions, key->extensions) == 0;
}

/*
 * Whether the token is one that we provisioned with the same options. Our commits put token and keys in place together,
 * so a token without our key is ours only if it was complete once.
 */
static gboolean
is_ours_with_options (const Steps *self)
{
  for (guint i = 0; i < self->keys->len; i++)
    {
      const StepsKey *key = self->keys->pdata[i];
      const JournalEntry *entry = key->entry;

      if (!is_as_asked_for (key) || !g_str_equal (entry->algorithm, key->plan->algorithm) ||
          !(key->found != NULL ? has_id (key->found, entry->key_id) : entry->ready))
        return FALSE;
    }
  return TRUE;
}

/* Whether we made it, with whatever in it. */
static gboolean
is_ours (const Steps *self)
{
  for (guint i = 0; i < self->journal->entries->len; i++)
    {
      const JournalEntry *entry = self->journal->entries->pdata[i];
      const TokenKey *key;

      if (!g_str_equal (entry->token, self->plan->token))
        continue;
      key = token_info_find_key (self->token, entry->key);
      if (entry->ready || (key != NULL && has_id (key, entry->key_id)))
        return TRUE;
    }
  return FALSE;
}

static gboolean
check_algorithms (const Steps *self, GError **error)
{
  for (guint i = 0; i < self->keys->len; i++)
    {
      const StepsKey *key = self->keys->pdata[i];

      if (key->found == NULL || g_str_equal (key->found->algorithm, key->plan->algorithm))
        continue;
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
                   "the token '%s' has a key '%s' that is %s, not %s; it was not touched",
                   self->plan->token, key->plan->label, key->found->algorithm,
                   key->plan->algorithm);
      return FALSE;
    }
  return TRUE;
}

/* Before anything is made, also in a dry run: no run would come further. */
static gboolean
check_firmware (const Steps *self, GError **error)
{
  for (guint i = 0; i < self->keys->len; i++)
    {
      const StepsKey *key = self->keys->pdata[i];

      if (key->found != NULL || tokens_check_firmware (self->tokens, key->plan->algorithm, error))
        continue;
      g_prefix_error (error, "key '%s': ", key->plan->label);
      return FALSE;
    }
  return TRUE;
}

/* Whether what is there may be completed to what the plan says. */
static gboolean
check_token (Steps *self, GError **error)
{
  const Plan *plan = self->plan;

  if (plan->exclusive && !(plan->declared ? is_ours (self) : is_ours_with_options (self)))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
                   "a token '%s' exists that was not provisioned here%s; it was not touched. Give "
                   "another label, or have it completed as it is",
                   plan->token, plan->declared ? "" : " with these options");
      return FALSE;
    }
  return check_algorithms (self, error) && steps_check_given_pins (self, error);
}

gboolean
steps_check_chip (Steps *self, gboolean will_login, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  gboolean fits = store_check_chip (self->store, self->tpm, &local_error);

  if (self->plan->dry_run && !fits && store_misses_primary (self->store, self->tpm))
    {
      self->restored = TRUE;
      return TRUE;
    }
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

/* ---- what is missing ---- */

gboolean
steps_key_needs_csr (const StepsKey *key)
{
  const JournalEntry *entry = key->entry;
  g_autofree char *sum = key->found != NULL ? steps_sum (key->found->spki) : NULL;

  return sum == NULL || entry == NULL || entry->csr == NULL ||
         g_strcmp0 (entry->spki_sum, sum) != 0 || !is_as_asked_for (key);
}

gboolean
steps_key_needs_certificate (const StepsKey *key)
{
  return plan_key_is_self_signed (key->plan) &&
         (key->found == NULL || key->found->certificate == NULL);
}

/* What a run would have to do. */
typedef struct
{
  gboolean store; /* the store changes: the token, a key, a certificate */
  gboolean csr;
  gboolean readers;
  gboolean journal; /* a run was cut off, or began what is not wanted any more */
} Missing;

static gboolean
compare (Steps *self, Missing *missing, GError **error)
{
  gboolean readers = FALSE;

  if (!look (self, error) ||
      !(self->token != NULL ? check_token (self, error) : steps_check_credentials (self, error)) ||
      !check_firmware (self, error) || !steps_readers_differ (self, &readers, error))
    return FALSE;
  missing->readers = readers;
  missing->store = self->token == NULL;
  missing->journal = self->token != NULL && steps_has_leftovers (self);
  for (guint i = 0; i < self->keys->len; i++)
    {
      const StepsKey *key = self->keys->pdata[i];

      missing->store |= key->found == NULL || steps_key_needs_certificate (key);
      missing->csr |= steps_key_needs_csr (key);
      missing->journal |= key->entry != NULL && !key->entry->ready;
    }
  return TRUE;
}

static gboolean
compare_and_make (Steps *self, gboolean *out_changed, GError **error)
{
  Missing missing = { FALSE };

  if (!steps_begin (self, "looking at what is there", 0, error) || !compare (self, &missing, error))
    return FALSE;
  *out_changed = missing.store || missing.csr || missing.readers || missing.journal;
  if (missing.store)
    return steps_make_missing (self, error) && steps_set_readers (self, error);
  if (missing.csr)
    return steps_make_csrs (self, error) && steps_set_readers (self, error);
  if (!steps_check_chip (self, FALSE, error) || !steps_set_readers (self, error) ||
      (missing.journal && !steps_finish_journal (self, error)))
    return FALSE;
  *out_changed |= self->restored;
  return TRUE;
}

static void
list_of_key (const StepsKey *key, GPtrArray *texts)
{
  const PlanKey *plan = key->plan;

  if (key->found == NULL)
    g_ptr_array_add (texts,
                     g_strdup_printf ("the key pair '%s', %s", plan->label, plan->algorithm));
  if (steps_key_needs_csr (key))
    g_ptr_array_add (texts, g_strdup_printf ("the certificate request for %s", key->subject));
  if (steps_key_needs_certificate (key))
    g_ptr_array_add (texts, g_strdup_printf ("a self-signed certificate for %s, valid for %u days",
                                             key->subject, plan->days));
}

/* For people. */
static char **
list_missing (Steps *self, GError **error)
{
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
  Missing missing = { FALSE };

  if (!compare (self, &missing, error) ||
      (self->token != NULL && !steps_check_chip (self, FALSE, error)))
    return NULL;
  if (!store_exists (self->store))
    g_ptr_array_add (texts, g_strdup ("the token store and its storage root key"));
  if (self->restored)
    g_ptr_array_add (
        texts,
        g_strdup ("the storage root key, which was evicted, if this TPM makes the same one"));
  if (self->token == NULL)
    g_ptr_array_add (texts, g_strdup_printf ("the token '%s' with its PINs", self->plan->token));
  for (guint i = 0; i < self->keys->len; i++)
    list_of_key (self->keys->pdata[i], texts);
  if (missing.readers)
    g_ptr_array_add (texts, g_strdup_printf ("who may read the PIN of '%s'", self->plan->token));
  if (missing.journal && !missing.store && !missing.csr)
    g_ptr_array_add (texts, g_strdup ("the end of a run that was cut off, in the journal"));
  g_ptr_array_add (texts, NULL);
  return (char **)g_ptr_array_steal (texts, NULL);
}

/* ---- the result ---- */

static StepsResultKey *
describe_key (const Steps *self, const StepsKey *key)
{
  StepsResultKey *result = g_new0 (StepsResultKey, 1);
  gboolean is_made = key->found != NULL || (key->entry != NULL && !self->plan->dry_run);

  result->label = g_strdup (key->plan->label);
  if (!is_made)
    return result;
  result->id = key->found != NULL ? g_bytes_ref (key->found->id)
                                  : protocol_decode_bytes (key->entry->key_id);
  result->uri = key->found != NULL
                    ? g_strdup (key->found->uri)
                    : uri_for_object (self->plan->token, key->plan->label, NULL, "private", NULL);
  if (!self->plan->dry_run || !steps_key_needs_csr (key))
    result->csr = g_strdup (key->entry->csr);
  return result;
}

static StepsResult *
new_result (Steps *self, gboolean changed)
{
  StepsResult *result = g_new0 (StepsResult, 1);
  char *warning = steps_dup_pin_warning (self);

  result->token = g_strdup (self->plan->token);
  result->changed = changed;
  result->keys = g_ptr_array_new_with_free_func (steps_result_key_free);
  for (guint i = 0; i < self->keys->len; i++)
    g_ptr_array_add (result->keys, describe_key (self, self->keys->pdata[i]));
  result->warnings = g_new0 (char *, 2);
  result->warnings[0] = warning;
  return result;
}

static void
tell_end (Steps *self, gboolean changed)
{
  if (changed)
    log_event (LOG_EVENT_PROVISIONED, "token '%s' is ready with key '%s'%s", self->plan->token,
               ((PlanKey *)self->plan->keys->pdata[0])->label,
               self->plan->keys->len > 1 ? " and others" : "");
  if (self->progress != NULL)
    self->progress ("done", 1, self->user_data);
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
  gboolean changed = FALSE;

  if (!g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED))
    return;
  for (guint i = 0; i < self->keys->len; i++)
    {
      StepsKey *key = self->keys->pdata[i];

      if (key->entry == NULL || key->entry->ready || key->was_ready)
        continue;
      journal_remove (self->journal, key->entry);
      key->entry = NULL;
      changed = TRUE;
    }
  if (changed && !journal_save (self->journal, self->config->state_dir, &local_error))
    g_message ("the cancelled provisioning stays in the journal: %s", local_error->message);
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
                          .user_data = user_data,
                          .keys = g_ptr_array_new_with_free_func (steps_key_free) };
  g_autoptr (GError) local_error = NULL;
  gboolean changed = FALSE;
  StepsResult *result;
  g_auto (GStrv) missing = NULL;

  if (!plan_check (plan, error))
    return NULL;
  if (plan->dry_run ? (missing = list_missing (&self, error)) == NULL
                    : !compare_and_make (&self, &changed, &local_error))
    {
      if (local_error != NULL)
        {
          explain_failure (&self, &local_error);
          forget_cancelled (&self, local_error);
          g_propagate_error (error, g_steal_pointer (&local_error));
        }
      return NULL;
    }
  result = new_result (&self, changed);
  result->missing = g_steal_pointer (&missing);
  if (!plan->dry_run)
    tell_end (&self, changed);
  return result;
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
