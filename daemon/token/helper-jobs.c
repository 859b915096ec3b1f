/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "helper-jobs.h"

#include "common/certificate.h"
#include "dbus/error.h"
#include "token/csr.h"
#include "token/protocol.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

/* A signature takes milliseconds to a second; RSA's primes are a matter of luck: up to minutes on a chip. */
#define JOB_TIMEOUT_S      60
#define GENERATE_TIMEOUT_S 600

/* ---- requests ---- */

static json_object *
new_request (const char *job)
{
  json_object *request = json_object_new_object ();

  json_object_object_add (request, "job", json_object_new_string (job));
  return request;
}

static void
add_text (json_object *request, const char *name, const char *text)
{
  json_object_object_add (request, name, json_object_new_string (text));
}

static void
add_bytes (json_object *request, const char *name, GBytes *bytes)
{
  g_autofree char *text = protocol_encode_bytes (bytes);

  add_text (request, name, text);
}

static json_object *
new_key_request (const char *job, const HelperKey *key)
{
  json_object *request = new_request (job);

  add_text (request, "token", key->token);
  add_bytes (request, "id", key->id);
  return request;
}

/* Takes @request; to be freed. */
static json_object *
call_for_key (HelperClient *client,
              const HelperKey *key,
              json_object *request,
              guint timeout_s,
              GCancellable *cancellable,
              GError **error)
{
  const Secret *pins[PROTOCOL_N_PINS] = { [PROTOCOL_PIN] = key->pin };

  return helper_client_call (client, request, pins, timeout_s, cancellable, error);
}

static GBytes *
take_bytes (json_object *answer, const char *name, GError **error)
{
  const char *text = json_object_get_string (json_object_object_get (answer, name));
  GBytes *bytes = text != NULL ? protocol_decode_bytes (text) : NULL;

  if (bytes == NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "the token helper's answer has no '%s'",
                 name);
  return bytes;
}

/* ---- jobs ---- */

json_object *
helper_jobs_list (HelperClient *client, GCancellable *cancellable, GError **error)
{
  g_autoptr (json_object) answer = helper_client_call (client, new_request (PROTOCOL_JOB_LIST),
                                                       NULL, JOB_TIMEOUT_S, cancellable, error);
  json_object *tokens = NULL;

  if (answer == NULL)
    return NULL;
  if (json_object_object_get_ex (answer, "tokens", &tokens) &&
      json_object_is_type (tokens, json_type_array))
    return json_object_get (tokens);
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                       "the token helper's answer has no 'tokens'");
  return NULL;
}

gboolean
helper_jobs_open (HelperClient *client, GCancellable *cancellable, GError **error)
{
  g_autoptr (json_object) tokens = helper_jobs_list (client, cancellable, error);

  return tokens != NULL;
}

gboolean
helper_jobs_init_token (HelperClient *client,
                        const char *token,
                        const Secret *so_pin,
                        const Secret *pin,
                        GCancellable *cancellable,
                        GError **error)
{
  const Secret *pins[PROTOCOL_N_PINS] = { [PROTOCOL_SO_PIN] = so_pin, [PROTOCOL_PIN] = pin };
  json_object *request = new_request (PROTOCOL_JOB_INIT_TOKEN);
  g_autoptr (json_object) answer = NULL;

  add_text (request, "token", token);
  answer = helper_client_call (client, request, pins, JOB_TIMEOUT_S, cancellable, error);
  return answer != NULL;
}

GBytes *
helper_jobs_generate_key (HelperClient *client,
                          const HelperKey *key,
                          const char *label,
                          const char *algorithm,
                          GCancellable *cancellable,
                          GError **error)
{
  json_object *request = new_key_request (PROTOCOL_JOB_GENERATE_KEY, key);
  g_autoptr (json_object) answer = NULL;

  add_text (request, "label", label);
  add_text (request, "algorithm", algorithm);
  answer = call_for_key (client, key, request, GENERATE_TIMEOUT_S, cancellable, error);
  return answer != NULL ? take_bytes (answer, "spki", error) : NULL;
}

GBytes *
helper_jobs_sign (HelperClient *client,
                  const HelperKey *key,
                  const char *mechanism,
                  const char *hash,
                  GBytes *digest,
                  char **out_ticket,
                  GCancellable *cancellable,
                  GError **error)
{
  json_object *request = new_key_request (PROTOCOL_JOB_SIGN, key);
  g_autoptr (json_object) answer = NULL;
  GBytes *signature;

  add_text (request, "mechanism", mechanism);
  add_text (request, "hash", hash);
  add_bytes (request, "digest", digest);
  answer = call_for_key (client, key, request, JOB_TIMEOUT_S, cancellable, error);
  signature = answer != NULL ? take_bytes (answer, "signature", error) : NULL;
  if (signature != NULL && out_ticket != NULL)
    *out_ticket = g_strdup (json_object_get_string (json_object_object_get (answer, "ticket")));
  return signature;
}

char *
helper_jobs_make_signing (const char *ticket,
                          const char *mechanism,
                          const char *hash,
                          GBytes *digest,
                          gsize *out_len)
{
  g_autoptr (json_object) request = new_request (PROTOCOL_JOB_SIGN_AGAIN);

  add_text (request, "ticket", ticket);
  add_text (request, "mechanism", mechanism);
  add_text (request, "hash", hash);
  add_bytes (request, "digest", digest);
  return g_strdup (json_object_to_json_string_length (request, JSON_C_TO_STRING_PLAIN, out_len));
}

GBytes *
helper_jobs_parse_signing (const char *text, GError **error)
{
  g_autoptr (json_object) answer =
      helper_client_parse_answer (text, PROTOCOL_JOB_SIGN_AGAIN, error);

  return answer != NULL ? take_bytes (answer, "signature", error) : NULL;
}

gboolean
helper_jobs_put_certificate (HelperClient *client,
                             const HelperKey *key,
                             const char *label,
                             GBytes *certificate,
                             GCancellable *cancellable,
                             GError **error)
{
  json_object *request = new_key_request (PROTOCOL_JOB_PUT_CERTIFICATE, key);
  g_autoptr (json_object) answer = NULL;

  add_text (request, "label", label);
  add_bytes (request, "certificate", certificate);
  answer = call_for_key (client, key, request, JOB_TIMEOUT_S, cancellable, error);
  return answer != NULL;
}

gboolean
helper_jobs_login (HelperClient *client,
                   const char *token,
                   const Secret *pin,
                   GCancellable *cancellable,
                   GError **error)
{
  const Secret *pins[PROTOCOL_N_PINS] = { [PROTOCOL_PIN] = pin };
  json_object *request = new_request (PROTOCOL_JOB_LOGIN);
  g_autoptr (json_object) answer = NULL;

  add_text (request, "token", token);
  answer = helper_client_call (client, request, pins, JOB_TIMEOUT_S, cancellable, error);
  return answer != NULL;
}

gboolean
helper_jobs_delete_key (HelperClient *client,
                        const HelperKey *key,
                        GCancellable *cancellable,
                        GError **error)
{
  g_autoptr (json_object) answer =
      call_for_key (client, key, new_key_request (PROTOCOL_JOB_DELETE_KEY, key), JOB_TIMEOUT_S,
                    cancellable, error);

  return answer != NULL;
}

gboolean
helper_jobs_rename_key (HelperClient *client,
                        const HelperKey *key,
                        const char *label,
                        GBytes *new_id,
                        GCancellable *cancellable,
                        GError **error)
{
  json_object *request = new_key_request (PROTOCOL_JOB_RENAME_KEY, key);
  g_autoptr (json_object) answer = NULL;

  add_text (request, "label", label);
  add_bytes (request, "new-id", new_id);
  answer = call_for_key (client, key, request, JOB_TIMEOUT_S, cancellable, error);
  return answer != NULL;
}

GBytes *
helper_jobs_decrypt (HelperClient *client,
                     const HelperKey *key,
                     GBytes *data,
                     GCancellable *cancellable,
                     GError **error)
{
  json_object *request = new_key_request (PROTOCOL_JOB_DECRYPT, key);
  g_autoptr (json_object) answer = NULL;

  add_bytes (request, "data", data);
  answer = call_for_key (client, key, request, JOB_TIMEOUT_S, cancellable, error);
  return answer != NULL ? take_bytes (answer, "data", error) : NULL;
}

gboolean
helper_jobs_change_pin (HelperClient *client,
                        const char *job,
                        const char *token,
                        const Secret *pin,
                        const Secret *new_pin,
                        GCancellable *cancellable,
                        GError **error)
{
  gboolean by_user = g_str_equal (job, PROTOCOL_JOB_CHANGE_PIN);
  const Secret *pins[PROTOCOL_N_PINS] = { [PROTOCOL_NEW_PIN] = new_pin };
  json_object *request = new_request (job);
  g_autoptr (json_object) answer = NULL;

  pins[by_user ? PROTOCOL_PIN : PROTOCOL_SO_PIN] = pin;
  add_text (request, "token", token);
  answer = helper_client_call (client, request, pins, JOB_TIMEOUT_S, cancellable, error);
  return answer != NULL;
}

gboolean
helper_jobs_reopen (HelperClient *client, GCancellable *cancellable, GError **error)
{
  g_autoptr (json_object) answer = helper_client_call (client, new_request (PROTOCOL_JOB_REOPEN),
                                                       NULL, JOB_TIMEOUT_S, cancellable, error);

  return answer != NULL;
}

/* ---- what needs more than one step ---- */

char *
helper_jobs_make_csr (HelperClient *client,
                      const HelperKey *key,
                      GBytes *spki,
                      const char *subject,
                      const ExtensionParams *extensions,
                      guint self_signed_days,
                      GCancellable *cancellable,
                      GError **error)
{
  g_autoptr (Csr) csr = self_signed_days > 0 ? csr_new_self_signed (spki, subject, extensions,
                                                                    self_signed_days, error)
                                             : csr_new (spki, subject, extensions, error);
  g_autoptr (GBytes) digest = NULL;
  g_autoptr (GBytes) signature = NULL;

  if (csr == NULL)
    return NULL;
  digest = csr_get_digest (csr);
  signature = helper_jobs_sign (client, key, csr_get_mechanism (csr), "sha256", digest, NULL,
                                cancellable, error);
  return signature != NULL ? csr_finish (csr, signature, error) : NULL;
}

static gboolean
verify_pss (EVP_PKEY *key, const guint8 *digest, GBytes *signature)
{
  g_autoptr (EVP_PKEY_CTX) context = EVP_PKEY_CTX_new (key, NULL);
  gboolean good = context != NULL && EVP_PKEY_verify_init (context) == 1 &&
                  EVP_PKEY_CTX_set_rsa_padding (context, RSA_PKCS1_PSS_PADDING) == 1 &&
                  EVP_PKEY_CTX_set_signature_md (context, EVP_sha256 ()) == 1 &&
                  EVP_PKEY_CTX_set_rsa_pss_saltlen (context, RSA_PSS_SALTLEN_DIGEST) == 1 &&
                  EVP_PKEY_verify (context, g_bytes_get_data (signature, NULL),
                                   g_bytes_get_size (signature), digest, SHA256_DIGEST_LENGTH) == 1;

  ERR_clear_error ();
  return good;
}

gboolean
helper_jobs_prove_pss (HelperClient *client,
                       const HelperKey *key,
                       GBytes *spki,
                       gboolean *out_good,
                       GCancellable *cancellable,
                       GError **error)
{
  const guint8 *der = g_bytes_get_data (spki, NULL);
  g_autoptr (EVP_PKEY) public_key = d2i_PUBKEY (NULL, &der, (long)g_bytes_get_size (spki));
  guint8 random[SHA256_DIGEST_LENGTH];
  g_autoptr (GBytes) digest = NULL;
  g_autoptr (GBytes) signature = NULL;
  g_autoptr (GError) local_error = NULL;

  if (public_key == NULL || EVP_PKEY_is_a (public_key, "RSA") != 1 ||
      RAND_bytes (random, sizeof random) != 1)
    {
      *out_good = FALSE;
      return TRUE;
    }
  digest = g_bytes_new (random, sizeof random);
  signature = helper_jobs_sign (client, key, PROTOCOL_MECHANISM_RSA_PSS, "sha256", digest, NULL,
                                cancellable, &local_error);
  if (signature == NULL && !g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  *out_good = signature != NULL && verify_pss (public_key, random, signature);
  return TRUE;
}

json_object *
helper_jobs_verify (HelperClient *verifier,
                    const Secret *pin,
                    const char *uri,
                    const char *cert_uri,
                    GBytes *spki,
                    GCancellable *cancellable,
                    GError **error)
{
  const Secret *pins[PROTOCOL_N_PINS] = { [PROTOCOL_PIN] = pin };
  json_object *request = new_request (PROTOCOL_JOB_VERIFY);
  g_autoptr (json_object) answer = NULL;
  json_object *checks = NULL;

  add_text (request, "uri", uri);
  add_text (request, "cert-uri", cert_uri);
  add_bytes (request, "spki", spki);
  answer = helper_client_call (verifier, request, pins, JOB_TIMEOUT_S, cancellable, error);
  if (answer == NULL)
    return NULL;
  if (json_object_object_get_ex (answer, "checks", &checks) &&
      json_object_is_type (checks, json_type_array))
    return json_object_get (checks);
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                       "the token verifier's answer has no 'checks'");
  return NULL;
}
