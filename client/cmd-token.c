/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/objects.h"
#include "client/output.h"
#include "client/pin.h"

#define TEXT(value) ((value) != NULL ? (value) : "")

static GVariant *
describe_token (Client *client, GgtpmToken *token)
{
  const char *label = TEXT (ggtpm_token_get_label (token));
  g_autoptr (GPtrArray) keys = objects_list_keys (client, label);
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_auto (GVariantBuilder) labels = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_STRING_ARRAY);

  for (guint i = 0; i < keys->len; i++)
    g_variant_builder_add (&labels, "s", TEXT (ggtpm_key_get_label (g_ptr_array_index (keys, i))));
  output_add (&dict, "label", "s", label);
  output_add (&dict, "slot_id", "t", ggtpm_token_get_slot_id (token));
  output_add (&dict, "manufacturer", "s", TEXT (ggtpm_token_get_manufacturer (token)));
  output_add (&dict, "model", "s", TEXT (ggtpm_token_get_model (token)));
  output_add (&dict, "serial", "s", TEXT (ggtpm_token_get_serial (token)));
  output_add (&dict, "uri", "s", TEXT (ggtpm_token_get_uri (token)));
  output_add (&dict, "pin_stored", "b", ggtpm_token_get_pin_stored (token));
  output_add (&dict, "keys", "as", &labels);
  output_add (&dict, "path", "s", g_dbus_proxy_get_object_path (G_DBUS_PROXY (token)));
  return g_variant_builder_end (&dict);
}

static void
print_json (Client *client, GPtrArray *tokens)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_auto (GVariantBuilder) list = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));

  for (guint i = 0; i < tokens->len; i++)
    g_variant_builder_add_value (&list, describe_token (client, g_ptr_array_index (tokens, i)));
  output_add (&dict, "tokens", "aa{sv}", &list);
  output_json (g_variant_builder_end (&dict));
}

static void
print_text (Client *client, GPtrArray *tokens)
{
  const char *const header[] = { "TOKEN", "SLOT", "PIN", "KEYS", "URI" };
  g_autoptr (OutputTable) table = output_table_new (G_N_ELEMENTS (header), header);
  g_autofree char *text = NULL;

  for (guint i = 0; i < tokens->len; i++)
    {
      GgtpmToken *token = g_ptr_array_index (tokens, i);
      const char *label = TEXT (ggtpm_token_get_label (token));
      g_autoptr (GPtrArray) keys = objects_list_keys (client, label);
      g_autofree char *slot =
          g_strdup_printf ("%" G_GUINT64_FORMAT, ggtpm_token_get_slot_id (token));
      g_autofree char *n_keys = g_strdup_printf ("%u", keys->len);

      output_table_add (table, label, slot,
                        ggtpm_token_get_pin_stored (token) ? "stored" : "asked for", n_keys,
                        ggtpm_token_get_uri (token));
    }
  text = output_table_to_string (table);
  output_text ("%s", text[0] != '\0' ? text : "No tokens: `ggtpmctl provision` makes one.\n");
}

gboolean
cmd_token_list (Client *client, const Options *options, GError **error)
{
  g_autoptr (GPtrArray) tokens = NULL;

  if (!client_connect (client, TRUE, error))
    return FALSE;
  tokens = objects_list_tokens (client);
  if (client->json)
    print_json (client, tokens);
  else
    print_text (client, tokens);
  return TRUE;
}

/* change-pin, unblock, reset-so-pin */

typedef gboolean (*TokenMethod) (GgtpmToken *token,
                                 GVariant *arguments,
                                 GDBusCallFlags flags,
                                 int timeout_ms,
                                 GUnixFDList *descriptors,
                                 GUnixFDList **out_descriptors,
                                 GCancellable *cancellable,
                                 GError **error);

typedef struct
{
  GgtpmToken *token;
  TokenMethod method;
} TokenCall;

static gboolean
call_method (Client *client,
             GVariant *arguments,
             GUnixFDList *descriptors,
             gpointer user_data,
             GError **error)
{
  TokenCall *call = user_data;

  return call->method (call->token, arguments, client_get_flags (client),
                       client_get_timeout_ms (client), descriptors, NULL, NULL, error);
}

static void
print_changed (Client *client, const Options *options, gboolean is_so)
{
  GVariantBuilder out = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (client->json)
    {
      output_add (&out, "token", "s", options->arguments[0]);
      output_add (&out, "changed", "b", TRUE);
      output_json (g_variant_builder_end (&out));
    }
  else if (!is_so)
    output_text (
        "Configurations that have the PIN in them are out of date: `ggtpmctl config write --all` "
        "renders them anew.\n");
}

static gboolean
change_pin (Client *client,
            const Options *options,
            TokenMethod method,
            gboolean by_so,
            gboolean is_so,
            GError **error)
{
  g_autoptr (GgtpmToken) token = NULL;
  TokenCall call = { NULL, method };
  GVariant *arguments = g_variant_new ("a{sv}", NULL);
  gboolean changed;

  if (client_connect (client, TRUE, error))
    token = objects_find_token (client, options->arguments[0], error);
  if (token == NULL)
    {
      g_variant_unref (g_variant_ref_sink (arguments));
      return FALSE;
    }
  call.token = token;
  changed = by_so ? pin_call_so (client, options, options->arguments[0], arguments, call_method,
                                 &call, error)
                  : pin_call (client, options, options->arguments[0], arguments, call_method, &call,
                              error);
  if (changed)
    print_changed (client, options, is_so);
  return changed;
}

gboolean
cmd_token_change_pin (Client *client, const Options *options, GError **error)
{
  return change_pin (client, options, ggtpm_token_call_change_pin_sync, FALSE, FALSE, error);
}

gboolean
cmd_token_unblock (Client *client, const Options *options, GError **error)
{
  return change_pin (client, options, ggtpm_token_call_unblock_pin_sync, TRUE, FALSE, error);
}

gboolean
cmd_token_reset_so_pin (Client *client, const Options *options, GError **error)
{
  return change_pin (client, options, ggtpm_token_call_change_so_pin_sync, TRUE, TRUE, error);
}
