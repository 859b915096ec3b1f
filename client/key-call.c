/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "key-call.h"

#include "client/files.h"
#include "client/objects.h"
#include "client/output.h"

#include <string.h>

void
key_call_clear (KeyCall *call)
{
  g_clear_object (&call->key);
  g_clear_object (&call->token);
  g_clear_pointer (&call->data, g_variant_unref);
  g_clear_pointer (&call->signature, g_variant_unref);
  g_clear_pointer (&call->result, g_variant_unref);
  g_free (call->text);
}

gboolean
key_call_find (Client *client,
               const Options *options,
               KeyCall *call,
               char **out_token,
               GError **error)
{
  if (!client_connect (client, TRUE, error))
    return FALSE;
  call->key = objects_find_key (client, options->arguments[0], options->token, error);
  if (call->key == NULL)
    return FALSE;
  *out_token = objects_get_token_label (client, ggtpm_key_get_token (call->key));
  return TRUE;
}

static void
add_list (GVariantBuilder *dict, const char *name, const char *list)
{
  g_auto (GStrv) values = list != NULL ? g_strsplit (list, ",", -1) : NULL;

  if (values != NULL)
    output_add (dict, name, "^as", values);
}

void
key_call_add_request (const Options *options, GVariantBuilder *dict)
{
  if (options->subject != NULL)
    output_add (dict, "subject", "s", options->subject);
  add_list (dict, "alt-names", options->alt_names);
  add_list (dict, "key-usage", options->key_usage);
  add_list (dict, "ext-key-usage", options->ext_key_usage);
}

gboolean
key_call_print (Client *client,
                const Options *options,
                const KeyCall *call,
                const char *token,
                const char *name,
                GError **error)
{
  GVariantBuilder out = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  const char *label = ggtpm_key_get_label (call->key);

  if (files_is_path (options->out) &&
      !files_write (options->out, call->text, strlen (call->text), error))
    return FALSE;
  if (client->json)
    {
      output_add (&out, "token", "s", token);
      output_add (&out, "label", "s", label != NULL ? label : "");
      output_add (&out, name, "s", call->text);
      if (files_is_path (options->out))
        files_describe (&out, "out", options->out);
      output_json (g_variant_builder_end (&out));
    }
  else if (!files_is_path (options->out))
    output_text ("%s", call->text);
  return TRUE;
}
