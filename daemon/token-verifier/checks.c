/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "checks.h"

#include "dbus/error.h"
#include "handshake.h"

#include <gnutls/crypto.h>
#include <gnutls/pkcs11.h>
#include <gnutls/x509.h>

#include <string.h>
#include <time.h>

/* PKCS#11 v2.40, section 2.1 */
#define CKM_RSA_PKCS_PSS 0x0d

#define KEY_ID_BYTES 20
#define SERIAL_BYTES 16
#define TEST_BYTES   64
#define VALIDITY_S   3600

typedef struct
{
  const ChecksRequest *request;
  json_object *rows;
  gnutls_privkey_t key;
  gnutls_pubkey_t public_key;
  gnutls_x509_crt_t certificate; /* of the token; NULL: none that fits */
} Checks;

static void add (Checks *checks,
                 const char *id,
                 const char *verdict,
                 const char *remedy,
                 const char *format,
                 ...) G_GNUC_PRINTF (5, 6);

static void
add (Checks *checks,
     const char *id,
     const char *verdict,
     const char *remedy,
     const char *format,
     ...)
{
  json_object *row = json_object_new_object ();
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  json_object_object_add (row, "check", json_object_new_string (id));
  json_object_object_add (row, "verdict", json_object_new_string (verdict));
  json_object_object_add (row, "text", json_object_new_string (text));
  json_object_object_add (row, "remedy", json_object_new_string (remedy));
  json_object_array_add (checks->rows, row);
}

/* ---- login ---- */

/* A refused PIN is not tried again: it counts towards the lockout. */
static int
on_pin (void *data,
        int attempt,
        const char *token_url,
        const char *token_label,
        unsigned int flags,
        char *pin,
        size_t pin_max)
{
  const Checks *checks = data;

  if (attempt > 0 || (flags & GNUTLS_PIN_WRONG) != 0 ||
      g_strlcpy (pin, secret_peek (checks->request->pin), pin_max) >= pin_max)
    return GNUTLS_E_PKCS11_PIN_ERROR;
  return 0;
}

static gboolean
set_error (GError **error, const char *what, int code)
{
  GgtpmError kind = GGTPM_ERROR_FAILED;

  if (code == GNUTLS_E_PKCS11_PIN_ERROR)
    kind = GGTPM_ERROR_AUTH_FAILED;
  else if (code == GNUTLS_E_PKCS11_PIN_LOCKED)
    kind = GGTPM_ERROR_LOCKED_OUT;
  g_set_error (error, GGTPM_ERROR, (gint)kind, "%s: %s", what, gnutls_strerror (code));
  return FALSE;
}

static gboolean
open_key (Checks *checks, GError **error)
{
  gsize len = 0;
  gnutls_datum_t spki = { (unsigned char *)g_bytes_get_data (checks->request->spki, &len), 0 };
  int code;

  spki.size = (unsigned int)len;
  if ((code = gnutls_pkcs11_init (GNUTLS_PKCS11_FLAG_MANUAL, NULL)) < 0 ||
      (code = gnutls_pkcs11_add_provider (checks->request->module, NULL)) < 0)
    return set_error (error, "loading the PKCS#11 module", code);
  gnutls_pkcs11_set_pin_function (on_pin, checks);
  if ((code = gnutls_pubkey_init (&checks->public_key)) < 0 ||
      (code = gnutls_pubkey_import (checks->public_key, &spki, GNUTLS_X509_FMT_DER)) < 0)
    return set_error (error, "reading the public key", code);
  if ((code = gnutls_privkey_init (&checks->key)) < 0 ||
      (code = gnutls_privkey_import_url (checks->key, checks->request->uri, 0)) < 0)
    return set_error (error, "opening the private key", code);
  add (checks, "login", "ok", "", "the PIN is accepted, the private key is there");
  return TRUE;
}

/* ---- signatures ---- */

static void
check_signature (Checks *checks, gnutls_sign_algorithm_t algorithm, const char *remedy)
{
  unsigned char bytes[TEST_BYTES];
  gnutls_datum_t data = { bytes, sizeof bytes };
  gnutls_datum_t signature = { NULL, 0 };
  const char *name = gnutls_sign_get_name (algorithm);
  int code = gnutls_rnd (GNUTLS_RND_NONCE, bytes, sizeof bytes);

  if (code >= 0)
    code = gnutls_privkey_sign_data2 (checks->key, algorithm, 0, &data, &signature);
  if (code < 0)
    add (checks, "sign", "fault", remedy, "%s: no signature: %s", name, gnutls_strerror (code));
  else if (gnutls_pubkey_verify_data2 (checks->public_key, algorithm, 0, &data, &signature) < 0)
    add (checks, "sign", "fault", "make another key: ggtpmctl key create",
         "%s: the signature does not fit the public key", name);
  else
    add (checks, "sign", "ok", "", "%s: signed in the chip and verified", name);
  gnutls_free (signature.data);
}

/* Java believes the list. */
static gboolean
announces (Checks *checks, unsigned long wanted)
{
  unsigned long mechanism = 0;

  for (unsigned int i = 0;
       gnutls_pkcs11_token_get_mechanism (checks->request->uri, i, &mechanism) >= 0; i++)
    if (mechanism == wanted)
      return TRUE;
  return FALSE;
}

static void
check_signatures (Checks *checks)
{
  static const char pss[] = "the chip or the store cannot do RSA-PSS, which TLS 1.3 needs: use an "
                            "ecc-p256 key";

  if (gnutls_pubkey_get_pk_algorithm (checks->public_key, NULL) == GNUTLS_PK_RSA)
    {
      check_signature (checks, GNUTLS_SIGN_RSA_SHA256, "");
      check_signature (checks, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, pss);
      if (announces (checks, CKM_RSA_PKCS_PSS))
        add (checks, "mechanism", "ok", "", "RSA-PSS is among the token's mechanisms");
      else
        add (checks, "mechanism", "fault", pss,
             "RSA-PSS is not among the token's mechanisms: Java, and so Greengrass V2, does no "
             "TLS 1.3 with this key");
    }
  else
    check_signature (checks, GNUTLS_SIGN_ECDSA_SHA256, "");
}

/* ---- the certificate ---- */

static gboolean
fits (Checks *checks, gnutls_x509_crt_t certificate)
{
  unsigned char ids[2][KEY_ID_BYTES];
  size_t sizes[2] = { KEY_ID_BYTES, KEY_ID_BYTES };

  return gnutls_x509_crt_get_key_id (certificate, GNUTLS_KEYID_USE_SHA1, ids[0], &sizes[0]) >= 0 &&
         gnutls_pubkey_get_key_id (checks->public_key, GNUTLS_KEYID_USE_SHA1, ids[1], &sizes[1]) >=
             0 &&
         sizes[0] == sizes[1] && memcmp (ids[0], ids[1], sizes[0]) == 0;
}

static void
check_validity (Checks *checks)
{
  time_t now = time (NULL);

  if (gnutls_x509_crt_get_expiration_time (checks->certificate) < now)
    add (checks, "certificate", "fault", "ggtpmctl key csr, then key install-cert",
         "the certificate has expired");
  else if (gnutls_x509_crt_get_activation_time (checks->certificate) > now)
    add (checks, "certificate", "fault", "set the clock, or ggtpmctl key install-cert",
         "the certificate is not valid yet");
  else
    add (checks, "certificate", "ok", "", "the certificate is the key's, and valid");
}

static void
check_certificate (Checks *checks)
{
  gnutls_x509_crt_t certificate = NULL;

  if (gnutls_x509_crt_init (&certificate) < 0)
    return;
  if (gnutls_x509_crt_import_url (certificate, checks->request->cert_uri, 0) < 0)
    add (checks, "certificate", "unknown", "ggtpmctl key install-cert",
         "there is none in the token; TLS is tried with a self-signed one");
  else if (!fits (checks, certificate))
    add (checks, "certificate", "fault", "ggtpmctl key install-cert",
         "the certificate is not of this key");
  else
    {
      checks->certificate = certificate;
      check_validity (checks);
      return;
    }
  gnutls_x509_crt_deinit (certificate);
}

/* Returns a code of GnuTLS. */
static int
self_sign (Checks *checks, gnutls_x509_crt_t certificate)
{
  unsigned char serial[SERIAL_BYTES];
  time_t now = time (NULL);
  int code;

  if ((code = gnutls_rnd (GNUTLS_RND_NONCE, serial, sizeof serial)) < 0)
    return code;
  serial[0] &= 0x7f;
  if ((code = gnutls_x509_crt_set_version (certificate, 3)) < 0 ||
      (code = gnutls_x509_crt_set_serial (certificate, serial, sizeof serial)) < 0 ||
      (code = gnutls_x509_crt_set_activation_time (certificate, now - VALIDITY_S)) < 0 ||
      (code = gnutls_x509_crt_set_expiration_time (certificate, now + VALIDITY_S)) < 0 ||
      (code = gnutls_x509_crt_set_dn (certificate, "CN=ggtpm", NULL)) < 0 ||
      (code = gnutls_x509_crt_set_pubkey (certificate, checks->public_key)) < 0)
    return code;
  return gnutls_x509_crt_privkey_sign (certificate, certificate, checks->key, GNUTLS_DIG_SHA256, 0);
}

/* ---- TLS ---- */

/* The credentials of a handshake take the key. */
static gboolean
shake_hands (Checks *checks,
             gnutls_x509_crt_t certificate,
             gnutls_protocol_t version,
             GError **error)
{
  gnutls_privkey_t key = NULL;
  int code;

  if ((code = gnutls_privkey_init (&key)) < 0 ||
      (code = gnutls_privkey_import_url (key, checks->request->uri, 0)) < 0)
    return set_error (error, "opening the private key", code);
  return handshake_run (key, certificate, version, error);
}

static void
check_tls (Checks *checks)
{
  static const struct
  {
    const char *id;
    gnutls_protocol_t version;
    const char *name;
  } rows[] = {
    { "tls1.2", GNUTLS_TLS1_2, "TLS 1.2" },
    { "tls1.3", GNUTLS_TLS1_3, "TLS 1.3" },
  };
  gnutls_x509_crt_t certificate = checks->certificate;
  int code = 0;

  if (certificate == NULL && (code = gnutls_x509_crt_init (&certificate)) >= 0)
    code = self_sign (checks, certificate);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) local_error = NULL;

      if (code < 0)
        add (checks, rows[i].id, "fault", "", "no self-signed certificate: %s",
             gnutls_strerror (code));
      else if (shake_hands (checks, certificate, rows[i].version, &local_error))
        add (checks, rows[i].id, "ok", "", "%s: both sides with this key", rows[i].name);
      else
        add (checks, rows[i].id, "fault", "see the checks above", "%s: %s", rows[i].name,
             local_error->message);
    }
}

json_object *
checks_run (const ChecksRequest *request, GError **error)
{
  Checks checks = { .request = request, .rows = json_object_new_array () };

  if (!open_key (&checks, error))
    {
      json_object_put (checks.rows);
      return NULL;
    }
  check_signatures (&checks);
  check_certificate (&checks);
  check_tls (&checks);
  return checks.rows;
}
