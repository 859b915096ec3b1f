/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "tokens-private.h"

#include "dbus/error.h"
#include "token/csr.h"
#include "token/protocol.h"

#include <string.h>

/* ---- arguments ---- */

static GBytes *
make_digest (GBytes *data, const char *hash, GError **error)
{
  static const struct
  {
    const char *name;
    GChecksumType type;
  } hashes[] = {
    { "sha256", G_CHECKSUM_SHA256 },
    { "sha384", G_CHECKSUM_SHA384 },
    { "sha512", G_CHECKSUM_SHA512 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (hashes); i++)
    if (strcmp (hash, hashes[i].name) == 0)
      {
        g_autoptr (GChecksum) checksum = g_checksum_new (hashes[i].type);
        gsize len = (gsize)g_checksum_type_get_length (hashes[i].type);
        g_autofree guint8 *digest = g_malloc (len);

        g_checksum_update (checksum, g_bytes_get_data (data, NULL),
                           (gssize)g_bytes_get_size (data));
        g_checksum_get_digest (checksum, digest, &len);
        return g_bytes_new_take (g_steal_pointer (&digest), len);
      }
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "hash '%s' is unknown: sha256, sha384 and sha512 are there", hash);
  return NULL;
}

static const char *
choose_mechanism (const char *algorithm, const char *given, GError **error)
{
  gboolean is_ecc = g_str_has_prefix (algorithm, "ecc-");
  const char *mechanism = given;

  if (mechanism == NULL)
    mechanism = is_ecc ? PROTOCOL_MECHANISM_ECDSA : PROTOCOL_MECHANISM_RSA_PKCS;
  if (strcmp (mechanism, PROTOCOL_MECHANISM_ECDSA) != 0 &&
      strcmp (mechanism, PROTOCOL_MECHANISM_RSA_PKCS) != 0 &&
      strcmp (mechanism, PROTOCOL_MECHANISM_RSA_PSS) != 0)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "mechanism '%s' is unknown: ecdsa, rsa-pkcs and rsa-pss are there", mechanism);
  else if (is_ecc != (strcmp (mechanism, PROTOCOL_MECHANISM_ECDSA) == 0))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED, "a key of %s cannot sign with %s",
                 algorithm, mechanism);
  else
    return mechanism;
  return NULL;
}

/* ---- the warm signer ---- */

/* One signature, or decryption. */
typedef struct
{
  const char *token;
  GBytes *id;
  const char *mechanism; /* NULL: decryption */
  const char *hash;
  GBytes *data; /* digest or ciphertext */
  const Secret *given_pin;
  char **out_ticket; /* NULL: not wanted */
} Signing;

static GBytes *
use_key (HelperClient *signer,
         const Signing *signing,
         const Secret *pin,
         GCancellable *cancellable,
         GError **error)
{
  const HelperKey key = { signing->token, pin, signing->id };

  if (signing->mechanism == NULL)
    return helper_jobs_decrypt (signer, &key, signing->data, cancellable, error);
  return helper_jobs_sign (signer, &key, signing->mechanism, signing->hash, signing->data,
                           signing->out_ticket, cancellable, error);
}

static GBytes *
sign_once (Tokens *self,
           Tpm *tpm,
           const Signing *signing,
           gboolean is_logged_in,
           GCancellable *cancellable,
           GError **error)
{
  g_autoptr (Secret) pin = NULL;
  HelperClient *signer = tokens_get_signer (self, error);
  GBytes *signature;

  if (signer == NULL)
    return NULL;
  pin = is_logged_in ? tokens_get_pin (self, signing->token, STORE_PIN_USER, NULL, error)
                     : tokens_prepare_login (self, tpm, signing->token, STORE_PIN_USER,
                                             signing->given_pin, error);
  if (pin == NULL)
    return NULL;
  tokens_forget_login (self);
  signature = use_key (signer, signing, pin, cancellable, error);
  if (signature == NULL)
    {
      tokens_explain_login_error (self, tpm, signing->token, STORE_PIN_USER, signing->given_pin,
                                  error);
      return NULL;
    }
  if (signing->given_pin == NULL)
    self->logged_in = g_strdup (signing->token);
  self->last_used = g_get_monotonic_time ();
  return signature;
}

static GBytes *
sign (Tokens *self, Tpm *tpm, const Signing *signing, GCancellable *cancellable, GError **error)
{
  gboolean is_logged_in = signing->given_pin == NULL &&
                          g_strcmp0 (self->logged_in, signing->token) == 0 &&
                          g_get_monotonic_time () - self->last_used < LOGIN_LIFETIME_US;
  g_autoptr (GError) local_error = NULL;
  GBytes *signature = sign_once (self, tpm, signing, is_logged_in, cancellable,
                                 is_logged_in ? &local_error : error);

  if (signature != NULL || !is_logged_in)
    return signature;
  /* No PIN was tried: a chip that was reset has lost what the signer had in it, or the signer was killed while nobody
   * needed it. A new one begins from the start. */
  if (g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_FAILED) ||
      g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE))
    {
      tokens_drop_signer (self);
      return sign_once (self, tpm, signing, FALSE, cancellable, error);
    }
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

void
tokens_distrust (Tokens *self, HelperLine *line)
{
  if (self->signer != NULL && helper_client_get_line (self->signer) == line)
    tokens_drop_signer (self);
}

void
token_ticket_clear (TokenTicket *ticket)
{
  g_clear_pointer (&ticket->line, helper_line_unref);
  g_clear_pointer (&ticket->number, g_free);
}

gboolean
tokens_settle_signing (const char *algorithm,
                       const TokenSignParams *params,
                       GBytes *data,
                       const char **out_mechanism,
                       const char **out_hash,
                       GBytes **out_digest,
                       GError **error)
{
  const char *hash = params->hash != NULL ? params->hash : "sha256";
  const char *mechanism = choose_mechanism (algorithm, params->mechanism, error);
  GBytes *digest;

  if (mechanism == NULL)
    return FALSE;
  digest = params->is_digest ? g_bytes_ref (data) : make_digest (data, hash, error);
  if (digest == NULL)
    return FALSE;
  *out_mechanism = mechanism;
  *out_hash = hash;
  *out_digest = digest;
  return TRUE;
}

GBytes *
tokens_sign (Tokens *self,
             Tpm *tpm,
             const char *token,
             GBytes *id,
             GBytes *data,
             const TokenSignParams *params,
             const Secret *pin,
             TokenTicket *out_ticket,
             GCancellable *cancellable,
             GError **error)
{
  TokenKey *key = tokens_find_key (self, token, id, cancellable, error);
  g_autoptr (GBytes) digest = NULL;
  g_autofree char *number = NULL;
  Signing signing = { token, id, .given_pin = pin, .out_ticket = &number };
  GBytes *signature;

  if (key == NULL || !tokens_settle_signing (key->algorithm, params, data, &signing.mechanism,
                                             &signing.hash, &digest, error))
    return NULL;
  signing.data = digest;
  signature = sign (self, tpm, &signing, cancellable, error);
  /* Whoever brings a PIN has to bring it each time. */
  if (signature != NULL && out_ticket != NULL && pin == NULL)
    *out_ticket = (TokenTicket){ helper_line_ref (helper_client_get_line (self->signer)),
                                 g_steal_pointer (&number) };
  return signature;
}

GBytes *
tokens_decrypt (Tokens *self,
                Tpm *tpm,
                const char *token,
                GBytes *id,
                GBytes *data,
                const Secret *pin,
                GCancellable *cancellable,
                GError **error)
{
  TokenKey *key = tokens_find_key (self, token, id, cancellable, error);
  Signing signing = { token, id, .data = data, .given_pin = pin };
  g_autoptr (GError) local_error = NULL;
  GBytes *plain;
  guint64 len;

  if (key == NULL)
    return NULL;
  if (!g_str_has_prefix (key->algorithm, "rsa-"))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED,
                   "a key of %s cannot decrypt: RSA's can", key->algorithm);
      return NULL;
    }
  len = g_ascii_strtoull (key->algorithm + strlen ("rsa-"), NULL, 10) / 8;
  if (g_bytes_get_size (data) != len)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "what a key of %s decrypts has %" G_GUINT64_FORMAT
                   " bytes, not %" G_GSIZE_FORMAT,
                   key->algorithm, len, g_bytes_get_size (data));
      return NULL;
    }
  plain = sign (self, tpm, &signing, cancellable, &local_error);
  if (plain != NULL)
    return plain;
  if (g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_FAILED))
    g_prefix_error (&local_error, "was it encrypted for this key, with PKCS#1 v1.5 padding? ");
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

/* ---- requests and certificates ---- */

char *
tokens_create_csr (Tokens *self,
                   Tpm *tpm,
                   const char *token,
                   GBytes *id,
                   const TokenCsrParams *params,
                   const Secret *pin,
                   GCancellable *cancellable,
                   GError **error)
{
  TokenKey *key = tokens_find_key (self, token, id, cancellable, error);
  g_autofree char *default_subject = NULL;
  g_autoptr (Csr) csr = NULL;
  g_autoptr (GBytes) digest = NULL;
  g_autoptr (GBytes) signature = NULL;
  const char *subject = params->subject;
  Signing signing;

  if (key == NULL)
    return NULL;
  default_subject = csr_make_subject (key->label);
  if (subject == NULL)
    subject = default_subject;
  csr = params->self_signed_days > 0 ? csr_new_self_signed (key->spki, subject, &params->extensions,
                                                            params->self_signed_days, error)
                                     : csr_new (key->spki, subject, &params->extensions, error);
  if (csr == NULL)
    return NULL;
  digest = csr_get_digest (csr);
  signing = (Signing){ token, id, csr_get_mechanism (csr), "sha256", digest, pin, NULL };
  signature = sign (self, tpm, &signing, cancellable, error);
  return signature != NULL ? csr_finish (csr, signature, error) : NULL;
}
