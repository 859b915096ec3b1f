/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "tokens.h"

#include "common/certificate.h"
#include "dbus/error.h"
#include "token/csr.h"
#include "token/helper-jobs.h"
#include "token/protocol.h"
#include "token/uri.h"

#include <openssl/rand.h>

#include <string.h>

#define MAX_LABEL 32
#define ID_LEN    8

/* So long a login of the signer is taken to last: well within PROTOCOL_IDLE_CLOSE_S. */
#define LOGIN_LIFETIME_US (45 * G_USEC_PER_SEC)

struct _Tokens
{
  const Config *config;
  Store *store;
  HelperClient *signer; /* warm, on the store itself */
  char *signer_stamp;   /* of the database that it has read */
  GPtrArray *infos;     /* what it has read; NULL: not asked yet */
  json_object *listing; /* of a helper, whose helper_jobs_list() it is; NULL: none yet */
  char *listing_stamp;  /* of the database that it is of */
  /* Token whose stored PIN the signer has accepted, and when it was last used; NULL: none */
  char *logged_in;
  gint64 last_used;
};

/* ---- arguments ---- */

gboolean
tokens_check_label (const char *label, const char *what, GError **error)
{
  gsize len = strlen (label);
  const char *wrong = NULL;

  if (len == 0)
    wrong = "is empty";
  else if (len > MAX_LABEL)
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
               "algorithm `%s` is not supported: %s and %s are", algorithm,
               PROTOCOL_ALGORITHM_ECC_P256, PROTOCOL_ALGORITHM_RSA_2048);
  return FALSE;
}

/* ---- the warm signer ---- */

static void
forget_login (Tokens *self)
{
  g_clear_pointer (&self->logged_in, g_free);
}

static void
drop_signer (Tokens *self)
{
  g_clear_pointer (&self->signer, helper_client_free);
  g_clear_pointer (&self->signer_stamp, g_free);
  g_clear_pointer (&self->infos, g_ptr_array_unref);
  forget_login (self);
}

Tokens *
tokens_new (const Config *config, GError **error)
{
  g_autoptr (Tokens) self = g_new0 (Tokens, 1);

  self->config = config;
  self->store = store_new (config, error);
  return self->store != NULL ? g_steal_pointer (&self) : NULL;
}

void
tokens_free (Tokens *self)
{
  if (self == NULL)
    return;
  drop_signer (self);
  g_clear_pointer (&self->listing, json_object_put);
  g_free (self->listing_stamp);
  store_free (self->store);
  g_free (self);
}

Store *
tokens_get_store (Tokens *self)
{
  return self->store;
}

/* Owned by @self; started anew when the database is not the one that it has read. */
static HelperClient *
get_signer (Tokens *self, GError **error)
{
  g_autofree char *stamp = store_get_stamp (self->store);

  if (self->signer != NULL && helper_client_is_usable (self->signer) &&
      strcmp (stamp, self->signer_stamp) == 0)
    return self->signer;
  drop_signer (self);
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
  signer = get_signer (self, error);
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
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND, "there is no token `%s`", token);
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

/* From what the signer has read; borrowed, until the signer is used again. */
static TokenKey *
find_key (Tokens *self, const char *token, GBytes *id, GCancellable *cancellable, GError **error)
{
  g_autofree char *hex = NULL;

  if (store_exists (self->store) && get_signer (self, error) == NULL)
    return NULL;
  if (self->infos == NULL)
    self->infos = tokens_list (self, cancellable, error);
  for (guint i = 0; self->infos != NULL && i < self->infos->len; i++)
    {
      TokenInfo *info = self->infos->pdata[i];
      TokenKey *key =
          strcmp (info->label, token) == 0 ? token_info_find_key_by_id (info, id) : NULL;

      if (key != NULL)
        return key;
    }
  if (self->infos == NULL)
    return NULL;
  hex = protocol_encode_bytes (id);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND, "token `%s` has no key of id %s", token,
               hex);
  return NULL;
}

/* ---- logging in ---- */

/* A copy of @given, or the stored one. */
static Secret *
get_pin (Tokens *self, const char *token, const Secret *given, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  Secret *pin;

  if (given != NULL)
    return secret_copy (given);
  pin = store_load_pin (self->store, token, STORE_PIN_USER, &local_error);
  if (local_error != NULL)
    g_propagate_error (error, g_steal_pointer (&local_error));
  else if (pin == NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED,
                 "the user PIN of token `%s` is not stored here: it has to be given", token);
  return pin;
}

/* What stands before any login: the token is there, the chip is its chip and takes authorisations. */
static Secret *
prepare_login (Tokens *self, Tpm *tpm, const char *token, const Secret *given, GError **error)
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
  pin = get_pin (self, token, given, error);
  if (pin == NULL || !store_check_chip (self->store, tpm, error))
    return NULL;
  return g_steal_pointer (&pin);
}

/* A wrong PIN: how near to lockout it has brought the chip. */
static void
explain_login_error (Tpm *tpm, const char *token, const Secret *given, GError **error)
{
  g_autofree char *tries = NULL;
  g_autoptr (GError) old = NULL;

  if (error == NULL || !g_error_matches (*error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED))
    return;
  tries = store_describe_tries (tpm);
  old = g_steal_pointer (error);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED, "the %sPIN of token `%s` is wrong: %s",
               given == NULL ? "stored " : "", token, tries);
}

/* ---- changing the store ---- */

/* A change and the helper that makes it. */
typedef struct
{
  StoreChange *change;
  HelperClient *client;
} Writer;

static void
writer_free (Writer *writer)
{
  g_clear_pointer (&writer->client, helper_client_free);
  g_clear_pointer (&writer->change, store_change_free);
  g_free (writer);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Writer, writer_free)

static Writer *
writer_new (Tokens *self, GError **error)
{
  g_autoptr (Writer) writer = g_new0 (Writer, 1);

  writer->change = store_change_new (self->store, error);
  if (writer->change == NULL)
    return NULL;
  writer->client = helper_client_new (self->config, store_change_get_dir (writer->change), error);
  return writer->client != NULL ? g_steal_pointer (&writer) : NULL;
}

static gboolean
writer_commit (Writer *writer, Tokens *self, GError **error)
{
  g_autoptr (json_object) listing = helper_jobs_list (writer->client, NULL, NULL);

  g_clear_pointer (&writer->client, helper_client_free);
  if (!store_change_commit (writer->change, error))
    return FALSE;
  tokens_remember (self, writer->change, listing);
  drop_signer (self);
  return TRUE;
}

gboolean
tokens_settle_pss (StoreChange *change,
                   HelperClient *client,
                   const char *token,
                   const Secret *pin,
                   GBytes *id,
                   GBytes *spki,
                   GCancellable *cancellable,
                   GError **error)
{
  const guint8 *der = g_bytes_get_data (spki, NULL);
  g_autoptr (EVP_PKEY) key = d2i_PUBKEY (NULL, &der, (long)g_bytes_get_size (spki));
  gboolean good = FALSE;

  if (key == NULL || EVP_PKEY_is_a (key, "RSA") != 1)
    return TRUE;
  /* Without the flag the library would do the padding itself, and prove nothing of the chip. */
  return store_change_set_pss_sigs_good (change, token, TRUE, error) &&
         helper_jobs_reopen (client, cancellable, error) &&
         helper_jobs_prove_pss (client, token, pin, id, spki, &good, cancellable, error) &&
         (good || store_change_set_pss_sigs_good (change, token, FALSE, error));
}

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
  pin = id != NULL ? prepare_login (self, tpm, token, given_pin, error) : NULL;
  writer = pin != NULL ? writer_new (self, error) : NULL;
  if (writer == NULL)
    return NULL;
  spki = helper_jobs_generate_key (writer->client, token, pin, label, id, algorithm, cancellable,
                                   error);
  if (spki == NULL)
    {
      explain_login_error (tpm, token, given_pin, error);
      return NULL;
    }
  if (!tokens_settle_pss (writer->change, writer->client, token, pin, id, spki, cancellable,
                          error) ||
      !writer_commit (writer, self, error))
    return NULL;
  return describe_key (token, label, id, algorithm, spki);
}

/* ---- signing ---- */

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
               "hash `%s` is unknown: sha256, sha384 and sha512 are there", hash);
  return NULL;
}

static const char *
choose_mechanism (const TokenKey *key, const char *given, GError **error)
{
  gboolean is_ecc = g_str_has_prefix (key->algorithm, "ecc-");
  const char *mechanism = given;

  if (mechanism == NULL)
    mechanism = is_ecc ? PROTOCOL_MECHANISM_ECDSA : PROTOCOL_MECHANISM_RSA_PKCS;
  if (strcmp (mechanism, PROTOCOL_MECHANISM_ECDSA) != 0 &&
      strcmp (mechanism, PROTOCOL_MECHANISM_RSA_PKCS) != 0 &&
      strcmp (mechanism, PROTOCOL_MECHANISM_RSA_PSS) != 0)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "mechanism `%s` is unknown: ecdsa, rsa-pkcs and rsa-pss are there", mechanism);
  else if (is_ecc != (strcmp (mechanism, PROTOCOL_MECHANISM_ECDSA) == 0))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED, "a key of %s cannot sign with %s",
                 key->algorithm, mechanism);
  else
    return mechanism;
  return NULL;
}

/* One signature by the warm signer. */
typedef struct
{
  const char *token;
  GBytes *id;
  const char *mechanism;
  const char *hash;
  GBytes *digest;
  const Secret *given_pin;
} Signing;

static GBytes *
sign_once (Tokens *self,
           Tpm *tpm,
           const Signing *signing,
           gboolean is_logged_in,
           GCancellable *cancellable,
           GError **error)
{
  g_autoptr (Secret) pin = NULL;
  HelperClient *signer = get_signer (self, error);
  GBytes *signature;

  if (signer == NULL)
    return NULL;
  pin = is_logged_in ? get_pin (self, signing->token, NULL, error)
                     : prepare_login (self, tpm, signing->token, signing->given_pin, error);
  if (pin == NULL)
    return NULL;
  forget_login (self);
  signature = helper_jobs_sign (signer, signing->token, pin, signing->id, signing->mechanism,
                                signing->hash, signing->digest, cancellable, error);
  if (signature == NULL)
    {
      explain_login_error (tpm, signing->token, signing->given_pin, error);
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
  /* No PIN was tried: a chip that was reset has lost what the signer had in it. A new one begins from the start. */
  if (g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_FAILED))
    {
      drop_signer (self);
      return sign_once (self, tpm, signing, FALSE, cancellable, error);
    }
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

GBytes *
tokens_sign (Tokens *self,
             Tpm *tpm,
             const char *token,
             GBytes *id,
             GBytes *data,
             const TokenSignParams *params,
             const Secret *pin,
             GCancellable *cancellable,
             GError **error)
{
  const char *hash = params->hash != NULL ? params->hash : "sha256";
  g_autoptr (GBytes) digest =
      params->is_digest ? g_bytes_ref (data) : make_digest (data, hash, error);
  TokenKey *key = digest != NULL ? find_key (self, token, id, cancellable, error) : NULL;
  Signing signing = { token, id, NULL, hash, digest, pin };

  if (key == NULL)
    return NULL;
  signing.mechanism = choose_mechanism (key, params->mechanism, error);
  return signing.mechanism != NULL ? sign (self, tpm, &signing, cancellable, error) : NULL;
}

char *
tokens_create_csr (Tokens *self,
                   Tpm *tpm,
                   const char *token,
                   GBytes *id,
                   const char *subject,
                   const Secret *pin,
                   GCancellable *cancellable,
                   GError **error)
{
  TokenKey *key = find_key (self, token, id, cancellable, error);
  g_autofree char *default_subject = NULL;
  g_autoptr (Csr) csr = NULL;
  g_autoptr (GBytes) digest = NULL;
  g_autoptr (GBytes) signature = NULL;

  if (key == NULL)
    return NULL;
  default_subject = csr_make_subject (key->label);
  csr = csr_new (key->spki, subject != NULL ? subject : default_subject, error);
  if (csr == NULL)
    return NULL;
  digest = csr_get_digest (csr);
  signature =
      sign (self, tpm, &(Signing){ token, id, csr_get_mechanism (csr), "sha256", digest, pin },
            cancellable, error);
  return signature != NULL ? csr_finish (csr, signature, error) : NULL;
}

/* ---- certificates ---- */

/* Whether it is for this key and its time; DER. */
static GBytes *
check_certificate (const TokenKey *key, const char *pem, gboolean force, GError **error)
{
  g_autoptr (X509) certificate = certificate_parse_pem (pem, error);
  gint64 now = g_get_real_time () / G_USEC_PER_SEC;
  guint8 *der = NULL;
  GBytes *bytes;
  int len;

  if (certificate == NULL || (!force && !certificate_check_time (certificate, now, error)))
    return NULL;
  if (!certificate_matches (certificate, key->spki))
    {
      g_set_error (
          error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
          "the certificate is for another key than `%s`: it has to be issued from a request "
          "of this key",
          key->label);
      return NULL;
    }
  len = i2d_X509 (certificate, &der);
  bytes = g_bytes_new (der, (gsize)MAX (len, 0));
  OPENSSL_free (der);
  return bytes;
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
  TokenKey *key = find_key (self, token, id, cancellable, error);
  g_autoptr (GBytes) der = key != NULL ? check_certificate (key, pem, force, error) : NULL;
  g_autoptr (Secret) pin = NULL;
  g_autoptr (Writer) writer = NULL;

  if (der == NULL)
    return FALSE;
  if (key->certificate != NULL && g_bytes_equal (key->certificate, der))
    return TRUE;
  pin = prepare_login (self, tpm, token, given_pin, error);
  writer = pin != NULL ? writer_new (self, error) : NULL;
  if (writer == NULL)
    return FALSE;
  if (helper_jobs_put_certificate (writer->client, token, pin, id, key->label, der, cancellable,
                                   error))
    return writer_commit (writer, self, error);
  explain_login_error (tpm, token, given_pin, error);
  return FALSE;
}
