/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "csr.h"

#include "common/certificate.h"
#include "dbus/error.h"
#include "token/protocol.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <string.h>

struct _Csr
{
  X509_REQ *request; /* NULL: it is a certificate */
  X509 *certificate; /* NULL: it is a request */
  EVP_PKEY *key;
  gboolean is_ecc;
  guint8 digest[SHA256_DIGEST_LENGTH];
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC (ASN1_BIT_STRING, ASN1_BIT_STRING_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BIGNUM, BN_free)

#define SERIAL_LEN 16

/* ---- the subject ---- */

static gboolean
set_subject_error (GError **error, const char *part, const char *why)
{
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "subject, at '%s': %s", part, why);
  return FALSE;
}

/* Undoes `\X` and `\HH` (RFC 4514, 2.4) and drops blanks around the value that are not escaped. */
static char *
unescape_value (const char *raw, const char *part, GError **error)
{
  g_autoptr (GString) value = g_string_new (NULL);
  gsize keep = 0;

  while (*raw == ' ')
    raw++;
  for (; *raw != '\0'; raw++)
    {
      if (*raw != '\\')
        g_string_append_c (value, *raw);
      else if (g_ascii_isxdigit (raw[1]) && g_ascii_isxdigit (raw[2]))
        {
          g_string_append_c (
              value, (char)(g_ascii_xdigit_value (raw[1]) * 16 + g_ascii_xdigit_value (raw[2])));
          raw += 2;
        }
      else if (raw[1] != '\0')
        g_string_append_c (value, *++raw);
      else
        {
          set_subject_error (error, part, "nothing follows the backslash");
          return NULL;
        }
      if (*raw != ' ' || raw[-1] == '\\')
        keep = value->len;
    }
  g_string_truncate (value, keep);
  if (value->len == 0)
    set_subject_error (error, part, "the value is empty");
  else if (memchr (value->str, '\0', value->len) != NULL)
    set_subject_error (error, part, "a NUL is in the value");
  else if (!g_utf8_validate_len (value->str, value->len, NULL))
    set_subject_error (error, part, "the value is not UTF-8");
  else
    return g_string_free (g_steal_pointer (&value), FALSE);
  return NULL;
}

static gboolean
add_name_part (X509_NAME *name, const char *part, gboolean same_rdn, GError **error)
{
  const char *equals = strchr (part, '=');
  g_autofree char *type = NULL;
  g_autofree char *value = NULL;
  g_autofree char *why = NULL;
  int nid;

  if (equals == NULL)
    return set_subject_error (error, part, "TYPE=VALUE is expected, such as CN=device-1");
  type = g_strstrip (g_strndup (part, (gsize)(equals - part)));
  if (equals[1] == '#' || equals[1] == '"')
    return set_subject_error (error, part,
                              "values in # or quotes are not supported: use \\ to escape");
  nid = OBJ_txt2nid (g_ascii_strcasecmp (type, "STREET") == 0 ? "street" : type);
  if (nid == NID_undef)
    {
      ERR_clear_error ();
      return set_subject_error (
          error, part,
          "unknown type: use CN, O, OU, C, ST, L, serialNumber or another that X.520 has");
    }
  value = unescape_value (equals + 1, part, error);
  if (value == NULL)
    return FALSE;
  if (X509_NAME_add_entry_by_NID (name, nid, MBSTRING_UTF8, (const guint8 *)value, -1, -1,
                                  same_rdn ? -1 : 0) == 1)
    return TRUE;
  why = certificate_openssl_error ();
  return set_subject_error (error, part, why);
}

/* Adds what stands up to the next separator that is not escaped; returns the rest, NULL with @error. */
static const char *
parse_name_part (X509_NAME *name,
                 const char *text,
                 char separator,
                 gboolean same_rdn,
                 GError **error)
{
  const char *end = text;
  g_autofree char *part = NULL;

  while (*end != '\0' && *end != separator && *end != '+')
    end += *end == '\\' && end[1] != '\0' ? 2 : 1;
  part = g_strndup (text, (gsize)(end - text));
  return add_name_part (name, part, same_rdn, error) ? end : NULL;
}

static X509_NAME *
parse_subject (const char *subject, GError **error)
{
  g_autoptr (X509_NAME) name = X509_NAME_new ();
  char separator = *subject == '/' ? '/' : ',';
  const char *text = *subject == '/' ? subject + 1 : subject;
  gboolean same_rdn = FALSE;

  if (*text == '\0')
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                           "the subject is empty: CN=device-1 would be one");
      return NULL;
    }
  for (;;)
    {
      text = parse_name_part (name, text, separator, same_rdn, error);
      if (text == NULL)
        return NULL;
      if (*text == '\0')
        return g_steal_pointer (&name);
      same_rdn = *text == '+';
      text++;
    }
}

char *
csr_make_subject (const char *name)
{
  GString *subject = g_string_new ("CN=");

  for (const char *c = name; *c != '\0'; c++)
    {
      if (strchr (" \"#+,/;<=>\\", *c) != NULL)
        g_string_append_c (subject, '\\');
      g_string_append_c (subject, *c);
    }
  return g_string_free (subject, FALSE);
}

gboolean
csr_check_subject (const char *subject, GError **error)
{
  g_autoptr (X509_NAME) name = parse_subject (subject, error);

  return name != NULL;
}

/* ---- the request ---- */

static gboolean
set_openssl_error (GError **error, const char *what)
{
  g_autofree char *why = certificate_openssl_error ();

  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "%s: %s", what, why);
  return FALSE;
}

static gboolean
load_key (Csr *self, GBytes *spki, GError **error)
{
  gsize len;
  const guint8 *der = g_bytes_get_data (spki, &len);

  self->key = d2i_PUBKEY (NULL, &der, (long)len);
  if (self->key == NULL)
    {
      ERR_clear_error ();
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                           "the public key cannot be read");
      return FALSE;
    }
  self->is_ecc = EVP_PKEY_is_a (self->key, "EC") == 1;
  if (self->is_ecc || EVP_PKEY_is_a (self->key, "RSA") == 1)
    return TRUE;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED,
                       "requests are for RSA and ECC keys only");
  return FALSE;
}

/* RFC 5758, 3.2: no parameters for ECDSA; RFC 4055, 5: NULL for RSA. */
static gboolean
set_algorithm (Csr *self, X509_ALGOR *algorithm)
{
  int nid = self->is_ecc ? NID_ecdsa_with_SHA256 : NID_sha256WithRSAEncryption;

  return X509_ALGOR_set0 (algorithm, OBJ_nid2obj (nid), self->is_ecc ? V_ASN1_UNDEF : V_ASN1_NULL,
                          NULL) == 1;
}

static gboolean
set_request_algorithm (Csr *self)
{
  g_autoptr (X509_ALGOR) algorithm = X509_ALGOR_new ();

  return set_algorithm (self, algorithm) &&
         X509_REQ_set1_signature_algo (self->request, algorithm) == 1;
}

static gboolean
hash_tbs (Csr *self)
{
  guint8 *tbs = NULL;
  int len = self->request != NULL ? i2d_re_X509_REQ_tbs (self->request, &tbs)
                                  : i2d_re_X509_tbs (self->certificate, &tbs);
  gboolean done =
      len > 0 && EVP_Digest (tbs, (size_t)len, self->digest, NULL, EVP_sha256 (), NULL) == 1;

  OPENSSL_free (tbs);
  return done;
}

Csr *
csr_new (GBytes *spki, const char *subject, const ExtensionParams *params, GError **error)
{
  g_autoptr (Csr) self = g_new0 (Csr, 1);
  g_autoptr (X509_NAME) name = parse_subject (subject, error);
  g_autoptr (ExtensionStack) extensions = name != NULL ? extensions_new (params, error) : NULL;

  if (extensions == NULL || !load_key (self, spki, error))
    return NULL;
  self->request = X509_REQ_new ();
  if (X509_REQ_set_version (self->request, X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_subject_name (self->request, name) != 1 ||
      X509_REQ_set_pubkey (self->request, self->key) != 1 ||
      (sk_X509_EXTENSION_num (extensions) > 0 &&
       X509_REQ_add_extensions (self->request, extensions) != 1) ||
      !set_request_algorithm (self) || !hash_tbs (self))
    {
      set_openssl_error (error, "the request cannot be made");
      return NULL;
    }
  return g_steal_pointer (&self);
}

/* ---- the self-signed certificate ---- */

static gboolean
set_serial (X509 *certificate)
{
  guint8 random[SERIAL_LEN];
  g_autoptr (BIGNUM) number = NULL;

  if (RAND_bytes (random, sizeof random) != 1)
    return FALSE;
  /* Positive and not 0 (RFC 5280, 4.1.2.2). */
  random[0] = (random[0] & 0x7f) | 0x40;
  number = BN_bin2bn (random, sizeof random, NULL);
  return BN_to_ASN1_INTEGER (number, X509_get_serialNumber (certificate)) != NULL;
}

static gboolean
set_identity (Csr *self, X509_NAME *name, guint days)
{
  X509 *certificate = self->certificate;
  time_t now = (time_t)(g_get_real_time () / G_USEC_PER_SEC);

  return X509_set_version (certificate, X509_VERSION_3) == 1 && set_serial (certificate) &&
         X509_set_subject_name (certificate, name) == 1 &&
         X509_set_issuer_name (certificate, name) == 1 &&
         X509_set_pubkey (certificate, self->key) == 1 &&
         X509_time_adj_ex (X509_getm_notBefore (certificate), 0, 0, &now) != NULL &&
         X509_time_adj_ex (X509_getm_notAfter (certificate), (int)days, 0, &now) != NULL;
}

static gboolean
add_own_extensions (X509 *certificate)
{
  static const char *const own[][2] = { { "basicConstraints", "critical,CA:FALSE" },
                                        { "subjectKeyIdentifier", "hash" } };
  X509V3_CTX context;

  X509V3_set_ctx_nodb (&context);
  X509V3_set_ctx (&context, certificate, certificate, NULL, NULL, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (own); i++)
    {
      X509_EXTENSION *extension = X509V3_EXT_conf (NULL, &context, own[i][0], own[i][1]);
      gboolean added = extension != NULL && X509_add_ext (certificate, extension, -1) == 1;

      X509_EXTENSION_free (extension);
      if (!added)
        return FALSE;
    }
  return TRUE;
}

static gboolean
add_extensions (X509 *certificate, ExtensionStack *extensions)
{
  for (int i = 0; i < sk_X509_EXTENSION_num (extensions); i++)
    if (X509_add_ext (certificate, sk_X509_EXTENSION_value (extensions, i), -1) != 1)
      return FALSE;
  return TRUE;
}

/* Both places that name it; there is no other function that sets them without signing. */
static gboolean
set_certificate_algorithm (Csr *self)
{
  const X509_ALGOR *outer = NULL;

  X509_get0_signature (NULL, &outer, self->certificate);
  return set_algorithm (self, (X509_ALGOR *)outer) &&
         set_algorithm (self, (X509_ALGOR *)X509_get0_tbs_sigalg (self->certificate));
}

Csr *
csr_new_self_signed (GBytes *spki,
                     const char *subject,
                     const ExtensionParams *params,
                     guint days,
                     GError **error)
{
  g_autoptr (Csr) self = g_new0 (Csr, 1);
  g_autoptr (X509_NAME) name = parse_subject (subject, error);
  g_autoptr (ExtensionStack) extensions = name != NULL ? extensions_new (params, error) : NULL;

  if (extensions == NULL || !load_key (self, spki, error))
    return NULL;
  if (days == 0 || days > CSR_MAX_DAYS)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "'%u' is no number of days (1 to %d)", days, CSR_MAX_DAYS);
      return NULL;
    }
  self->certificate = X509_new ();
  if (!set_identity (self, name, days) || !add_own_extensions (self->certificate) ||
      !add_extensions (self->certificate, extensions) || !set_certificate_algorithm (self) ||
      !hash_tbs (self))
    {
      set_openssl_error (error, "the certificate cannot be made");
      return NULL;
    }
  return g_steal_pointer (&self);
}

void
csr_free (Csr *self)
{
  if (self == NULL)
    return;
  X509_REQ_free (self->request);
  X509_free (self->certificate);
  EVP_PKEY_free (self->key);
  g_free (self);
}

GBytes *
csr_get_digest (Csr *self)
{
  return g_bytes_new (self->digest, sizeof self->digest);
}

const char *
csr_get_mechanism (Csr *self)
{
  return self->is_ecc ? PROTOCOL_MECHANISM_ECDSA : PROTOCOL_MECHANISM_RSA_PKCS;
}

static gboolean
set_signature (Csr *self, GBytes *signature)
{
  g_autoptr (ASN1_BIT_STRING) bits = ASN1_BIT_STRING_new ();
  gsize len;
  const guint8 *data = g_bytes_get_data (signature, &len);

  if (len > G_MAXINT || ASN1_BIT_STRING_set (bits, (guint8 *)data, (int)len) != 1)
    return FALSE;
  /* Without this, OpenSSL cuts zero bits off the end. */
  bits->flags &= ~(ASN1_STRING_FLAG_BITS_LEFT | 7);
  bits->flags |= ASN1_STRING_FLAG_BITS_LEFT;
  if (self->request != NULL)
    X509_REQ_set0_signature (self->request, g_steal_pointer (&bits));
  else
    {
      const ASN1_BIT_STRING *place = NULL;

      X509_get0_signature (&place, NULL, self->certificate);
      if (ASN1_STRING_copy ((ASN1_BIT_STRING *)place, bits) != 1)
        return FALSE;
    }
  return TRUE;
}

static gboolean
verify (Csr *self)
{
  return self->request != NULL ? X509_REQ_verify (self->request, self->key) == 1
                               : X509_verify (self->certificate, self->key) == 1;
}

char *
csr_finish (Csr *self, GBytes *signature, GError **error)
{
  g_autoptr (BIO) bio = BIO_new (BIO_s_mem ());
  char *pem = NULL;
  long len;

  if (!set_signature (self, signature) || !verify (self))
    {
      set_openssl_error (error, self->request != NULL
                                    ? "the signature of the request does not verify"
                                    : "the signature of the certificate does not verify");
      return NULL;
    }
  if (self->request == NULL)
    return certificate_to_pem (self->certificate);
  if (PEM_write_bio_X509_REQ (bio, self->request) != 1)
    {
      set_openssl_error (error, "the request cannot be written");
      return NULL;
    }
  len = BIO_get_mem_data (bio, &pem);
  return g_strndup (pem, (gsize)len);
}
