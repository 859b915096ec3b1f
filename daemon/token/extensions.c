/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "extensions.h"

#include "common/certificate.h"
#include "dbus/error.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GENERAL_NAMES, GENERAL_NAMES_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ASN1_BIT_STRING, ASN1_BIT_STRING_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free)

#define MAX_VALUES 64

void
extension_params_clear (ExtensionParams *params)
{
  g_clear_pointer (&params->alt_names, g_strfreev);
  g_clear_pointer (&params->key_usage, g_strfreev);
  g_clear_pointer (&params->ext_key_usage, g_strfreev);
}

void
extensions_free (ExtensionStack *stack)
{
  sk_X509_EXTENSION_pop_free (stack, X509_EXTENSION_free);
}

static gboolean
set_error (GError **error, const char *what, const char *value, const char *why)
{
  ERR_clear_error ();
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s '%s' %s", what, value, why);
  return FALSE;
}

/* Appends the extension @nid with @value, which stays the caller's. */
static gboolean
append (ExtensionStack **stack, int nid, gboolean critical, void *value, GError **error)
{
  if (X509V3_add1_i2d (stack, nid, value, critical, X509V3_ADD_APPEND) == 1)
    return TRUE;
  return set_error (error, "extension", OBJ_nid2sn (nid), "cannot be made");
}

/* ---- subject alternative names ---- */

static const struct
{
  const char *prefix;
  int type;
} name_types[] = { { "DNS:", GEN_DNS },
                   { "IP:", GEN_IPADD },
                   { "email:", GEN_EMAIL },
                   { "URI:", GEN_URI } };

static gboolean
is_printable_ascii (const char *text)
{
  for (; *text != '\0'; text++)
    if (!g_ascii_isgraph (*text))
      return FALSE;
  return TRUE;
}

static GENERAL_NAME *
parse_alt_name (const char *text, GError **error)
{
  static const char what[] = "alternative name";

  for (gsize i = 0; i < G_N_ELEMENTS (name_types); i++)
    if (g_str_has_prefix (text, name_types[i].prefix))
      {
        const char *value = text + strlen (name_types[i].prefix);
        GENERAL_NAME *name = NULL;

        /* All of them are IA5String or numbers (RFC 5280, 4.2.1.6). */
        if (*value != '\0' && is_printable_ascii (value))
          name = a2i_GENERAL_NAME (NULL, NULL, NULL, name_types[i].type, value, 0);
        if (name == NULL)
          set_error (error, what, text,
                     "is not one: after the colon a name or address is expected");
        return name;
      }
  set_error (error, what, text, "has no known kind: DNS:, IP:, email: and URI: are there");
  return NULL;
}

static gboolean
add_alt_names (ExtensionStack **stack, char **texts, GError **error)
{
  g_autoptr (GENERAL_NAMES) names = GENERAL_NAMES_new ();

  for (; *texts != NULL; texts++)
    {
      GENERAL_NAME *name = parse_alt_name (*texts, error);

      if (name == NULL)
        return FALSE;
      sk_GENERAL_NAME_push (names, name);
    }
  return append (stack, NID_subject_alt_name, FALSE, names, error);
}

/* ---- key usage ---- */

/* In the order of the bits (RFC 5280, 4.2.1.3). */
static const char *const usages[] = {
  "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
  "keyCertSign",      "cRLSign",        "encipherOnly",    "decipherOnly",     NULL
};

static gboolean
add_key_usage (ExtensionStack **stack, char **names, GError **error)
{
  g_autoptr (ASN1_BIT_STRING) bits = ASN1_BIT_STRING_new ();

  for (; *names != NULL; names++)
    {
      int bit = 0;

      while (usages[bit] != NULL && strcmp (usages[bit], *names) != 0)
        bit++;
      if (usages[bit] == NULL)
        {
          g_autofree char *list = g_strjoinv (", ", (char **)usages);
          g_autofree char *why = g_strdup_printf ("is unknown (%s)", list);

          return set_error (error, "key usage", *names, why);
        }
      ASN1_BIT_STRING_set_bit (bits, bit, 1);
    }
  return append (stack, NID_key_usage, TRUE, bits, error);
}

static ASN1_OBJECT *
find_purpose (const char *name)
{
  static const char *const purposes[] = {
    "serverAuth",   "clientAuth",  "codeSigning", "emailProtection",
    "timeStamping", "OCSPSigning", NULL
  };
  /* OpenSSL takes a number that is missing for 0. */
  gboolean is_oid = g_ascii_isdigit (*name) && strspn (name, "0123456789.") == strlen (name) &&
                    strstr (name, "..") == NULL && !g_str_has_suffix (name, ".");

  return g_strv_contains (purposes, name) || is_oid ? OBJ_txt2obj (name, is_oid) : NULL;
}

static gboolean
add_ext_key_usage (ExtensionStack **stack, char **names, GError **error)
{
  g_autoptr (EXTENDED_KEY_USAGE) purposes = EXTENDED_KEY_USAGE_new ();

  for (; *names != NULL; names++)
    {
      ASN1_OBJECT *purpose = find_purpose (*names);

      if (purpose == NULL)
        return set_error (error, "extended key usage", *names,
                          "is unknown (serverAuth, clientAuth, codeSigning, emailProtection, "
                          "timeStamping, OCSPSigning, or an object identifier such as 1.2.3)");
      sk_ASN1_OBJECT_push (purposes, purpose);
    }
  return append (stack, NID_ext_key_usage, FALSE, purposes, error);
}

/* ---- all of them ---- */

static gboolean
check_length (const char *what, char **values, GError **error)
{
  if (values == NULL || g_strv_length (values) <= MAX_VALUES)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "more than %d values of %s",
               MAX_VALUES, what);
  return FALSE;
}

static gboolean
is_given (char **values)
{
  return values != NULL && values[0] != NULL;
}

ExtensionStack *
extensions_new (const ExtensionParams *params, GError **error)
{
  g_autoptr (ExtensionStack) stack = sk_X509_EXTENSION_new_null ();

  if (params == NULL)
    return g_steal_pointer (&stack);
  if (!check_length ("alternative names", params->alt_names, error) ||
      !check_length ("key usage", params->key_usage, error) ||
      !check_length ("extended key usage", params->ext_key_usage, error))
    return NULL;
  if ((is_given (params->key_usage) && !add_key_usage (&stack, params->key_usage, error)) ||
      (is_given (params->ext_key_usage) &&
       !add_ext_key_usage (&stack, params->ext_key_usage, error)) ||
      (is_given (params->alt_names) && !add_alt_names (&stack, params->alt_names, error)))
    return NULL;
  return g_steal_pointer (&stack);
}

gboolean
extensions_check (const ExtensionParams *params, GError **error)
{
  g_autoptr (ExtensionStack) stack = extensions_new (params, error);

  return stack != NULL;
}
