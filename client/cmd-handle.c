/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/confirm.h"
#include "client/output.h"
#include "dbus/error.h"

static GVariant *
no_options (void)
{
  return g_variant_new ("a{sv}", NULL);
}

gboolean
cmd_handle_list (Client *client, const Options *options, GError **error)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  GVariantBuilder list = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_STRING_ARRAY);
  g_autoptr (GVariant) handles = NULL;

  if (client_connect (client, TRUE, error))
    handles = ggtpm_provisioning_dup_handle_keys (client->provisioning);
  for (gsize i = 0; handles != NULL && i < g_variant_n_children (handles); i++)
    {
      g_autofree char *text = NULL;
      guint32 handle = 0;

      g_variant_get_child (handles, i, "u", &handle);
      text = g_strdup_printf ("0x%08x", handle);
      g_variant_builder_add (&list, "s", text);
      if (!client->json)
        output_text ("%s\n", text);
    }
  if (!client->json && handles != NULL && g_variant_n_children (handles) == 0)
    output_text ("No persistent keys.\n");
  output_add (&dict, "handles", "as", &list);
  if (client->json && handles != NULL)
    output_json (g_variant_builder_end (&dict));
  else
    g_variant_builder_clear (&dict);
  return handles != NULL;
}

gboolean
cmd_handle_create (Client *client, const Options *options, GError **error)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *text = NULL;
  guint handle = 0;

  if (!client_connect (client, TRUE, error))
    return FALSE;
  if (!ggtpm_provisioning_call_create_handle_key_sync (
          client->provisioning, no_options (), client_get_flags (client),
          client_get_timeout_ms (client), &handle, NULL, error))
    {
      client_convert_error (error);
      return FALSE;
    }
  text = g_strdup_printf ("0x%08x", handle);
  if (client->json)
    {
      output_add (&dict, "handle", "s", text);
      output_json (g_variant_builder_end (&dict));
    }
  else
    output_text ("%s\n", text);
  return TRUE;
}

gboolean
cmd_handle_remove (Client *client, const Options *options, GError **error)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  const char *text = options->arguments[0];
  g_autofree char *what = NULL;
  guint64 handle = 0;

  if (!g_str_has_prefix (text, "0x") ||
      !g_ascii_string_to_unsigned (text + 2, 16, 1, G_MAXUINT32, &handle, NULL))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "'%s' is no handle, as 0x81008001",
                   text);
      return FALSE;
    }
  what = g_strdup_printf ("the key at %s would be gone for ever", text);
  if (!options->yes && !confirm_word (client, NULL, text, what, error))
    return FALSE;
  if (!client_connect (client, TRUE, error))
    return FALSE;
  if (!ggtpm_provisioning_call_remove_handle_key_sync (client->provisioning, (guint)handle,
                                                       no_options (), client_get_flags (client),
                                                       client_get_timeout_ms (client), NULL, error))
    {
      client_convert_error (error);
      return FALSE;
    }
  if (client->json)
    {
      output_add (&dict, "handle", "s", text);
      output_json (g_variant_builder_end (&dict));
    }
  return TRUE;
}
