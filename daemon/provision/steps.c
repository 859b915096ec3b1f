/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "steps.h"

#include "common/log.h"
#include "dbus/error.h"
#include "journal.h"
#include "token/helper-jobs.h"
#include "token/primary.h"
#include "token/protocol.h"
#include "token/uri.h"

#include <string.h>

/*
 * One run. What is done is in the order of docs/architecture.md, "Provisioning", which says for every gap between two
 * steps what a cut there leaves and how the next run goes on.
 */
typedef struct
{
  Tokens *tokens;
  Store *store;
  Tpm *tpm;
  const Config *config;
  const Plan *plan;
  GCancellable *cancellable;
  StepsProgress progress;
  gpointer user_data;

  char *subject; /* the plan's, with its default */
  Journal *journal;
  JournalEntry *entry; /* the plan's, in @journal; NULL: none yet */
  gboolean announced;  /* @entry is on disk as it is */

  TokenInfo *token; /* what is there; NULL: no such token */
  TokenKey *key;    /* in @token; NULL: no such key */
  Secret *pin;
  Secret *so_pin;
} Steps;

static void
steps_clear (Steps *self)
{
  g_free (self->subject);
  journal_free (self->journal);
  token_info_free (self->token);
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
  g_free (result);
}

/* Tells where we are, and ends the run if that is wanted: everything before the commit can be thrown away. */
static gboolean
begin_step (Steps *self, const char *step, double progress, GError **error)
{
  if (self->progress != NULL)
    self->progress (step, progress, self->user_data);
  if (!g_cancellable_is_cancelled (self->cancellable))
    return TRUE;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED, "the provisioning was cancelled");
  return FALSE;
}

static char *
sum_of (GBytes *bytes)
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
      g_set_error (
          error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
          "a token '%s' exists that was not provisioned here with these options; it was "
          "not touched. Give another label, or have it completed as it is (exclusive=false)",
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

/* A store of another chip, or of this one before it was cleared, is told also where nothing else is to be done. */
static gboolean
check_chip (Steps *self, gboolean will_login, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (store_check_chip (self->store, self->tpm, &local_error) ||
      (!will_login && g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT)))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

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
  entry->spki_sum = sum_of (spki);
  g_free (entry->csr);
  entry->csr = g_strdup (csr);
}

static gboolean
has_csr (Steps *self)
{
  const JournalEntry *entry = self->entry;
  g_autofree char *sum = sum_of (self->key->spki);

  return entry != NULL && entry->csr != NULL && g_strcmp0 (entry->spki_sum, sum) == 0 &&
         g_str_equal (entry->subject, self->subject);
}

static gboolean
finish_journal (Steps *self, GError **error)
{
  self->entry->ready = TRUE;
  return save_journal (self, error);
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

/* ---- the primary ---- */

/* A PrimaryIntentFunc: what is about to become persistent is in the journal before it does. */
static gboolean
announce_primary (TPM2_HANDLE handle, const TPM2B_NAME *name, gpointer user_data, GError **error)
{
  Steps *self = user_data;
  g_autoptr (GBytes) bytes = g_bytes_new (name->name, name->size);

  self->journal->primary_handle = handle;
  g_free (self->journal->primary_name);
  self->journal->primary_name = protocol_encode_bytes (bytes);
  return save_journal (self, error);
}

/* The library would make one of its own, DA-protected, if it found none in the database when it makes a token. */
static gboolean
provide_primary (Steps *self, StoreChange *change, HelperClient *helper, GError **error)
{
  TPM2_HANDLE handle = 0;
  g_autoptr (GBytes) blob = NULL;
  gboolean created = FALSE;

  if (store_change_has_primary (change))
    return check_chip (self, TRUE, error);
  return begin_step (self, "making the storage root key", 0.1, error) &&
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

  if (!begin_step (self, "drawing the PINs", 0.2, error))
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

  if (!begin_step (self, "making the key pair", 0.5, error))
    return NULL;
  spki = helper_jobs_generate_key (helper, plan->token, self->pin, plan->key, id, plan->algorithm,
                                   self->cancellable, error);
  if (spki == NULL || !begin_step (self, "signing the certificate request", 0.8, error))
    return NULL;
  csr = helper_jobs_make_csr (helper, plan->token, self->pin, id, spki, self->subject,
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
      (!provide_pins (self, error) || !begin_step (self, "making the token", 0.3, error) ||
       !helper_jobs_init_token (helper, self->plan->token, self->so_pin, self->pin,
                                self->cancellable, error)))
    return FALSE;
  spki = make_key (self, helper, id, error);
  /* The helper ends here: its database is whole after that. */
  return spki != NULL && tokens_settle_pss (change, helper, self->plan->token, self->pin, id, spki,
                                            self->cancellable, error);
}

/* A PIN that was given for a token of others has proved itself by now, and consumers need it. */
static gboolean
keep_given_pin (Steps *self, GError **error)
{
  if (self->token == NULL || self->token->pin_stored)
    return TRUE;
  return store_save_pin (self->store, self->plan->token, STORE_PIN_USER, self->pin, error);
}

/* The key pair, and before it the token where there is none. */
static StepsResult *
make_missing (Steps *self, GError **error)
{
  g_autoptr (StoreChange) change = NULL;

  if ((self->token != NULL && !find_pin (self, error)) || !prepare_entry (self, error))
    return NULL;
  change = store_change_new (self->store, error);
  if (change == NULL || !fill_change (self, change, error) || !keep_given_pin (self, error) ||
      /* The CSR first: a key in the store whose CSR is lost would need another signature. */
      !save_journal (self, error) ||
      !begin_step (self, "putting the token store in its place", 0.95, error) ||
      !store_change_commit (change, error) || !finish_journal (self, error))
    return NULL;
  return new_result (self, TRUE);
}

/* The key is there; its CSR is not, or has another subject. */
static StepsResult *
make_csr (Steps *self, GError **error)
{
  g_autofree char *csr = NULL;

  if (!begin_step (self, "signing the certificate request", 0.5, error))
    return NULL;
  csr = tokens_create_csr (self->tokens, self->tpm, self->plan->token, self->key->id, self->subject,
                           self->plan->pin, self->cancellable, error);
  if (csr == NULL || !prepare_entry (self, error))
    return NULL;
  set_csr (self->entry, self->key->spki, csr);
  return finish_journal (self, error) ? new_result (self, TRUE) : NULL;
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

static StepsResult *
compare_and_make (Steps *self, GError **error)
{
  if (!begin_step (self, "looking at what is there", 0, error) || !look (self, error))
    return NULL;
  if (self->token == NULL)
    return make_missing (self, error);
  if (!check_token (self, error))
    return NULL;
  if (self->key == NULL)
    return make_missing (self, error);
  if (!has_csr (self))
    return make_csr (self, error);
  if (!check_chip (self, FALSE, error))
    return NULL;
  if (self->entry->ready)
    return new_result (self, FALSE);
  /* Cut off between the commit and the journal. */
  return finish_journal (self, error) ? new_result (self, TRUE) : NULL;
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
  StepsResult *result = NULL;

  if (!plan_check (plan, error))
    return NULL;
  self.subject = plan_dup_subject (plan);
  result = compare_and_make (&self, &local_error);
  if (result != NULL)
    return result;
  explain_failure (&self, &local_error);
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
