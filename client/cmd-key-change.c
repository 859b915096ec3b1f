/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/confirm.h"
#include "client/key-call.h"
#include "client/output.h"
#include "client/pin.h"
#include "client/progress.h"
#include "dbus/error.h"

/* self-sign */

static gboolean
call_self_sign (Client *client,
                GVariant *arguments,
                GUnixFDList *descriptors,
                gpointer user_data,
                GError **error)
{
  KeyCall *call = user_data;

  return ggtpm_key_call_create_self_signed_sync (call->key, arguments, client_get_flags (client),
                                                 client_get_timeout_ms (client), descriptors,
                                                 &call->text, NULL, NULL, error);
}

gboolean
cmd_key_self_sign (Client *client, const Options *options, GError **error)
{
  g_auto (KeyCall) call = { NULL };
  g_auto (GVariantBuilder) dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *token = NULL;
  guint64 days = 0;

  if (options->days != NULL &&
      !g_ascii_string_to_unsigned (options->days, 10, 1, G_MAXINT32, &days, NULL))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "--days '%s': not a number of days from 1 on", options->days);
      return FALSE;
    }
  if (!key_call_find (client, options, &call, &token, error))
    return FALSE;
  key_call_add_request (options, &dict);
  if (days > 0)
    output_add (&dict, "days", "u", (guint)days);
  return pin_call (client, options, token, g_variant_builder_end (&dict), call_self_sign, &call,
                   error) &&
         key_call_print (client, options, &call, token, "certificate", error);
}

/* rotate */

static gboolean
call_rotate (Client *client,
             GVariant *arguments,
             GUnixFDList *descriptors,
             gpointer user_data,
             GError **error)
{
  KeyCall *call = user_data;
  g_autofree char *job = NULL;

  if (!ggtpm_key_call_rotate_sync (call->key, arguments, client_get_flags (client),
                                   client_get_timeout_ms (client), descriptors, &job, NULL, NULL,
                                   error))
    return FALSE;
  call->result = progress_wait (
      client, job, "`ggtpmctl key rotate` again prints the request when the key is there", error);
  return call->result != NULL;
}

gboolean
cmd_key_rotate (Client *client, const Options *options, GError **error)
{
  g_auto (KeyCall) call = { NULL };
  g_auto (GVariantBuilder) dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *token = NULL;

  if (!key_call_find (client, options, &call, &token, error))
    return FALSE;
  key_call_add_request (options, &dict);
  if (options->algorithm != NULL)
    output_add (&dict, "algorithm", "s", options->algorithm);
  if (!pin_call (client, options, token, g_variant_builder_end (&dict), call_rotate, &call, error))
    return FALSE;
  if (!g_variant_lookup (call.result, "csr", "s", &call.text))
    call.text = g_strdup ("");
  return key_call_print (client, options, &call, token, "csr", error);
}

/* delete */

static gboolean
call_delete (Client *client,
             GVariant *arguments,
             GUnixFDList *descriptors,
             gpointer user_data,
             GError **error)
{
  KeyCall *call = user_data;

  return ggtpm_key_call_delete_sync (call->key, arguments, client_get_flags (client),
                                     client_get_timeout_ms (client), descriptors, NULL, NULL,
                                     error);
}

gboolean
cmd_key_delete (Client *client, const Options *options, GError **error)
{
  g_auto (KeyCall) call = { NULL };
  g_auto (GVariantBuilder) dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  GVariantBuilder out = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *token = NULL;
  g_autofree char *label = NULL;
  g_autofree char *what = NULL;

  if (!key_call_find (client, options, &call, &token, error))
    return FALSE;
  label = output_clean (ggtpm_key_get_label (call.key));
  what = g_strdup_printf (
      "the key '%s' of the token '%s' would be gone for ever, with its certificate", label, token);
  if (!options->yes && !confirm_word (client, NULL, label, what, error))
    return FALSE;
  if (!pin_call (client, options, token, g_variant_builder_end (&dict), call_delete, &call, error))
    return FALSE;
  if (client->json)
    {
      output_add (&out, "token", "s", token);
      output_add (&out, "label", "s", label);
      output_add (&out, "deleted", "b", TRUE);
      output_json (g_variant_builder_end (&out));
    }
  return TRUE;
}
