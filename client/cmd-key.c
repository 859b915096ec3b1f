/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/files.h"
#include "client/key-call.h"
#include "client/objects.h"
#include "client/output.h"
#include "client/pin.h"
#include "client/progress.h"
#include "dbus/error.h"

#define TEXT(value) ((value) != NULL ? (value) : "")

#define DEFAULT_ALGORITHM "ecc-p256"
#define CKA_ID_MAX_BYTES  32
#define CERTIFICATE_MAX   (64 * 1024)
#define PEM_LINE          64

/* list */

/* SubjectPublicKeyInfo in PEM (RFC 7468). */
static char *
make_pem (GVariant *der)
{
  GString *pem = NULL;
  g_autofree char *base64 = NULL;
  const guint8 *bytes = NULL;
  gsize len = 0;

  if (der != NULL)
    bytes = g_variant_get_fixed_array (der, &len, 1);
  if (len == 0)
    return g_strdup ("");
  base64 = g_base64_encode (bytes, len);
  pem = g_string_new ("-----BEGIN PUBLIC KEY-----\n");
  for (const char *at = base64; *at != '\0';)
    {
      gsize n = strnlen (at, PEM_LINE);

      g_string_append_len (pem, at, (gssize)n);
      g_string_append_c (pem, '\n');
      at += n;
    }
  g_string_append (pem, "-----END PUBLIC KEY-----\n");
  return g_string_free (pem, FALSE);
}

/* In hexadecimal, as tpm2-tools show it. */
static GVariant *
get_name (GgtpmKey *key)
{
  GVariant *name = ggtpm_key_get_name (key);
  GString *text = g_string_new (NULL);
  const guint8 *bytes = NULL;
  gsize len = 0;

  if (name != NULL)
    bytes = g_variant_get_fixed_array (name, &len, 1);
  for (gsize i = 0; i < len; i++)
    g_string_append_printf (text, "%02x", bytes[i]);
  return g_variant_new_take_string (g_string_free (text, FALSE));
}

static GVariant *
describe_key (Client *client, GgtpmKey *key)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *token = objects_get_token_label (client, ggtpm_key_get_token (key));
  g_autofree char *id = objects_get_key_id (key);
  g_autofree char *pem = make_pem (ggtpm_key_get_public_key (key));

  output_add (&dict, "token", "s", token);
  output_add (&dict, "label", "s", TEXT (ggtpm_key_get_label (key)));
  output_add (&dict, "id", "s", id);
  output_add (&dict, "algorithm", "s", TEXT (ggtpm_key_get_algorithm (key)));
  output_add (&dict, "curve", "s", TEXT (ggtpm_key_get_curve (key)));
  output_add (&dict, "uri", "s", TEXT (ggtpm_key_get_uri (key)));
  output_add (&dict, "openssl_uri", "s", TEXT (ggtpm_key_get_openssl_uri (key)));
  output_add (&dict, "public_key", "s", pem);
  g_variant_builder_add (&dict, "{sv}", "name", get_name (key));
  output_add (&dict, "handle", "u", ggtpm_key_get_handle (key));
  output_add (&dict, "parent", "u", ggtpm_key_get_parent (key));
  output_add (&dict, "created", "t", ggtpm_key_get_created (key));
  output_add (&dict, "attributes", "u", ggtpm_key_get_attributes (key));
  output_add (&dict, "no_da", "b", ggtpm_key_get_no_da (key));
  output_add (&dict, "roca", "b", ggtpm_key_get_roca (key));
  output_add (&dict, "has_certificate", "b", ggtpm_key_get_has_certificate (key));
  output_add (&dict, "certificate_not_after", "t", ggtpm_key_get_certificate_not_after (key));
  output_add (&dict, "path", "s", g_dbus_proxy_get_object_path (G_DBUS_PROXY (key)));
  return g_variant_builder_end (&dict);
}

static void
print_json (Client *client, GPtrArray *keys)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_auto (GVariantBuilder) list = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));

  for (guint i = 0; i < keys->len; i++)
    g_variant_builder_add_value (&list, describe_key (client, g_ptr_array_index (keys, i)));
  output_add (&dict, "keys", "aa{sv}", &list);
  output_json (g_variant_builder_end (&dict));
}

static void
print_text (Client *client, GPtrArray *keys)
{
  const char *const header[] = { "TOKEN", "KEY", "ID", "ALGORITHM", "CERTIFICATE UNTIL" };
  g_autoptr (OutputTable) table = output_table_new (G_N_ELEMENTS (header), header);
  g_autofree char *text = NULL;

  for (guint i = 0; i < keys->len; i++)
    {
      GgtpmKey *key = g_ptr_array_index (keys, i);
      g_autofree char *token = objects_get_token_label (client, ggtpm_key_get_token (key));
      g_autofree char *id = objects_get_key_id (key);
      g_autofree char *end = output_time (ggtpm_key_get_certificate_not_after (key));
      g_autofree char *algorithm =
          g_strconcat (TEXT (ggtpm_key_get_algorithm (key)),
                       ggtpm_key_get_roca (key) ? " (weak: ROCA)" : NULL, NULL);

      output_table_add (table, token, ggtpm_key_get_label (key), id, algorithm,
                        ggtpm_key_get_has_certificate (key) ? end : "no certificate");
    }
  text = output_table_to_string (table);
  output_text ("%s", text[0] != '\0' ? text : "No keys.\n");
}

gboolean
cmd_key_list (Client *client, const Options *options, GError **error)
{
  g_autoptr (GPtrArray) keys = NULL;

  if (!client_connect (client, TRUE, error))
    return FALSE;
  if (options->token != NULL)
    {
      g_autoptr (GgtpmToken) token = objects_find_token (client, options->token, error);

      if (token == NULL)
        return FALSE;
    }
  keys = objects_list_keys (client, options->token);
  if (client->json)
    print_json (client, keys);
  else
    print_text (client, keys);
  return TRUE;
}

/* show */

static void
print_line (const char *name, const char *value)
{
  g_autofree char *clean = output_clean (value);

  output_text ("%-13s%s\n", name, clean);
}

static char *
make_day (guint64 seconds)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc ((gint64)seconds);

  return seconds != 0 && time != NULL ? g_date_time_format (time, "%Y-%m-%d")
                                      : g_strdup ("not known");
}

static char *
make_handle (guint32 handle, const char *none)
{
  return handle != 0 ? g_strdup_printf ("0x%08x", handle) : g_strdup (none);
}

static void
show_key (GgtpmKey *key, const char *token)
{
  g_autofree char *id = objects_get_key_id (key);
  g_autoptr (GVariant) name = g_variant_ref_sink (get_name (key));
  g_autofree char *attributes = g_strdup_printf ("0x%08x%s", ggtpm_key_get_attributes (key),
                                                 ggtpm_key_get_no_da (key) ? " (noDA)" : "");
  g_autofree char *parent = make_handle (ggtpm_key_get_parent (key), "not known");
  g_autofree char *handle =
      make_handle (ggtpm_key_get_handle (key), "none: it is loaded when used");
  g_autofree char *created = make_day (ggtpm_key_get_created (key));
  g_autofree char *end = output_time (ggtpm_key_get_certificate_not_after (key));
  g_autofree char *certificate = g_strconcat ("until ", end, NULL);
  g_autofree char *pem = make_pem (ggtpm_key_get_public_key (key));

  print_line ("Token:", token);
  print_line ("Key:", TEXT (ggtpm_key_get_label (key)));
  print_line ("Id:", id);
  print_line ("Algorithm:", TEXT (ggtpm_key_get_algorithm (key)));
  if (*TEXT (ggtpm_key_get_curve (key)) != '\0')
    print_line ("Curve:", ggtpm_key_get_curve (key));
  print_line ("Created:", created);
  print_line ("URI:", TEXT (ggtpm_key_get_uri (key)));
  if (*TEXT (ggtpm_key_get_openssl_uri (key)) != '\0')
    print_line ("OpenSSL:", ggtpm_key_get_openssl_uri (key));
  print_line ("Name:", *g_variant_get_string (name, NULL) != '\0'
                           ? g_variant_get_string (name, NULL)
                           : "not known");
  print_line ("Handle:", handle);
  print_line ("Parent:", parent);
  print_line ("Attributes:", attributes);
  print_line ("ROCA:", ggtpm_key_get_roca (key) ? "weak (CVE-2017-15361): replace it" : "no");
  print_line ("Certificate:", ggtpm_key_get_has_certificate (key) ? certificate : "none");
  output_text ("%s", pem);
}

gboolean
cmd_key_show (Client *client, const Options *options, GError **error)
{
  g_auto (KeyCall) call = { NULL };
  g_autofree char *token = NULL;

  if (!key_call_find (client, options, &call, &token, error))
    return FALSE;
  if (client->json)
    output_json (describe_key (client, call.key));
  else
    show_key (call.key, token);
  return TRUE;
}

/* create */

static gboolean
parse_id (const char *text, GVariantBuilder *dict, GError **error)
{
  g_autoptr (GByteArray) id = g_byte_array_new ();

  for (const char *at = text; g_ascii_isxdigit (at[0]) && g_ascii_isxdigit (at[1]); at += 2)
    {
      guint8 byte = (guint8)(g_ascii_xdigit_value (at[0]) << 4 | g_ascii_xdigit_value (at[1]));

      g_byte_array_append (id, &byte, 1);
    }
  if (id->len == 0 || id->len > CKA_ID_MAX_BYTES || strlen (text) != id->len * 2)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "--id '%s': not 1 to %d bytes in hexadecimal", text, CKA_ID_MAX_BYTES);
      return FALSE;
    }
  g_variant_builder_add (dict, "{sv}", "id",
                         g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, id->data, id->len, 1));
  return TRUE;
}

static gboolean
call_create (Client *client,
             GVariant *arguments,
             GUnixFDList *descriptors,
             gpointer user_data,
             GError **error)
{
  KeyCall *call = user_data;
  g_autofree char *job = NULL;

  if (!ggtpm_token_call_create_key_sync (call->token, call->label, call->algorithm, arguments,
                                         client_get_flags (client), client_get_timeout_ms (client),
                                         descriptors, &job, NULL, NULL, error))
    return FALSE;
  call->result =
      progress_wait (client, job, "`ggtpmctl key list` shows the key when it is there", error);
  return call->result != NULL;
}

gboolean
cmd_key_create (Client *client, const Options *options, GError **error)
{
  g_auto (KeyCall) call = { .label = options->arguments[0] };
  g_auto (GVariantBuilder) dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  GVariantBuilder out = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  const char *uri = "";
  const char *path = "";

  if (options->id != NULL && !parse_id (options->id, &dict, error))
    return FALSE;
  if (!client_connect (client, TRUE, error))
    return FALSE;
  call.token = objects_find_token (client, options->token, error);
  if (call.token == NULL)
    return FALSE;
  call.algorithm = options->algorithm != NULL ? options->algorithm : DEFAULT_ALGORITHM;
  if (!pin_call (client, options, ggtpm_token_get_label (call.token), g_variant_builder_end (&dict),
                 call_create, &call, error))
    return FALSE;

  g_variant_lookup (call.result, "uri", "&s", &uri);
  g_variant_lookup (call.result, "key", "&o", &path);
  if (client->json)
    {
      output_add (&out, "token", "s", TEXT (ggtpm_token_get_label (call.token)));
      output_add (&out, "label", "s", call.label);
      output_add (&out, "algorithm", "s", call.algorithm);
      output_add (&out, "uri", "s", uri);
      output_add (&out, "path", "s", path);
      output_json (g_variant_builder_end (&out));
    }
  else
    output_text ("%s\n", uri);
  return TRUE;
}

/* csr, uri, install-cert */

static gboolean
call_csr (Client *client,
          GVariant *arguments,
          GUnixFDList *descriptors,
          gpointer user_data,
          GError **error)
{
  KeyCall *call = user_data;

  return ggtpm_key_call_create_csr_sync (call->key, arguments, client_get_flags (client),
                                         client_get_timeout_ms (client), descriptors, &call->text,
                                         NULL, NULL, error);
}

gboolean
cmd_key_csr (Client *client, const Options *options, GError **error)
{
  g_auto (KeyCall) call = { NULL };
  g_auto (GVariantBuilder) dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *token = NULL;

  if (!key_call_find (client, options, &call, &token, error))
    return FALSE;
  key_call_add_request (options, &dict);
  if (!pin_call (client, options, token, g_variant_builder_end (&dict), call_csr, &call, error))
    return FALSE;
  return key_call_print (client, options, &call, token, "csr", error);
}

gboolean
cmd_key_uri (Client *client, const Options *options, GError **error)
{
  g_auto (KeyCall) call = { NULL };
  GVariantBuilder out = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *token = NULL;
  const char *uri = NULL;

  if (!key_call_find (client, options, &call, &token, error))
    return FALSE;
  uri = TEXT (ggtpm_key_get_uri (call.key));
  if (client->json)
    {
      output_add (&out, "token", "s", token);
      output_add (&out, "label", "s", TEXT (ggtpm_key_get_label (call.key)));
      output_add (&out, "uri", "s", uri);
      output_json (g_variant_builder_end (&out));
    }
  else
    output_text ("%s\n", uri);
  return TRUE;
}

static gboolean
call_install (Client *client,
              GVariant *arguments,
              GUnixFDList *descriptors,
              gpointer user_data,
              GError **error)
{
  KeyCall *call = user_data;

  return ggtpm_key_call_install_certificate_sync (
      call->key, call->pem, arguments, client_get_flags (client), client_get_timeout_ms (client),
      descriptors, NULL, NULL, error);
}

/* NULL: it is no text. */
static char *
make_text (GBytes *content)
{
  gsize len = 0;
  const char *data = g_bytes_get_data (content, &len);

  if (len == 0 || !g_utf8_validate (data, (gssize)len, NULL))
    return NULL;
  return g_strndup (data, len);
}

gboolean
cmd_key_install_cert (Client *client, const Options *options, GError **error)
{
  const char *file = options->arguments[1];
  g_auto (KeyCall) call = { NULL };
  g_auto (GVariantBuilder) dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  GVariantBuilder out = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GBytes) content = NULL;
  g_autofree char *pem = NULL;
  g_autofree char *token = NULL;

  if (!files_check_standard_input (options, file, error))
    return FALSE;
  content = files_read (file, CERTIFICATE_MAX, error);
  if (content == NULL)
    return FALSE;
  pem = make_text (content);
  if (pem == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "'%s' is not PEM: `openssl x509 -inform DER` converts a certificate", file);
      return FALSE;
    }
  if (!key_call_find (client, options, &call, &token, error))
    return FALSE;
  call.pem = pem;
  if (options->force)
    output_add (&dict, "force", "b", TRUE);
  if (!pin_call (client, options, token, g_variant_builder_end (&dict), call_install, &call, error))
    return FALSE;
  if (client->json)
    {
      output_add (&out, "token", "s", token);
      output_add (&out, "label", "s", TEXT (ggtpm_key_get_label (call.key)));
      output_add (&out, "installed", "b", TRUE);
      output_json (g_variant_builder_end (&out));
    }
  return TRUE;
}
