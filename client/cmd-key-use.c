/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/files.h"
#include "client/key-call.h"
#include "client/output.h"
#include "client/pin.h"
#include "dbus/error.h"
#include "dbus/names.h"

#include <unistd.h>

#define TEXT(value) ((value) != NULL ? (value) : "")

#define MAX_DIGEST     64
#define MAX_SIGNATURE  4096
#define MAX_CIPHERTEXT 4096

static GVariant *
make_bytes (GBytes *data)
{
  return g_variant_ref_sink (g_variant_new_fixed_array (
      G_VARIANT_TYPE_BYTE, g_bytes_get_data (data, NULL), g_bytes_get_size (data), 1));
}

/* sign */

static gboolean
call_sign (Client *client,
           GVariant *arguments,
           GUnixFDList *descriptors,
           gpointer user_data,
           GError **error)
{
  KeyCall *call = user_data;

  return ggtpm_key_call_sign_sync (call->key, call->data, arguments, client_get_flags (client),
                                   client_get_timeout_ms (client), descriptors, &call->signature,
                                   NULL, NULL, error);
}

static GVariant *
make_sign_options (const Options *options)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (options->mechanism != NULL)
    output_add (&dict, "mechanism", "s", options->mechanism);
  if (options->hash != NULL)
    output_add (&dict, "hash", "s", options->hash);
  output_add (&dict, "input", "s", "digest");
  return g_variant_builder_end (&dict);
}

/* What is signed is hashed here, so that it may be as long as it likes. */
static GVariant *
read_digest (const Options *options, GError **error)
{
  const char *in = options->in != NULL ? options->in : "-";
  GChecksumType type = G_CHECKSUM_SHA256; /* of what the daemon does not know, too: it says so */
  g_autoptr (GBytes) digest = NULL;

  if (g_strcmp0 (options->hash, "sha384") == 0)
    type = G_CHECKSUM_SHA384;
  else if (g_strcmp0 (options->hash, "sha512") == 0)
    type = G_CHECKSUM_SHA512;
  digest = options->digest ? files_read (in, MAX_DIGEST, error) : files_hash (in, type, error);
  return digest != NULL ? make_bytes (digest) : NULL;
}

static gboolean
check_output (Client *client, const Options *options, const char *what, GError **error)
{
  if (client->json || files_is_path (options->out) || isatty (STDOUT_FILENO) != 1)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "%s is binary and not for a terminal: use --out FILE, a pipe, or --json", what);
  return FALSE;
}

static gboolean
print_bytes (Client *client,
             const Options *options,
             const KeyCall *call,
             const char *token,
             const char *name,
             GError **error)
{
  GVariantBuilder out = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  gsize len = 0;
  const guint8 *bytes = g_variant_get_fixed_array (call->signature, &len, 1);

  if (files_is_path (options->out) && !files_write (options->out, bytes, len, error))
    return FALSE;
  if (client->json)
    {
      output_add (&out, "token", "s", token);
      output_add (&out, "label", "s", TEXT (ggtpm_key_get_label (call->key)));
      g_variant_builder_add (&out, "{sv}", name, call->signature);
      if (files_is_path (options->out))
        files_describe (&out, "out", options->out);
      output_json (g_variant_builder_end (&out));
    }
  else if (!files_is_path (options->out))
    output_bytes (bytes, len);
  return TRUE;
}

gboolean
cmd_key_sign (Client *client, const Options *options, GError **error)
{
  const char *in = options->in != NULL ? options->in : "-";
  g_auto (KeyCall) call = { NULL };
  g_autofree char *token = NULL;

  if (!check_output (client, options, "a signature", error) ||
      !files_check_standard_input (options, in, error))
    return FALSE;
  if (!key_call_find (client, options, &call, &token, error))
    return FALSE;
  call.data = read_digest (options, error);
  if (call.data == NULL)
    return FALSE;
  if (!pin_call (client, options, token, make_sign_options (options), call_sign, &call, error))
    return FALSE;
  return print_bytes (client, options, &call, token, "signature", error);
}

/* verify */

gboolean
cmd_key_verify (Client *client, const Options *options, GError **error)
{
  const char *in = options->in != NULL ? options->in : "-";
  g_auto (KeyCall) call = { NULL };
  g_autoptr (GVariant) arguments = g_variant_ref_sink (make_sign_options (options));
  GVariantBuilder out = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GBytes) signature = NULL;
  g_autofree char *token = NULL;
  gboolean valid = FALSE;

  if (g_str_equal (in, "-") && g_str_equal (options->arguments[1], "-"))
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                           "data and signature cannot both come from standard input");
      return FALSE;
    }
  if (!key_call_find (client, options, &call, &token, error))
    return FALSE;
  signature = files_read (options->arguments[1], MAX_SIGNATURE, error);
  call.data = signature != NULL ? read_digest (options, error) : NULL;
  if (call.data == NULL)
    return FALSE;
  call.signature = make_bytes (signature);
  if (!ggtpm_key_call_verify_sync (call.key, call.data, call.signature, arguments,
                                   client_get_flags (client), client_get_timeout_ms (client),
                                   &valid, NULL, error))
    {
      if (error != NULL)
        client_convert_error (error);
      return FALSE;
    }
  if (!valid)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                   "this is no signature of the key '%s' over these data",
                   TEXT (ggtpm_key_get_label (call.key)));
      return FALSE;
    }
  if (client->json)
    {
      output_add (&out, "token", "s", token);
      output_add (&out, "label", "s", TEXT (ggtpm_key_get_label (call.key)));
      output_add (&out, "valid", "b", TRUE);
      output_json (g_variant_builder_end (&out));
    }
  else
    output_text ("valid\n");
  return TRUE;
}

/* decrypt */

static gboolean
call_decrypt (Client *client,
              GVariant *arguments,
              GUnixFDList *descriptors,
              gpointer user_data,
              GError **error)
{
  KeyCall *call = user_data;

  return ggtpm_key_call_decrypt_sync (call->key, call->data, arguments, client_get_flags (client),
                                      client_get_timeout_ms (client), descriptors, &call->signature,
                                      NULL, NULL, error);
}

gboolean
cmd_key_decrypt (Client *client, const Options *options, GError **error)
{
  const char *in = options->in != NULL ? options->in : "-";
  g_auto (KeyCall) call = { NULL };
  g_auto (GVariantBuilder) dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GBytes) data = NULL;
  g_autofree char *token = NULL;

  if (!check_output (client, options, "what was encrypted", error) ||
      !files_check_standard_input (options, in, error) ||
      !key_call_find (client, options, &call, &token, error))
    return FALSE;
  data = files_read (in, MAX_CIPHERTEXT, error);
  if (data == NULL)
    return FALSE;
  call.data = make_bytes (data);
  return pin_call (client, options, token, g_variant_builder_end (&dict), call_decrypt, &call,
                   error) &&
         print_bytes (client, options, &call, token, "plain", error);
}

/* public-key */

gboolean
cmd_key_public_key (Client *client, const Options *options, GError **error)
{
  const char *format = options->format != NULL ? options->format : "pem";
  g_auto (KeyCall) call = { NULL };
  g_autofree char *token = NULL;

  if (!key_call_find (client, options, &call, &token, error))
    return FALSE;
  if (!ggtpm_key_call_export_public_key_sync (
          call.key, format, g_variant_new ("a{sv}", NULL), client_get_flags (client),
          client_get_timeout_ms (client), &call.text, NULL, error))
    {
      if (error != NULL)
        client_convert_error (error);
      return FALSE;
    }
  return key_call_print (client, options, &call, token, "public_key", error);
}
