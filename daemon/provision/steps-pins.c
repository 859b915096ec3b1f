/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "steps-private.h"

#include "dbus/error.h"
#include "dbus/names.h"
#include "token/pin-readers.h"

#include <gio/gio.h>

/* systemd's, for units with LoadCredential= and the like. */
#define CREDENTIALS_VARIABLE "CREDENTIALS_DIRECTORY"

static const Secret *
get_given (const Steps *self, StorePin kind)
{
  return kind == STORE_PIN_SO ? self->plan->so_pin : self->plan->pin;
}

static gboolean
is_possible_length (const Secret *pin)
{
  return secret_get_length (pin) > 0 && secret_get_length (pin) <= GGTPM_PIN_MAX_BYTES;
}

/* NULL without error if there is none; one that somebody named has to be there. */
static Secret *
load_credential (const Steps *self, StorePin kind, GError **error)
{
  const char *dir = g_getenv (CREDENTIALS_VARIABLE);
  const char *name =
      kind == STORE_PIN_SO ? self->plan->so_pin_credential : self->plan->pin_credential;
  const char *usual = kind == STORE_PIN_SO ? PLAN_CREDENTIAL_SO_PIN : PLAN_CREDENTIAL_PIN;
  g_autofree char *path = dir != NULL ? g_build_filename (dir, name, NULL) : NULL;
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Secret) pin = path != NULL ? secret_read_file (path, &local_error) : NULL;

  if (pin == NULL && local_error != NULL &&
      !g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "the credential %s: %s", name,
                 local_error->message);
  else if (pin == NULL && !g_str_equal (name, usual))
    g_set_error (
        error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
        "ggtpmd has no credential %s: LoadCredential= in a drop-in of ggtpmd.service gives "
        "it one",
        name);
  if (pin == NULL || (is_possible_length (pin) && tokens_check_pin (pin, &local_error)))
    return g_steal_pointer (&pin);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "the credential %s is no PIN: %s",
               name, local_error != NULL ? local_error->message : "1 to 128 bytes are possible");
  return NULL;
}

/* ---- a new token ---- */

static Secret *
draw_pin (const guint8 *mix, GError **error)
{
  Secret *pin = secret_new_random_pin (mix, SECRET_PIN_LENGTH);

  if (pin == NULL)
    g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                         "the kernel gives no random numbers");
  return pin;
}

static gboolean
is_stored (const Secret *stored, const Secret *pin)
{
  return stored != NULL && g_str_equal (secret_peek (stored), secret_peek (pin));
}

static Secret *
provide_pin (Steps *self, StorePin kind, const guint8 *mix, gboolean *out_drawn, GError **error)
{
  g_autoptr (Secret) pin = secret_copy (get_given (self, kind));
  g_autoptr (Secret) stored = NULL;
  g_autoptr (GError) local_error = NULL;

  if (pin == NULL)
    pin = load_credential (self, kind, &local_error);
  if (local_error == NULL)
    stored = store_load_pin (self->store, self->plan->token, kind, &local_error);
  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return NULL;
    }
  if (stored != NULL && (pin == NULL || is_stored (stored, pin)))
    return g_steal_pointer (&stored);
  *out_drawn = pin == NULL;
  if (pin == NULL)
    pin = draw_pin (mix, error);
  if (pin == NULL || !store_save_pin (self->store, self->plan->token, kind, pin, error))
    return NULL;
  return g_steal_pointer (&pin);
}

static gboolean
check_credential (const Steps *self, StorePin kind, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Secret) pin = NULL;

  if (get_given (self, kind) == NULL)
    pin = load_credential (self, kind, &local_error);
  if (local_error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

gboolean
steps_check_credentials (const Steps *self, GError **error)
{
  return check_credential (self, STORE_PIN_USER, error) &&
         check_credential (self, STORE_PIN_SO, error);
}

gboolean
steps_provide_pins (Steps *self, GError **error)
{
  const gsize mix_len = 2 * SECRET_PIN_LENGTH;
  g_autofree guint8 *mix = NULL;

  if (!steps_begin (self, "drawing the PINs", 0.2, error))
    return FALSE;
  mix = tpm_get_random (self->tpm, mix_len, error);
  if (mix == NULL)
    return FALSE;
  self->so_pin = provide_pin (self, STORE_PIN_SO, mix, &self->so_pin_drawn, error);
  if (self->so_pin != NULL)
    self->pin =
        provide_pin (self, STORE_PIN_USER, mix + SECRET_PIN_LENGTH, &self->pin_drawn, error);
  secret_wipe (mix, mix_len);
  return self->pin != NULL && steps_set_readers (self, error);
}

/* ---- a token that is there ---- */

gboolean
steps_find_pin (Steps *self, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  self->pin = secret_copy (self->plan->pin);
  if (self->pin == NULL)
    self->pin = store_load_login_pin (self->store, self->plan->token, STORE_PIN_USER, &local_error);
  if (self->pin == NULL && local_error == NULL)
    self->pin = load_credential (self, STORE_PIN_USER, &local_error);
  if (self->pin != NULL)
    return TRUE;
  if (local_error != NULL)
    g_propagate_error (error, g_steal_pointer (&local_error));
  else
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED,
                 "the token '%s' was not made here: its PIN is needed", self->plan->token);
  return FALSE;
}

void
steps_note_refusal (Steps *self, const GError *error)
{
  if (g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED) && self->token != NULL &&
      self->token->pin_stored && self->plan->pin == NULL)
    store_note_refused_pin (self->store, self->plan->token, STORE_PIN_USER);
}

gboolean
steps_keep_given_pin (Steps *self, GError **error)
{
  if (self->token == NULL || self->token->pin_stored)
    return TRUE;
  return store_save_pin (self->store, self->plan->token, STORE_PIN_USER, self->pin, error) &&
         steps_set_readers (self, error);
}

static gboolean
check_given_pin (Steps *self, StorePin kind, GError **error)
{
  const Secret *given = get_given (self, kind);
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
  if (stored == NULL || is_stored (stored, given))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
               "the token '%s' exists with another %s; it was not touched", self->plan->token,
               kind == STORE_PIN_SO ? "SO PIN" : "PIN");
  return FALSE;
}

gboolean
steps_check_given_pins (Steps *self, GError **error)
{
  return check_given_pin (self, STORE_PIN_USER, error) &&
         check_given_pin (self, STORE_PIN_SO, error);
}

/* ---- who may read it ---- */

gboolean
steps_readers_differ (Steps *self, gboolean *out_differ, GError **error)
{
  g_autofree char *path = store_get_pin_path (self->store, self->plan->token, STORE_PIN_USER);

  if (self->plan->pin_readers != NULL && !pin_readers_check (self->plan->pin_readers, error))
    return FALSE;
  if (self->plan->pin_readers == NULL || !g_file_test (path, G_FILE_TEST_EXISTS))
    {
      *out_differ = FALSE;
      return TRUE;
    }
  return pin_readers_differ (path, self->plan->pin_readers, out_differ, error);
}

gboolean
steps_set_readers (Steps *self, GError **error)
{
  g_autofree char *path = store_get_pin_path (self->store, self->plan->token, STORE_PIN_USER);
  gboolean differ = FALSE;

  if (!steps_readers_differ (self, &differ, error))
    return FALSE;
  return !differ || pin_readers_set (path, self->plan->pin_readers, error);
}

/* ---- what lite can read ---- */

char *
steps_dup_pin_warning (Steps *self)
{
  const PlanGreengrass *greengrass = self->plan->greengrass;
  g_autoptr (Secret) pin = NULL;

  if (greengrass == NULL || !g_strv_contains ((const char *const *)greengrass->flavours, "lite"))
    return NULL;
  pin = secret_copy (self->pin != NULL ? self->pin : self->plan->pin);
  if (pin == NULL)
    pin = store_load_pin (self->store, self->plan->token, STORE_PIN_USER, NULL);
  if (pin == NULL && self->token == NULL)
    pin = load_credential (self, STORE_PIN_USER, NULL);
  if (pin == NULL || secret_get_length (pin) <= PLAN_LITE_MAX_PIN)
    return NULL;
  return g_strdup_printf ("the user PIN of '%s' has more than %d bytes: pkcs11-provider, which "
                          "nucleus lite needs, reads no more of a PIN file. `ggtpmctl token "
                          "change-pin` sets one that fits",
                          self->plan->token, PLAN_LITE_MAX_PIN);
}
