/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/config-place.h"
#include "client/files.h"
#include "client/output.h"
#include "common/secret.h"

/* Options whose names the bus shares. */
static const char *const values[] = {
  "token",
  "key",
  "thing-name",
  "thing-arn",
  "region",
  "iot-data-endpoint",
  "iot-cred-endpoint",
  "role-alias",
  "root-ca-path",
  "certificate-path",
  "root-path",
  "nucleus-version",
};

static GVariant *
make_arguments (const Options *options)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  for (gsize i = 0; i < G_N_ELEMENTS (values); i++)
    {
      const char *value = options_get (options, values[i]);

      if (value != NULL)
        output_add (&dict, values[i], "s", value);
    }
  return g_variant_builder_end (&dict);
}

static void
print (Client *client, const Options *options, const char *path, const char *text)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (!client->json)
    {
      output_text ("%s", text);
      return;
    }
  output_add (&dict, "flavour", "s", options->arguments[0]);
  files_describe (&dict, "path", path);
  output_add (&dict, "config", "s", text);
  output_json (g_variant_builder_end (&dict));
}

static gboolean
place (Client *client,
       const Options *options,
       const char *path,
       const char *text,
       gsize len,
       GError **error)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  const ConfigPlace where = {
    .path = path, .group = options->group, .mkdir = options->mkdir, .force = options->force
  };
  gboolean changed = FALSE;

  if (!config_place_write (&where, text, len, &changed, error))
    return FALSE;
  if (client->json)
    {
      output_add (&dict, "flavour", "s", options->arguments[0]);
      files_describe (&dict, "path", path);
      output_add (&dict, "changed", "b", changed);
      output_json (g_variant_builder_end (&dict));
    }
  else
    output_text (changed ? "Wrote %s\n" : "%s is as it should be\n", path);
  return TRUE;
}

gboolean
cmd_config_write (Client *client, const Options *options, GError **error)
{
  g_autofree char *text = NULL;
  g_autofree char *default_path = NULL;
  const char *path = NULL;
  gboolean done = TRUE;
  gsize len = 0;

  if (!client_connect (client, TRUE, error) ||
      !config_place_render (client, options->arguments[0], make_arguments (options), &text, &len,
                            &default_path, error))
    return FALSE;
  path = options->path != NULL ? options->path : default_path;
  if (options->print)
    print (client, options, path, text);
  else
    done = place (client, options, path, text, len, error);
  secret_wipe (text, len);
  return done;
}
