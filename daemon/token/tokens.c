/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "tokens.h"

#include "dbus/error.h"
#include "token/protocol.h"
#include "token/tokens-private.h"

#include <string.h>

/* ---- arguments ---- */

gboolean
tokens_check_label (const char *label, const char *what, GError **error)
{
  gsize len = strlen (label);
  const char *wrong = NULL;

  if (len == 0)
    wrong = "is empty";
  else if (len > TOKENS_MAX_LABEL)
    wrong = "is longer than 32 bytes";
  else if (!g_utf8_validate (label, -1, NULL))
    wrong = "is not UTF-8";
  else if (strpbrk (label, ";=%/") != NULL)
    wrong = "contains one of ; = % /";
  for (const char *c = label; wrong == NULL && *c != '\0'; c = g_utf8_next_char (c))
    if (g_unichar_iscntrl (g_utf8_get_char (c)))
      wrong = "contains a control character";
  /* PKCS#11 pads labels with blanks. */
  if (wrong == NULL && (label[0] == ' ' || label[len - 1] == ' '))
    wrong = "begins or ends with a blank";
  if (wrong == NULL)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s %s", what, wrong);
  return FALSE;
}

gboolean
tokens_check_algorithm (const char *algorithm, GError **error)
{
  if (strcmp (algorithm, PROTOCOL_ALGORITHM_ECC_P256) == 0 ||
      strcmp (algorithm, PROTOCOL_ALGORITHM_RSA_2048) == 0)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED,
               "algorithm '%s' is not supported: %s and %s are", algorithm,
               PROTOCOL_ALGORITHM_ECC_P256, PROTOCOL_ALGORITHM_RSA_2048);
  return FALSE;
}

/* ---- the warm signer ---- */

void
tokens_forget_login (Tokens *self)
{
  g_clear_pointer (&self->logged_in, g_free);
}

void
tokens_drop_signer (Tokens *self)
{
  g_clear_pointer (&self->signer, helper_client_free);
  g_clear_pointer (&self->signer_stamp, g_free);
  g_clear_pointer (&self->infos, g_ptr_array_unref);
  tokens_forget_login (self);
}

Tokens *
tokens_new (const Config *config, GError **error)
{
  g_autoptr (Tokens) self = g_new0 (Tokens, 1);

  g_mutex_init (&self->refusal_lock);
  self->config = config;
  self->store = store_new (config, error);
  return self->store != NULL ? g_steal_pointer (&self) : NULL;
}

void
tokens_free (Tokens *self)
{
  if (self == NULL)
    return;
  tokens_drop_signer (self);
  g_clear_pointer (&self->listing, json_object_put);
  g_free (self->listing_stamp);
  store_free (self->store);
  g_free (self->rsa_refusal);
  g_mutex_clear (&self->refusal_lock);
  g_free (self);
}

Store *
tokens_get_store (Tokens *self)
{
  return self->store;
}

HelperClient *
tokens_get_signer (Tokens *self, GError **error)
{
  g_autofree char *stamp = store_get_stamp (self->store);

  if (self->signer != NULL && helper_client_is_usable (self->signer) &&
      strcmp (stamp, self->signer_stamp) == 0)
    return self->signer;
  tokens_drop_signer (self);
  if (!store_check_database (self->store, error))
    return NULL;
  self->signer = helper_client_new (self->config, store_get_dir (self->store), error);
  self->signer_stamp = g_steal_pointer (&stamp);
  return self->signer;
}

/* ---- listing ---- */

static void
set_listing (Tokens *self, json_object *listing, const char *stamp)
{
  g_clear_pointer (&self->listing, json_object_put);
  g_free (self->listing_stamp);
  self->listing = json_object_get (listing);
  self->listing_stamp = g_strdup (stamp);
}

void
tokens_remember (Tokens *self, StoreChange *change, json_object *listing)
{
  const char *stamp = store_change_get_stamp (change);

  if (listing != NULL && stamp != NULL)
    set_listing (self, listing, stamp);
}

/* So that self->listing is of the database as it is. */
static gboolean
refresh_listing (Tokens *self, GCancellable *cancellable, GError **error)
{
  g_autofree char *stamp = store_get_stamp (self->store);
  g_autoptr (json_object) listing = NULL;
  HelperClient *signer;

  if (self->listing != NULL && strcmp (stamp, self->listing_stamp) == 0)
    return TRUE;
  signer = tokens_get_signer (self, error);
  listing = signer != NULL ? helper_jobs_list (signer, cancellable, error) : NULL;
  if (listing == NULL)
    return FALSE;
  set_listing (self, listing, self->signer_stamp);
  return TRUE;
}

GPtrArray *
tokens_list (Tokens *self, GCancellable *cancellable, GError **error)
{
  if (!store_exists (self->store))
    return g_ptr_array_new_with_free_func ((GDestroyNotify)token_info_free);
  return refresh_listing (self, cancellable, error)
             ? token_info_parse_list (self->listing, self->store, error)
             : NULL;
}

static gboolean
set_no_token (const char *token, GError **error)
{
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND, "there is no token '%s'", token);
  return FALSE;
}

TokenInfo *
tokens_find (Tokens *self, const char *token, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) infos = tokens_list (self, cancellable, error);

  if (infos == NULL)
    return NULL;
  for (guint i = 0; i < infos->len; i++)
    {
      TokenInfo *info = infos->pdata[i];

      if (strcmp (info->label, token) == 0)
        return g_ptr_array_steal_index (infos, i);
    }
  set_no_token (token, error);
  return NULL;
}

TokenInfo *
tokens_find_info (Tokens *self, const char *token, GCancellable *cancellable, GError **error)
{
  if (store_exists (self->store) && tokens_get_signer (self, error) == NULL)
    return NULL;
  if (self->infos == NULL)
    self->infos = tokens_list (self, cancellable, error);
  if (self->infos == NULL)
    return NULL;
  for (guint i = 0; i < self->infos->len; i++)
    if (strcmp (((TokenInfo *)self->infos->pdata[i])->label, token) == 0)
      return self->infos->pdata[i];
  set_no_token (token, error);
  return NULL;
}

TokenKey *
tokens_find_key (Tokens *self,
                 const char *token,
                 GBytes *id,
                 GCancellable *cancellable,
                 GError **error)
{
  TokenInfo *info = tokens_find_info (self, token, cancellable, error);
  TokenKey *key = info != NULL ? token_info_find_key_by_id (info, id) : NULL;
  g_autofree char *hex = NULL;

  if (info == NULL || key != NULL)
    return key;
  hex = protocol_encode_bytes (id);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND, "token '%s' has no key of id %s", token,
               hex);
  return NULL;
}

/* ---- logging in ---- */

static const char *
name_pin (StorePin kind)
{
  return kind == STORE_PIN_USER ? "user PIN" : "SO PIN";
}

Secret *
tokens_get_pin (Tokens *self, const char *token, StorePin kind, const Secret *given, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  Secret *pin;

  if (given != NULL)
    return secret_copy (given);
  pin = store_load_login_pin (self->store, token, kind, &local_error);
  if (local_error != NULL)
    g_propagate_error (error, g_steal_pointer (&local_error));
  else if (pin == NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED,
                 "the %s of token '%s' is not stored here: it has to be given", name_pin (kind),
                 token);
  return pin;
}

Secret *
tokens_prepare_login (Tokens *self,
                      Tpm *tpm,
                      const char *token,
                      StorePin kind,
                      const Secret *given,
                      GError **error)
{
  g_autoptr (Secret) pin = NULL;
  gboolean found = FALSE;

  if (!store_has_token (self->store, token, &found, error))
    return NULL;
  if (!found)
    {
      set_no_token (token, error);
      return NULL;
    }
  pin = tokens_get_pin (self, token, kind, given, error);
  if (pin == NULL || !store_check_chip (self->store, tpm, error))
    return NULL;
  return g_steal_pointer (&pin);
}

void
tokens_explain_login_error (Tokens *self,
                            Tpm *tpm,
                            const char *token,
                            StorePin kind,
                            const Secret *given,
                            GError **error)
{
  g_autofree char *tries = NULL;
  g_autoptr (GError) old = NULL;

  if (error == NULL || !g_error_matches (*error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED))
    return;
  if (given == NULL)
    store_note_refused_pin (self->store, token, kind);
  tries = store_describe_tries (tpm);
  old = g_steal_pointer (error);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED, "the %s%s of token '%s' is wrong: %s",
               given == NULL ? "stored " : "", kind == STORE_PIN_USER ? "PIN" : "SO PIN", token,
               tries);
}

/* ---- changing the store ---- */

void
writer_free (Writer *writer)
{
  g_clear_pointer (&writer->client, helper_client_free);
  g_clear_pointer (&writer->change, store_change_free);
  g_free (writer);
}
Writer *
writer_new (Tokens *self, GError **error)
{
  g_autoptr (Writer) writer = g_new0 (Writer, 1);

  writer->change = store_change_new (self->store, error);
  if (writer->change == NULL)
    return NULL;
  writer->client =
      helper_client_new_writer (self->config, store_change_get_dir (writer->change), error);
  return writer->client != NULL ? g_steal_pointer (&writer) : NULL;
}

gboolean
tokens_commit (Tokens *self, StoreChange *change, GError **error)
{
  if (!store_change_commit (change, error))
    return FALSE;
  tokens_drop_signer (self);
  return TRUE;
}

gboolean
tokens_remove (Tokens *self,
               const char *token,
               GBytes *primary_name,
               gboolean *out_primary_used,
               GError **error)
{
  g_autoptr (StoreChange) change = NULL;

  *out_primary_used = FALSE;
  if (!store_exists (self->store))
    return TRUE;
  change = store_change_new (self->store, error);
  return change != NULL &&
         store_change_remove_token (change, token, primary_name, out_primary_used, error) &&
         tokens_commit (self, change, error);
}

gboolean
writer_commit (Writer *writer, Tokens *self, GError **error)
{
  g_autoptr (json_object) listing =
      writer->listing_is_wrong ? NULL : helper_jobs_list (writer->client, NULL, NULL);

  g_clear_pointer (&writer->client, helper_client_free);
  if (!store_change_commit (writer->change, error))
    return FALSE;
  tokens_remember (self, writer->change, listing);
  tokens_drop_signer (self);
  return TRUE;
}
