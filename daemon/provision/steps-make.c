/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "steps-private.h"

#include "dbus/error.h"
#include "token/helper-jobs.h"
#include "token/primary.h"
#include "token/protocol.h"

/* ---- the journal ---- */

static gboolean
save_journal (Steps *self, GError **error)
{
  self->announced = journal_save (self->journal, self->config->state_dir, error);
  return self->announced;
}

/* A key id that was drawn before is kept: the same run goes on. */
static gboolean
provide_key_id (StepsKey *key, GError **error)
{
  JournalEntry *entry = key->entry;
  g_autoptr (Secret) id = NULL;

  if (key->found != NULL)
    {
      g_free (entry->key_id);
      entry->key_id = protocol_encode_bytes (key->found->id);
    }
  if (entry->key_id != NULL)
    return TRUE;
  id = secret_new_random_hex (8, NULL, 0);
  if (id == NULL)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                           "the kernel gives no random numbers");
      return FALSE;
    }
  entry->key_id = g_strdup (secret_peek (id));
  return TRUE;
}

static gboolean
prepare_entry (Steps *self, StepsKey *key, GError **error)
{
  JournalEntry *entry = journal_ensure (self->journal, self->plan->token, key->plan->label);

  key->entry = entry;
  if (!provide_key_id (key, error))
    return FALSE;
  g_free (entry->algorithm);
  entry->algorithm = g_strdup (key->plan->algorithm);
  g_free (entry->subject);
  entry->subject = g_strdup (key->subject);
  g_free (entry->extensions);
  entry->extensions = g_strdup (key->extensions);
  entry->ready = FALSE;
  self->announced = FALSE;
  return TRUE;
}

static gboolean
is_complete (const StepsKey *key)
{
  return key->found != NULL && !steps_key_needs_csr (key) && !steps_key_needs_certificate (key);
}

static gboolean
is_left_over (const Steps *self, const JournalEntry *entry)
{
  return g_str_equal (entry->token, self->plan->token) &&
         plan_find_key (self->plan, entry->key) == NULL && (self->token == NULL || !entry->ready);
}

gboolean
steps_has_leftovers (const Steps *self)
{
  for (guint i = 0; i < self->journal->entries->len; i++)
    if (is_left_over (self, self->journal->entries->pdata[i]))
      return TRUE;
  return FALSE;
}

static void
forget_leftovers (Steps *self)
{
  for (guint i = self->journal->entries->len; i-- > 0;)
    if (is_left_over (self, self->journal->entries->pdata[i]))
      journal_remove (self->journal, self->journal->entries->pdata[i]);
}

/* What will be done now, in memory. @needs_csr: out, for each key */
static gboolean
prepare_entries (Steps *self, gboolean *needs_csr, GError **error)
{
  forget_leftovers (self);
  /* What was being removed is wanted again. */
  if (g_strcmp0 (self->journal->removing, self->plan->token) == 0)
    g_clear_pointer (&self->journal->removing, g_free);
  for (guint i = 0; i < self->keys->len; i++)
    {
      StepsKey *key = self->keys->pdata[i];

      needs_csr[i] = steps_key_needs_csr (key);
      if (!is_complete (key) && !prepare_entry (self, key, error))
        return FALSE;
    }
  return TRUE;
}

static void
set_csr (JournalEntry *entry, GBytes *spki, const char *csr)
{
  g_free (entry->spki_sum);
  entry->spki_sum = steps_sum (spki);
  g_free (entry->csr);
  entry->csr = g_strdup (csr);
}

gboolean
steps_finish_journal (Steps *self, GError **error)
{
  forget_leftovers (self);
  for (guint i = 0; i < self->keys->len; i++)
    ((StepsKey *)self->keys->pdata[i])->entry->ready = TRUE;
  return save_journal (self, error);
}

/* ---- the primary ---- */

/* A PrimaryIntentFunc: what is about to become persistent is in the journal before it does. */
static gboolean
announce_primary (TPM2_HANDLE handle,
                  const TPM2B_NAME *name,
                  gboolean is_new,
                  gpointer user_data,
                  GError **error)
{
  Steps *self = user_data;
  g_autoptr (GBytes) bytes = g_bytes_new (name->name, name->size);
  g_autofree char *hex = protocol_encode_bytes (bytes);

  journal_set_primary (self->journal, handle, hex, is_new);
  return save_journal (self, error);
}

/* The library would make one of its own, DA-protected, if it found none in the database when it makes a token. */
static gboolean
provide_primary (Steps *self, StoreChange *change, HelperClient *helper, GError **error)
{
  TPM2_HANDLE handle = 0;
  g_autoptr (GBytes) blob = NULL;
  gboolean created = FALSE;

  if (!store_change_drop_stale_primaries (change, self->tpm, error))
    return FALSE;
  if (store_change_has_primary (change))
    return steps_check_chip (self, TRUE, error);
  return steps_begin (self, "making the storage root key", 0.1, error) &&
         helper_jobs_open (helper, self->cancellable, error) &&
         primary_ensure (self->tpm, self->config->state_dir, announce_primary, self, &handle, &blob,
                         &created, error) &&
         store_change_add_primary (change, g_bytes_get_data (blob, NULL), g_bytes_get_size (blob),
                                   error);
}

/* ---- making what is missing ---- */

/* Steps of the keys share what lies between these. */
#define PROGRESS_FIRST_KEY 0.4
#define PROGRESS_LAST_KEY  0.9

static gboolean
begin_for_key (Steps *self, const StepsKey *key, const char *what, double part, GError **error)
{
  guint index = 0;
  double share = (PROGRESS_LAST_KEY - PROGRESS_FIRST_KEY) / self->keys->len;
  g_autofree char *step = NULL;

  g_ptr_array_find (self->keys, key, &index);
  step = self->keys->len > 1 ? g_strdup_printf ("%s of '%s'", what, key->plan->label)
                             : g_strdup (what);
  return steps_begin (self, step, PROGRESS_FIRST_KEY + share * (index + part), error);
}

/* Returns the public key. */
static GBytes *
make_pair (Steps *self,
           StoreChange *change,
           HelperClient *helper,
           const StepsKey *key,
           const HelperKey *made,
           GError **error)
{
  /* Once more: at the start of a run the chip may not have been read yet. */
  if (!begin_for_key (self, key, "making the key pair", 0, error) ||
      !tokens_check_firmware (self->tokens, key->plan->algorithm, error))
    return NULL;
  return tokens_make_pair (change, helper, made, key->plan->label, key->plan->algorithm,
                           self->cancellable, error);
}

static gboolean
make_csr (Steps *self,
          HelperClient *helper,
          const StepsKey *key,
          const HelperKey *made,
          GBytes *spki,
          GError **error)
{
  g_autofree char *csr = NULL;

  if (!begin_for_key (self, key, "signing the certificate request", 0.6, error))
    return FALSE;
  csr = helper_jobs_make_csr (helper, made, spki, key->subject, &key->plan->extensions, 0,
                              self->cancellable, error);
  if (csr == NULL)
    return FALSE;
  set_csr (key->entry, spki, csr);
  return TRUE;
}

static gboolean
make_certificate (Steps *self,
                  HelperClient *helper,
                  const StepsKey *key,
                  const HelperKey *made,
                  GBytes *spki,
                  GError **error)
{
  const PlanKey *plan = key->plan;
  g_autofree char *pem = NULL;
  g_autoptr (GBytes) der = NULL;

  if (!begin_for_key (self, key, "making a self-signed certificate", 0.8, error))
    return FALSE;
  pem = helper_jobs_make_csr (helper, made, spki, key->subject, &plan->extensions, plan->days,
                              self->cancellable, error);
  der = pem != NULL ? tokens_decode_certificate (pem, FALSE, error) : NULL;
  return der != NULL &&
         helper_jobs_put_certificate (helper, made, plan->label, der, self->cancellable, error);
}

/* What of it is missing, by @helper. */
static gboolean
make_key (Steps *self,
          StoreChange *change,
          HelperClient *helper,
          const StepsKey *key,
          gboolean needs_csr,
          GError **error)
{
  g_autoptr (GBytes) id = protocol_decode_bytes (key->entry->key_id);
  const HelperKey made = { self->plan->token, self->pin, id };
  g_autoptr (GBytes) spki = key->found != NULL
                                ? g_bytes_ref (key->found->spki)
                                : make_pair (self, change, helper, key, &made, error);

  return spki != NULL && (!needs_csr || make_csr (self, helper, key, &made, spki, error)) &&
         (!steps_key_needs_certificate (key) ||
          make_certificate (self, helper, key, &made, spki, error));
}

static gboolean
make_keys (Steps *self,
           StoreChange *change,
           HelperClient *helper,
           const gboolean *needs_csr,
           GError **error)
{
  for (guint i = 0; i < self->keys->len; i++)
    {
      const StepsKey *key = self->keys->pdata[i];

      if (!key->entry->ready && !make_key (self, change, helper, key, needs_csr[i], error))
        return FALSE;
    }
  return TRUE;
}

/* Everything that the library does, in the staging directory. */
static gboolean
fill_change (Steps *self, StoreChange *change, const gboolean *needs_csr, GError **error)
{
  g_autoptr (HelperClient) helper =
      helper_client_new_writer (self->config, store_change_get_dir (change), error);
  g_autoptr (GError) local_error = NULL;

  if (helper == NULL || !provide_primary (self, change, helper, error) ||
      (!self->announced && !save_journal (self, error)))
    return FALSE;
  if (self->token == NULL &&
      (!steps_provide_pins (self, error) || !steps_begin (self, "making the token", 0.3, error) ||
       !helper_jobs_init_token (helper, self->plan->token, self->so_pin, self->pin,
                                self->cancellable, error)))
    return FALSE;
  if (!make_keys (self, change, helper, needs_csr, &local_error))
    {
      steps_note_refusal (self, local_error);
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  /* The helper ends here: its database is whole after that. */
  self->listing = helper_jobs_list (helper, self->cancellable, error);
  return self->listing != NULL;
}

static gboolean
commit (Steps *self, StoreChange *change, GError **error)
{
  /* A PIN that a run before this one has left is not known to have been drawn. */
  if (!store_note_drawn_pins (self->store, change, self->plan->token, self->pin_drawn,
                              self->so_pin_drawn, error) ||
      !store_change_commit (change, error))
    return FALSE;
  tokens_remember (self->tokens, change, self->listing);
  return TRUE;
}

gboolean
steps_make_missing (Steps *self, GError **error)
{
  g_autoptr (StoreChange) change = NULL;
  g_autofree gboolean *needs_csr = g_new0 (gboolean, self->keys->len);

  if ((self->token != NULL && !steps_find_pin (self, error)) ||
      !prepare_entries (self, needs_csr, error))
    return FALSE;
  change = store_change_new (self->store, error);
  return change != NULL && fill_change (self, change, needs_csr, error) &&
         steps_keep_given_pin (self, error) &&
         /* The CSRs first: a key in the store whose CSR is lost would need another signature. */
         save_journal (self, error) &&
         steps_begin (self, "putting the token store in its place", 0.95, error) &&
         commit (self, change, error) && steps_finish_journal (self, error);
}

gboolean
steps_make_csrs (Steps *self, GError **error)
{
  for (guint i = 0; i < self->keys->len; i++)
    {
      StepsKey *key = self->keys->pdata[i];
      const TokenCsrParams params = { .subject = key->subject,
                                      .extensions = key->plan->extensions };
      g_autofree char *csr = NULL;

      if (!steps_key_needs_csr (key))
        continue;
      if (!begin_for_key (self, key, "signing the certificate request", 0.5, error))
        return FALSE;
      csr = tokens_create_csr (self->tokens, self->tpm, self->plan->token, key->found->id, &params,
                               self->plan->pin, self->cancellable, error);
      if (csr == NULL || !prepare_entry (self, key, error))
        return FALSE;
      set_csr (key->entry, key->found->spki, csr);
    }
  return steps_finish_journal (self, error);
}
