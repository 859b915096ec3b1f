/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "tokens-private.h"

#include "dbus/error.h"
#include "token/protocol.h"

static const struct
{
  const char *job;
  StorePin proved;
  StorePin changed;
} changes[] = {
  [TOKENS_CHANGE_PIN] = { PROTOCOL_JOB_CHANGE_PIN, STORE_PIN_USER, STORE_PIN_USER },
  [TOKENS_UNBLOCK_PIN] = { PROTOCOL_JOB_INIT_PIN, STORE_PIN_SO, STORE_PIN_USER },
  [TOKENS_CHANGE_SO_PIN] = { PROTOCOL_JOB_CHANGE_SO_PIN, STORE_PIN_SO, STORE_PIN_SO },
};

gboolean
tokens_check_pin (const Secret *pin, GError **error)
{
  const char *text = secret_peek (pin);

  if (!g_utf8_validate_len (text, secret_get_length (pin), NULL))
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                           "the new PIN is not UTF-8");
      return FALSE;
    }
  for (const char *c = text; *c != '\0'; c = g_utf8_next_char (c))
    if (g_unichar_iscntrl (g_utf8_get_char (c)))
      {
        g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                             "the new PIN contains a control character");
        return FALSE;
      }
  return TRUE;
}

static Secret *
draw_pin (Tpm *tpm, GError **error)
{
  g_autofree guint8 *mix = tpm_get_random (tpm, SECRET_PIN_LENGTH, error);
  Secret *pin = mix != NULL ? secret_new_random_pin (mix, SECRET_PIN_LENGTH) : NULL;

  if (mix != NULL)
    secret_wipe (mix, SECRET_PIN_LENGTH);
  if (mix != NULL && pin == NULL)
    g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                         "the kernel gives no random numbers");
  return pin;
}

/* Given ones are kept where the old one was: who wants to keep a PIN from the daemon does not leave it there before. */
static gboolean
is_kept (Tokens *self, const char *token, StorePin kind, const Secret *new_pin)
{
  g_autofree char *path = store_get_pin_path (self->store, token, kind);

  return new_pin == NULL || g_file_test (path, G_FILE_TEST_EXISTS);
}

/* In the copy; a user PIN has unsealed what it is for before it is in the store. */
static gboolean
change_copy (Writer *writer,
             const char *token,
             TokensPinChange change,
             const Secret *pin,
             const Secret *new_pin,
             GCancellable *cancellable,
             GError **error)
{
  if (!helper_jobs_change_pin (writer->client, changes[change].job, token, pin, new_pin,
                               cancellable, error))
    return FALSE;
  return changes[change].changed == STORE_PIN_SO ||
         (helper_jobs_reopen (writer->client, cancellable, error) &&
          helper_jobs_login (writer->client, token, new_pin, cancellable, error));
}

gboolean
tokens_change_pin (Tokens *self,
                   Tpm *tpm,
                   const char *token,
                   TokensPinChange change,
                   const Secret *given_pin,
                   const Secret *given_new_pin,
                   GCancellable *cancellable,
                   GError **error)
{
  StorePin proved = changes[change].proved, changed = changes[change].changed;
  g_autoptr (Secret) pin = NULL;
  g_autoptr (Secret) new_pin = NULL;
  g_autoptr (Writer) writer = NULL;
  gboolean kept = is_kept (self, token, changed, given_new_pin);

  if (given_new_pin != NULL && !tokens_check_pin (given_new_pin, error))
    return FALSE;
  pin = tokens_prepare_login (self, tpm, token, proved, given_pin, error);
  if (pin == NULL || !store_settle (self->store, error))
    return FALSE;
  new_pin = given_new_pin != NULL ? secret_copy (given_new_pin) : draw_pin (tpm, error);
  writer = new_pin != NULL ? writer_new (self, error) : NULL;
  if (writer == NULL)
    return FALSE;
  if (!change_copy (writer, token, change, pin, new_pin, cancellable, error))
    {
      tokens_explain_login_error (self, tpm, token, proved, given_pin, error);
      return FALSE;
    }
  if (kept && !store_stage_pin (self->store, writer->change, token, changed, new_pin, error))
    return FALSE;
  if (given_new_pin == NULL &&
      !store_note_drawn_pins (self->store, writer->change, token, changed == STORE_PIN_USER,
                              changed == STORE_PIN_SO, error))
    return FALSE;
  if (!writer_commit (writer, self, error))
    {
      g_autoptr (GError) local_error = NULL;

      if (!store_settle (self->store, &local_error))
        g_message ("%s: it is settled at the next start", local_error->message);
      return FALSE;
    }
  return store_settle (self->store, error);
}
