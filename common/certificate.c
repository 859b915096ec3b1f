/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <time.h>

#include "dbus/error.h"

char *
certificate_openssl_error (void)
{
  unsigned long code = ERR_peek_last_error ();
  const char *reason = code != 0 ? ERR_reason_error_string (code) : NULL;
  char *text = g_strdup (reason != NULL ? reason : "unknown");

  ERR_clear_error ();
  return text;
}

static gboolean
set_parse_error (GError **error, const char *what)
{
  g_autofree char *why = certificate_openssl_error ();

  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s: %s", what, why);
  return FALSE;
}

X509 *
certificate_parse_pem (const char *pem, GError **error)
{
  g_autoptr (BIO) bio = BIO_new_mem_buf (pem, -1);
  g_autoptr (X509) certificate = PEM_read_bio_X509 (bio, NULL, NULL, NULL);
  g_autoptr (X509) second = NULL;

  if (certificate == NULL)
    {
      set_parse_error (error, "this is no certificate in PEM");
      return NULL;
    }
  second = PEM_read_bio_X509 (bio, NULL, NULL, NULL);
  ERR_clear_error ();
  if (second != NULL)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                           "one certificate is expected, and there are more: leave out the chain");
      return NULL;
    }
  return g_steal_pointer (&certificate);
}

X509 *
certificate_parse_der (const guint8 *der, gsize len, GError **error)
{
  const guint8 *end = der;
  g_autoptr (X509) certificate = len <= G_MAXINT ? d2i_X509 (NULL, &end, (long)len) : NULL;

  if (certificate == NULL || end != der + len)
    {
      set_parse_error (error, "this is no certificate in DER");
      return NULL;
    }
  return g_steal_pointer (&certificate);
}

char *
certificate_to_pem (X509 *certificate)
{
  g_autoptr (BIO) bio = BIO_new (BIO_s_mem ());
  char *data = NULL;
  long len;

  /* Fails only without memory, where GLib would have ended us as well. */
  g_assert (bio != NULL && PEM_write_bio_X509 (bio, certificate) == 1);
  len = BIO_get_mem_data (bio, &data);
  return g_strndup (data, (gsize)len);
}

gboolean
certificate_matches (X509 *certificate, GBytes *spki)
{
  gsize len = 0;
  const guint8 *der = g_bytes_get_data (spki, &len);
  g_autoptr (EVP_PKEY) key = d2i_PUBKEY (NULL, &der, (long)len);
  gboolean same = key != NULL && EVP_PKEY_eq (X509_get0_pubkey (certificate), key) == 1;

  ERR_clear_error ();
  return same;
}

static gint64
time_to_epoch (const ASN1_TIME *asn1)
{
  struct tm tm = { 0 };

  return ASN1_TIME_to_tm (asn1, &tm) == 1 ? (gint64)timegm (&tm) : 0;
}

void
certificate_get_validity (X509 *certificate, gint64 *out_not_before, gint64 *out_not_after)
{
  *out_not_before = time_to_epoch (X509_get0_notBefore (certificate));
  *out_not_after = time_to_epoch (X509_get0_notAfter (certificate));
}

gboolean
certificate_check_time (X509 *certificate, gint64 now, GError **error)
{
  g_autoptr (GDateTime) date = NULL;
  g_autofree char *text = NULL;
  gint64 not_before, not_after;

  certificate_get_validity (certificate, &not_before, &not_after);
  if (now >= not_before && now <= not_after)
    return TRUE;
  date = g_date_time_new_from_unix_utc (now < not_before ? not_before : not_after);
  text = date != NULL ? g_date_time_format (date, "%Y-%m-%d %H:%M:%S UTC") : NULL;
  if (text == NULL)
    text = g_strdup ("a date that cannot be read");
  if (now < not_before)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "the certificate is not valid before %s: check the clock of this device, or use "
                 "`ggtpmctl key install-cert --force`",
                 text);
  else
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "the certificate has expired at %s: have a new one issued, or use `ggtpmctl key "
                 "install-cert --force`",
                 text);
  return FALSE;
}
