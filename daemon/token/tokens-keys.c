/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "tokens-private.h"

#include "common/certificate.h"
#include "dbus/error.h"
#include "token/csr.h"
#include "token/protocol.h"
#include "token/public-key.h"
#include "token/uri.h"

#include <openssl/rand.h>

#include <string.h>

#define ID_LEN 8

/* ---- making keys ---- */

static TokenKey *
describe_key (const char *token, const char *label, GBytes *id, const char *algorithm, GBytes *spki)
{
  TokenKey *key = g_new0 (TokenKey, 1);

  key->label = g_strdup (label);
  key->id = g_bytes_ref (id);
  key->algorithm = g_strdup (algorithm);
  key->spki = g_bytes_ref (spki);
  key->uri = uri_for_object (token, label, NULL, "private", NULL);
  return key;
}

static GBytes *
choose_id (GBytes *given, GError **error)
{
  guint8 random[ID_LEN];

  if (given != NULL)
    return g_bytes_ref (given);
  if (RAND_bytes (random, sizeof random) == 1)
    return g_bytes_new (random, sizeof random);
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "no random numbers for an id");
  return NULL;
}

void
tokens_refuse_rsa (Tokens *self, const char *reason)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) lock = g_mutex_locker_new (&self->refusal_lock);

  g_assert (lock != NULL);
  g_free (self->rsa_refusal);
  self->rsa_refusal = g_strdup (reason);
}

gboolean
tokens_check_firmware (Tokens *self, const char *algorithm, GError **error)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) lock = g_mutex_locker_new (&self->refusal_lock);

  g_assert (lock != NULL);
  if (self->rsa_refusal == NULL || !g_str_equal (algorithm, PROTOCOL_ALGORITHM_RSA_2048))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED, "no RSA key is made on this chip: %s",
               self->rsa_refusal);
  return FALSE;
}

static gboolean
check_strength (GBytes *spki, GError **error)
{
  if (!public_key_is_roca (spki))
    return TRUE;
  g_set_error_literal (
      error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE,
      "the chip has made a weak RSA key (ROCA, CVE-2017-15361), which was not kept: update its "
      "firmware, or use an ecc-p256 key");
  return FALSE;
}

static gboolean
prove_pss (StoreChange *change,
           HelperClient *client,
           const HelperKey *key,
           GBytes *spki,
           GCancellable *cancellable,
           GError **error)
{
  gboolean good = FALSE;

  return helper_jobs_prove_pss (client, key, spki, &good, cancellable, error) &&
         (good || store_change_set_pss_sigs_good (change, key->token, FALSE, error));
}

GBytes *
tokens_make_pair (StoreChange *change,
                  HelperClient *client,
                  const HelperKey *key,
                  const char *label,
                  const char *algorithm,
                  GCancellable *cancellable,
                  GError **error)
{
  gboolean is_rsa = g_str_equal (algorithm, PROTOCOL_ALGORITHM_RSA_2048);
  g_autoptr (GBytes) spki = NULL;

  /* Without the flag the library would do the padding itself, and prove nothing of the chip. It reads the flag when it
   * opens the store: before the login, so that there is only one. */
  if (is_rsa && (!store_change_set_pss_sigs_good (change, key->token, TRUE, error) ||
                 !helper_jobs_reopen (client, cancellable, error)))
    return NULL;
  spki = helper_jobs_generate_key (client, key, label, algorithm, cancellable, error);
  if (spki == NULL || !check_strength (spki, error) ||
      (is_rsa && !prove_pss (change, client, key, spki, cancellable, error)))
    return NULL;
  return g_steal_pointer (&spki);
}

TokenKey *
tokens_create_key (Tokens *self,
                   Tpm *tpm,
                   const char *token,
                   const char *label,
                   GBytes *given_id,
                   const char *algorithm,
                   const Secret *given_pin,
                   GCancellable *cancellable,
                   GError **error)
{
  g_autoptr (GBytes) id = NULL;
  g_autoptr (GBytes) spki = NULL;
  g_autoptr (Secret) pin = NULL;
  g_autoptr (Writer) writer = NULL;

  if (!tokens_check_label (label, "the label of the key", error) ||
      !tokens_check_algorithm (algorithm, error))
    return NULL;
  id = choose_id (given_id, error);
  pin =
      id != NULL ? tokens_prepare_login (self, tpm, token, STORE_PIN_USER, given_pin, error) : NULL;
  /* After the chip was asked something: what it is has been read by then. */
  writer = pin != NULL && tokens_check_firmware (self, algorithm, error) ? writer_new (self, error)
                                                                         : NULL;
  if (writer == NULL)
    return NULL;
  spki = tokens_make_pair (writer->change, writer->client, &(HelperKey){ token, pin, id }, label,
                           algorithm, cancellable, error);
  if (spki == NULL)
    {
      tokens_explain_login_error (self, tpm, token, STORE_PIN_USER, given_pin, error);
      return NULL;
    }
  return writer_commit (writer, self, error) ? describe_key (token, label, id, algorithm, spki)
                                             : NULL;
}

/* ---- rotation ---- */

typedef struct
{
  char *label; /* of the successor */
  char *algorithm;
  char *subject;
  GBytes *id; /* of the successor */
} Rotation;

static void
rotation_clear (Rotation *rotation)
{
  g_free (rotation->label);
  g_free (rotation->algorithm);
  g_free (rotation->subject);
  g_clear_pointer (&rotation->id, g_bytes_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Rotation, rotation_clear)

static gboolean
plan_rotation (const TokenKey *key,
               const char *algorithm,
               const TokenCsrParams *params,
               Rotation *rotation,
               GError **error)
{
  rotation->label = g_strconcat (key->label, TOKENS_SUCCESSOR, NULL);
  rotation->algorithm = g_strdup (algorithm != NULL ? algorithm : key->algorithm);
  rotation->subject =
      params->subject != NULL ? g_strdup (params->subject) : csr_make_subject (key->label);
  rotation->id = choose_id (NULL, error);
  return rotation->id != NULL && tokens_check_algorithm (rotation->algorithm, error) &&
         tokens_check_label (rotation->label,
                             "the successor's label (" TOKENS_SUCCESSOR " is added)", error);
}

static TokenKey *
make_successor (Tokens *self,
                Tpm *tpm,
                const char *token,
                const Rotation *rotation,
                const ExtensionParams *extensions,
                const Secret *given_pin,
                char **out_csr,
                GCancellable *cancellable,
                GError **error)
{
  g_autoptr (Secret) pin =
      tokens_prepare_login (self, tpm, token, STORE_PIN_USER, given_pin, error);
  g_autoptr (Writer) writer =
      pin != NULL && tokens_check_firmware (self, rotation->algorithm, error)
          ? writer_new (self, error)
          : NULL;
  g_autoptr (GBytes) spki = NULL;
  g_autofree char *csr = NULL;
  HelperKey key;

  if (writer == NULL)
    return NULL;
  key = (HelperKey){ token, pin, rotation->id };
  spki = tokens_make_pair (writer->change, writer->client, &key, rotation->label,
                           rotation->algorithm, cancellable, error);
  if (spki == NULL)
    {
      tokens_explain_login_error (self, tpm, token, STORE_PIN_USER, given_pin, error);
      return NULL;
    }
  csr = helper_jobs_make_csr (writer->client, &key, spki, rotation->subject, extensions, 0,
                              cancellable, error);
  if (csr == NULL || !writer_commit (writer, self, error))
    return NULL;
  *out_csr = g_steal_pointer (&csr);
  return describe_key (token, rotation->label, rotation->id, rotation->algorithm, spki);
}

/* A successor of a successor would be nobody's when it takes its key's place. */
static gboolean
check_no_successor (TokenInfo *info, const TokenKey *key, GError **error)
{
  gboolean named_so = key->label != NULL && g_str_has_suffix (key->label, TOKENS_SUCCESSOR);
  g_autofree char *label =
      named_so ? g_strndup (key->label, strlen (key->label) - strlen (TOKENS_SUCCESSOR)) : NULL;

  if (label == NULL || token_info_find_key (info, label) == NULL)
    return TRUE;
  g_set_error (
      error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
      "the key '%s' is to follow '%s', and is not rotated before: install its certificate with "
      "`ggtpmctl key install-cert %s`, or delete it",
      key->label, label, label);
  return FALSE;
}

TokenKey *
tokens_rotate_key (Tokens *self,
                   Tpm *tpm,
                   const char *token,
                   GBytes *id,
                   const char *algorithm,
                   const TokenCsrParams *params,
                   const Secret *pin,
                   char **out_csr,
                   GCancellable *cancellable,
                   GError **error)
{
  TokenKey *key = tokens_find_key (self, token, id, cancellable, error);
  TokenInfo *info = key != NULL ? tokens_find_info (self, token, cancellable, error) : NULL;
  g_auto (Rotation) rotation = { NULL };
  TokenCsrParams its_params = *params;
  g_autoptr (TokenKey) found = NULL;
  TokenKey *successor;

  if (info == NULL || !check_no_successor (info, key, error) ||
      !plan_rotation (key, algorithm, params, &rotation, error))
    return NULL;
  successor = token_info_find_key (info, rotation.label);
  if (successor == NULL)
    return make_successor (self, tpm, token, &rotation, &params->extensions, pin, out_csr,
                           cancellable, error);
  found =
      describe_key (token, rotation.label, successor->id, successor->algorithm, successor->spki);
  its_params.subject = rotation.subject;
  *out_csr = tokens_create_csr (self, tpm, token, found->id, &its_params, pin, cancellable, error);
  return *out_csr != NULL ? g_steal_pointer (&found) : NULL;
}

/* ---- removing ---- */

gboolean
tokens_delete_key (Tokens *self,
                   Tpm *tpm,
                   const char *token,
                   GBytes *id,
                   const Secret *given_pin,
                   GCancellable *cancellable,
                   GError **error)
{
  TokenKey *key = tokens_find_key (self, token, id, cancellable, error);
  g_autoptr (Secret) pin =
      key != NULL ? tokens_prepare_login (self, tpm, token, STORE_PIN_USER, given_pin, error)
                  : NULL;
  g_autoptr (Writer) writer = pin != NULL ? writer_new (self, error) : NULL;

  if (writer == NULL)
    return FALSE;
  writer->listing_is_wrong = TRUE;
  if (helper_jobs_delete_key (writer->client, &(HelperKey){ token, pin, id }, cancellable, error))
    return writer_commit (writer, self, error);
  tokens_explain_login_error (self, tpm, token, STORE_PIN_USER, given_pin, error);
  return FALSE;
}

/* ---- certificates ---- */

/* The key of @pem's public key: @key, or its successor; borrowed. NULL with @error. */
static const TokenKey *
choose_key (const TokenInfo *info, const TokenKey *key, const char *pem, GError **error)
{
  g_autoptr (X509) certificate = certificate_parse_pem (pem, error);
  g_autofree char *label = g_strconcat (key->label, TOKENS_SUCCESSOR, NULL);
  const TokenKey *successor = token_info_find_key (info, label);

  if (certificate == NULL)
    return NULL;
  if (certificate_matches (certificate, key->spki))
    return key;
  if (successor != NULL && certificate_matches (certificate, successor->spki))
    return successor;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "the certificate is for another key than '%s': it has to be issued from a request "
               "of this key",
               key->label);
  return NULL;
}

GBytes *
tokens_decode_certificate (const char *pem, gboolean force, GError **error)
{
  g_autoptr (X509) certificate = certificate_parse_pem (pem, error);
  gint64 now = g_get_real_time () / G_USEC_PER_SEC;
  guint8 *der = NULL;
  GBytes *bytes;
  int len;

  if (certificate == NULL || (!force && !certificate_check_time (certificate, now, error)))
    return NULL;
  len = i2d_X509 (certificate, &der);
  bytes = g_bytes_new (der, (gsize)MAX (len, 0));
  OPENSSL_free (der);
  return bytes;
}

/* In the copy: all of it is seen at once, or nothing. */
static gboolean
put_certificate (Writer *writer,
                 const char *token,
                 const Secret *pin,
                 const TokenKey *key,
                 const TokenKey *owner,
                 GBytes *der,
                 GCancellable *cancellable,
                 GError **error)
{
  const HelperKey replaced = { token, pin, key->id };
  const HelperKey successor = { token, pin, owner->id };

  if (owner != key && (!helper_jobs_delete_key (writer->client, &replaced, cancellable, error) ||
                       !helper_jobs_rename_key (writer->client, &successor, key->label, key->id,
                                                cancellable, error)))
    return FALSE;
  return helper_jobs_put_certificate (writer->client, &replaced, key->label, der, cancellable,
                                      error);
}

/* DER of a certificate that can be installed for @out_key, whose public key is @out_owner's. */
static GBytes *
accept_certificate (Tokens *self,
                    const char *token,
                    GBytes *id,
                    const char *pem,
                    gboolean force,
                    const TokenKey **out_key,
                    const TokenKey **out_owner,
                    GCancellable *cancellable,
                    GError **error)
{
  const TokenKey *key = tokens_find_key (self, token, id, cancellable, error);
  TokenInfo *info = key != NULL ? tokens_find_info (self, token, cancellable, error) : NULL;
  const TokenKey *owner = info != NULL ? choose_key (info, key, pem, error) : NULL;
  GBytes *der = owner != NULL ? tokens_decode_certificate (pem, force, error) : NULL;

  if (der == NULL)
    return NULL;
  *out_key = key;
  *out_owner = owner;
  return der;
}

gboolean
tokens_check_certificate (Tokens *self,
                          const char *token,
                          GBytes *id,
                          const char *pem,
                          gboolean force,
                          GCancellable *cancellable,
                          GError **error)
{
  const TokenKey *key;
  const TokenKey *owner;
  g_autoptr (GBytes) der =
      accept_certificate (self, token, id, pem, force, &key, &owner, cancellable, error);

  return der != NULL;
}

gboolean
tokens_install_certificate (Tokens *self,
                            Tpm *tpm,
                            const char *token,
                            GBytes *id,
                            const char *pem,
                            gboolean force,
                            const Secret *given_pin,
                            GCancellable *cancellable,
                            GError **error)
{
  const TokenKey *key = NULL;
  const TokenKey *owner = NULL;
  g_autoptr (GBytes) der =
      accept_certificate (self, token, id, pem, force, &key, &owner, cancellable, error);
  g_autoptr (Secret) pin = NULL;
  g_autoptr (Writer) writer = NULL;

  if (der == NULL)
    return FALSE;
  if (owner == key && key->certificate != NULL && g_bytes_equal (key->certificate, der))
    return TRUE;
  pin = tokens_prepare_login (self, tpm, token, STORE_PIN_USER, given_pin, error);
  writer = pin != NULL ? writer_new (self, error) : NULL;
  if (writer == NULL)
    return FALSE;
  writer->listing_is_wrong = owner != key || key->certificate != NULL;
  if (put_certificate (writer, token, pin, key, owner, der, cancellable, error))
    return writer_commit (writer, self, error);
  tokens_explain_login_error (self, tpm, token, STORE_PIN_USER, given_pin, error);
  return FALSE;
}
