/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "dbus/error.h"
#include "token/protocol.h"
#include "token/tokens-private.h"
#include "token/uri.h"

void
token_check_free (TokenCheck *check)
{
  g_free (check->key);
  g_free (check->check);
  g_free (check->verdict);
  g_free (check->text);
  g_free (check->remedy);
  g_clear_error (&check->error);
  g_free (check);
}

/* Returns what was added. */
static TokenCheck *
add (GPtrArray *checks,
     const char *key,
     const char *id,
     const char *verdict,
     const char *text,
     const char *remedy)
{
  TokenCheck *check = g_new0 (TokenCheck, 1);

  check->key = g_strdup (key);
  check->check = g_strdup (id);
  check->verdict = g_strdup (verdict);
  check->text = g_utf8_make_valid (text, -1);
  check->remedy = g_strdup (remedy);
  g_ptr_array_add (checks, check);
  return check;
}

static void
add_rows (GPtrArray *checks, const char *key, json_object *rows)
{
  static const char *const names[] = { "check", "verdict", "text", "remedy" };

  for (size_t i = 0; rows != NULL && i < json_object_array_length (rows); i++)
    {
      json_object *row = json_object_array_get_idx (rows, i);
      const char *texts[G_N_ELEMENTS (names)];

      for (gsize j = 0; j < G_N_ELEMENTS (names); j++)
        {
          texts[j] = json_object_get_string (json_object_object_get (row, names[j]));
          if (texts[j] == NULL)
            texts[j] = "";
        }
      add (checks, key, texts[0], texts[1], texts[2], texts[3]);
    }
}

/* What a person is to hear of as a verdict, in place of an error of the call. */
static gboolean
is_verdict (const GError *error)
{
  return g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED) ||
         g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT) ||
         g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_STORE) ||
         g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE) ||
         g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_FAILED);
}

static const char *
get_remedy (const GError *error)
{
  if (g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED))
    return "ggtpmctl token unblock";
  if (g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT))
    return "wait for the chip's recovery time, or reset the lockout";
  return "ggtpmctl doctor";
}

static gboolean
verify_key (Tokens *self,
            const char *token,
            const TokenKey *key,
            const Secret *pin,
            GPtrArray *checks,
            GCancellable *cancellable,
            GError **error)
{
  g_autoptr (HelperClient) client =
      helper_client_new_verifier (self->config, store_get_dir (self->store), error);
  g_autofree char *uri = uri_for_object (token, NULL, key->id, "private", NULL);
  g_autofree char *cert_uri = uri_for_object (token, NULL, key->id, "cert", NULL);
  g_autoptr (json_object) answer = NULL;

  if (client == NULL)
    return FALSE;
  answer = helper_jobs_verify (client, pin, uri, cert_uri, key->spki, cancellable, error);
  if (answer == NULL)
    return FALSE;
  add_rows (checks, key->label, answer);
  return TRUE;
}

static gboolean
verify_keys (Tokens *self,
             Tpm *tpm,
             const TokenInfo *info,
             const char *wanted,
             const Secret *given_pin,
             GPtrArray *checks,
             GCancellable *cancellable,
             GError **error)
{
  for (guint i = 0; i < info->keys->len; i++)
    {
      const TokenKey *key = g_ptr_array_index (info->keys, i);
      g_autoptr (GError) local_error = NULL;
      g_autoptr (Secret) pin = NULL;
      TokenCheck *check;

      if (wanted != NULL && !g_str_equal (key->label, wanted))
        continue;
      /* Before each login: one that was refused is the last. */
      pin = tokens_prepare_login (self, tpm, info->label, STORE_PIN_USER, given_pin, &local_error);
      if (pin != NULL &&
          verify_key (self, info->label, key, pin, checks, cancellable, &local_error))
        continue;
      if (!is_verdict (local_error))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
      if (pin != NULL)
        tokens_explain_login_error (self, tpm, info->label, STORE_PIN_USER, given_pin,
                                    &local_error);
      check = add (checks, key->label, "login", "fault", local_error->message,
                   get_remedy (local_error));
      check->error = g_steal_pointer (&local_error);
      break;
    }
  return TRUE;
}

GPtrArray *
tokens_verify (Tokens *self,
               Tpm *tpm,
               const char *token,
               const char *key,
               const Secret *pin,
               GCancellable *cancellable,
               GError **error)
{
  g_autoptr (GPtrArray) checks = g_ptr_array_new_with_free_func ((GDestroyNotify)token_check_free);
  g_autoptr (TokenInfo) info = tokens_find (self, token, cancellable, error);

  if (info == NULL)
    return NULL;
  if (key != NULL && token_info_find_key (info, key) == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND, "the token '%s' has no key '%s'",
                   token, key);
      return NULL;
    }
  if (info->keys->len == 0)
    add (checks, "", "key", "fault", "the token has no key", "ggtpmctl key create");
  if (!verify_keys (self, tpm, info, key, pin, checks, cancellable, error))
    return NULL;
  return g_steal_pointer (&checks);
}
