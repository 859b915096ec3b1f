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

/* What will be done now, in memory. A key id that was drawn before is kept: the same run goes on. */
static gboolean
prepare_entry (Steps *self, GError **error)
{
  JournalEntry *entry = journal_ensure (self->journal, self->plan->token, self->plan->key);

  self->entry = entry;
  /* What was being removed is wanted again. */
  if (g_strcmp0 (self->journal->removing, self->plan->token) == 0)
    g_clear_pointer (&self->journal->removing, g_free);
  /* Without the token there is nothing of what else was once asked for in it. */
  if (self->token == NULL)
    journal_remove_others (self->journal, entry);
  if (self->key != NULL)
    {
      g_free (entry->key_id);
      entry->key_id = protocol_encode_bytes (self->key->id);
    }
  else if (entry->key_id == NULL)
    {
      g_autoptr (Secret) id = secret_new_random_hex (8, NULL, 0);

      if (id == NULL)
        {
          g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                               "the kernel gives no random numbers");
          return FALSE;
        }
      entry->key_id = g_strdup (secret_peek (id));
    }
  g_free (entry->algorithm);
  entry->algorithm = g_strdup (self->plan->algorithm);
  g_free (entry->subject);
  entry->subject = g_strdup (self->subject);
  entry->ready = FALSE;
  self->announced = FALSE;
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
  self->entry->ready = TRUE;
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
  Journal *journal = self->journal;
  g_autoptr (GBytes) bytes = g_bytes_new (name->name, name->size);
  g_autofree char *hex = protocol_encode_bytes (bytes);
  gboolean is_known =
      journal->primary_handle == handle && g_strcmp0 (journal->primary_name, hex) == 0;

  /* One that a run before this made is still ours. */
  journal->primary_made = is_new || (is_known && journal->primary_made);
  journal->primary_handle = handle;
  g_free (journal->primary_name);
  journal->primary_name = g_steal_pointer (&hex);
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
         primary_ensure (self->tpm, announce_primary, self, &handle, &blob, &created, error) &&
         store_change_add_primary (change, g_bytes_get_data (blob, NULL), g_bytes_get_size (blob),
                                   error);
}

/* ---- PINs ---- */

static Secret *
draw_pin (const guint8 *mix, GError **error)
{
  Secret *pin = secret_new_random_pin (mix, SECRET_PIN_LENGTH);

  if (pin == NULL)
    g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                         "the kernel gives no random numbers");
  return pin;
}

/* Given, stored by a run that was cut off, or drawn; in its file and synced before anything is made with it. */
static Secret *
provide_pin (Steps *self, StorePin kind, const Secret *given, const guint8 *mix, GError **error)
{
  g_autoptr (Secret) pin = secret_copy (given);
  g_autoptr (GError) local_error = NULL;

  if (pin == NULL)
    pin = store_load_pin (self->store, self->plan->token, kind, &local_error);
  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return NULL;
    }
  if (pin != NULL && given == NULL)
    return g_steal_pointer (&pin);
  if (pin == NULL)
    pin = draw_pin (mix, error);
  if (pin == NULL || !store_save_pin (self->store, self->plan->token, kind, pin, error))
    return NULL;
  return g_steal_pointer (&pin);
}

static gboolean
provide_pins (Steps *self, GError **error)
{
  const gsize mix_len = 2 * SECRET_PIN_LENGTH;
  g_autofree guint8 *mix = NULL;

  if (!steps_begin (self, "drawing the PINs", 0.2, error))
    return FALSE;
  mix = tpm_get_random (self->tpm, mix_len, error);
  if (mix == NULL)
    return FALSE;
  self->so_pin = provide_pin (self, STORE_PIN_SO, self->plan->so_pin, mix, error);
  if (self->so_pin != NULL)
    self->pin = provide_pin (self, STORE_PIN_USER, self->plan->pin, mix + SECRET_PIN_LENGTH, error);
  secret_wipe (mix, mix_len);
  return self->pin != NULL;
}

/* For a token that is there. */
static gboolean
find_pin (Steps *self, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  self->pin = secret_copy (self->plan->pin);
  if (self->pin == NULL)
    self->pin = store_load_pin (self->store, self->plan->token, STORE_PIN_USER, &local_error);
  if (self->pin != NULL)
    return TRUE;
  if (local_error != NULL)
    g_propagate_error (error, g_steal_pointer (&local_error));
  else
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED,
                 "the token '%s' was not made here: its PIN is needed", self->plan->token);
  return FALSE;
}

/* ---- making what is missing ---- */

/* The key pair and its CSR, by @helper. Returns the public key. */
static GBytes *
make_key (Steps *self, HelperClient *helper, GBytes *id, GError **error)
{
  const Plan *plan = self->plan;
  g_autoptr (GBytes) spki = NULL;
  g_autofree char *csr = NULL;

  if (!steps_begin (self, "making the key pair", 0.5, error))
    return NULL;
  spki = helper_jobs_generate_key (helper, plan->token, self->pin, plan->key, id, plan->algorithm,
                                   self->cancellable, error);
  if (spki == NULL || !steps_begin (self, "signing the certificate request", 0.8, error))
    return NULL;
  csr = helper_jobs_make_csr (helper, plan->token, self->pin, id, spki, self->subject, NULL,
                              self->cancellable, error);
  if (csr == NULL)
    return NULL;
  set_csr (self->entry, spki, csr);
  return g_steal_pointer (&spki);
}

/* Everything that the library does, in the staging directory. */
static gboolean
fill_change (Steps *self, StoreChange *change, GError **error)
{
  g_autoptr (GBytes) id = protocol_decode_bytes (self->entry->key_id);
  g_autoptr (GBytes) spki = NULL;
  g_autoptr (HelperClient) helper =
      helper_client_new (self->config, store_change_get_dir (change), error);

  if (helper == NULL || !provide_primary (self, change, helper, error) ||
      (!self->announced && !save_journal (self, error)))
    return FALSE;
  if (self->token == NULL &&
      (!provide_pins (self, error) || !steps_begin (self, "making the token", 0.3, error) ||
       !helper_jobs_init_token (helper, self->plan->token, self->so_pin, self->pin,
                                self->cancellable, error)))
    return FALSE;
  spki = make_key (self, helper, id, error);
  if (spki == NULL || !tokens_settle_pss (change, helper, self->plan->token, self->pin, id, spki,
                                          self->cancellable, error))
    return FALSE;
  /* The helper ends here: its database is whole after that. */
  self->listing = helper_jobs_list (helper, self->cancellable, error);
  return self->listing != NULL;
}

/* A PIN that was given for a token of others has proved itself by now, and consumers need it. */
static gboolean
keep_given_pin (Steps *self, GError **error)
{
  if (self->token == NULL || self->token->pin_stored)
    return TRUE;
  return store_save_pin (self->store, self->plan->token, STORE_PIN_USER, self->pin, error);
}

static gboolean
commit (Steps *self, StoreChange *change, GError **error)
{
  if (!store_change_commit (change, error))
    return FALSE;
  tokens_remember (self->tokens, change, self->listing);
  return TRUE;
}

gboolean
steps_make_missing (Steps *self, GError **error)
{
  g_autoptr (StoreChange) change = NULL;

  if ((self->token != NULL && !find_pin (self, error)) || !prepare_entry (self, error))
    return FALSE;
  change = store_change_new (self->store, error);
  return change != NULL && fill_change (self, change, error) && keep_given_pin (self, error) &&
         /* The CSR first: a key in the store whose CSR is lost would need another signature. */
         save_journal (self, error) &&
         steps_begin (self, "putting the token store in its place", 0.95, error) &&
         commit (self, change, error) && steps_finish_journal (self, error);
}

gboolean
steps_make_csr (Steps *self, GError **error)
{
  const TokenCsrParams params = { .subject = self->subject };
  g_autofree char *csr = NULL;

  if (!steps_begin (self, "signing the certificate request", 0.5, error))
    return FALSE;
  csr = tokens_create_csr (self->tokens, self->tpm, self->plan->token, self->key->id, &params,
                           self->plan->pin, self->cancellable, error);
  if (csr == NULL || !prepare_entry (self, error))
    return FALSE;
  set_csr (self->entry, self->key->spki, csr);
  return steps_finish_journal (self, error);
}
