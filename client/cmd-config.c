/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/config-check.h"
#include "client/config-place.h"
#include "client/files.h"
#include "client/output.h"
#include "common/secret.h"
#include "dbus/error.h"
#include "dbus/names.h"

/* ---- config write ---- */

static GVariant *
make_arguments (const Options *options)
{
  static const char *const names[] = { GGTPM_RENDER_OPTIONS };
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      const char *value = options_get (options, names[i]);

      if (value != NULL)
        output_add (&dict, names[i], "s", value);
    }
  if (options->arguments[1] != NULL)
    output_add (&dict, GGTPM_RENDER_UNIT, "s", options->arguments[1]);
  return g_variant_ref_sink (g_variant_builder_end (&dict));
}

static gboolean
print (Client *client, const Options *options, GVariant *arguments, GError **error)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *text = NULL;
  g_autofree char *default_path = NULL;
  gsize len = 0;

  if (!config_place_render (client, options->arguments[0], arguments, &text, &len, &default_path,
                            error))
    return FALSE;
  if (client->json)
    {
      output_add (&dict, "flavour", "s", options->arguments[0]);
      files_describe (&dict, "path", options->path != NULL ? options->path : default_path);
      output_add (&dict, "config", "s", text);
      output_json (g_variant_builder_end (&dict));
    }
  else
    output_text ("%s", text);
  secret_wipe (text, len);
  return TRUE;
}

/* What a person has to do for a new file to count. */
static const char *
get_hint (const char *flavour)
{
  if (g_str_equal (flavour, "drop-in"))
    return "`systemctl daemon-reload`, then restart the unit.\n";
  return "";
}

static GVariant *
describe_place (const char *flavour, const char *path, gboolean changed)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  output_add (&dict, "flavour", "s", flavour);
  files_describe (&dict, "path", path);
  output_add (&dict, "changed", "b", changed);
  return g_variant_builder_end (&dict);
}

static void
print_place (const char *flavour, const char *path, gboolean changed)
{
  output_text (changed ? "Wrote %s\n" : "%s is as it should be\n", path);
  if (changed)
    output_text ("%s", get_hint (flavour));
}

static gboolean
write_one (Client *client, const Options *options, GError **error)
{
  g_autoptr (GVariant) arguments = make_arguments (options);
  g_autofree char *path = NULL;
  gboolean changed = FALSE;
  const char *flavour = options->arguments[0];
  const ConfigPlace place = {
    .path = options->path, .group = options->group, .mkdir = options->mkdir, .force = options->force
  };

  if (options->print)
    return print (client, options, arguments, error);
  if (!config_place_put (client, flavour, arguments, &place, &path, &changed, error))
    return FALSE;
  if (client->json)
    output_json (describe_place (flavour, path, changed));
  else
    print_place (flavour, path, changed);
  return TRUE;
}

/* Adds to @results; a file that cannot be renewed does not keep the others from it. */
static void
renew (Client *client, GVariant *config, GVariantBuilder *results)
{
  g_autoptr (GVariant) arguments = config_place_get_arguments (config);
  g_autoptr (GError) local_error = NULL;
  g_autofree char *written = NULL;
  const char *flavour;
  ConfigPlace place = { .keep = TRUE };
  gboolean changed = FALSE;

  config_place_read (config, &place.path, &flavour);
  if (config_place_put (client, flavour, arguments, &place, &written, &changed, &local_error))
    {
      g_variant_builder_add (results, "v", describe_place (flavour, written, changed));
      if (!client->json)
        print_place (flavour, written, changed);
      return;
    }
  client_note_failure (client, local_error);
  if (client->json)
    {
      GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

      output_add (&dict, "flavour", "s", flavour);
      files_describe (&dict, "path", place.path);
      output_add (&dict, "error", "s", local_error->message);
      g_variant_builder_add (results, "v", g_variant_builder_end (&dict));
    }
  else
    g_printerr ("ggtpmctl: %s: %s\n", place.path, local_error->message);
}

static gboolean
write_all (Client *client)
{
  g_autoptr (GVariant) configs = ggtpm_provisioning_dup_configs (client->provisioning);
  GVariantBuilder results = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("av"));
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  gsize n_configs = configs != NULL ? g_variant_n_children (configs) : 0;

  for (gsize i = 0; i < n_configs; i++)
    {
      g_autoptr (GVariant) config = g_variant_get_child_value (configs, i);

      renew (client, config, &results);
    }
  output_add (&dict, "configs", "av", &results);
  if (client->json)
    output_json (g_variant_builder_end (&dict));
  else
    g_variant_builder_clear (&dict);
  return TRUE;
}

static gboolean
check_usage (const Options *options, GError **error)
{
  const char *flavour = options->arguments[0];
  gboolean has_unit = flavour != NULL && options->arguments[1] != NULL;

  if (options->all &&
      (flavour != NULL || options->print || options->path != NULL || options->force))
    g_set_error (
        error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
        "--all renews what was written as it was: neither a flavour nor --path, --print or "
        "--force can be with it");
  else if (!options->all && flavour == NULL)
    g_set_error (
        error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
        "arguments are missing: config write needs v1, v2, lite, p11-kit, drop-in UNIT, or "
        "--all");
  else if (flavour != NULL && g_str_equal (flavour, "drop-in") != has_unit)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 has_unit ? "'%s' is one argument too many: see --help"
                          : "drop-in needs a unit%s: ggtpmctl config write drop-in "
                            "greengrass.service",
                 has_unit ? options->arguments[1] : "");
  else
    return TRUE;
  return FALSE;
}

gboolean
cmd_config_write (Client *client, const Options *options, GError **error)
{
  if (!check_usage (options, error) || !client_connect (client, TRUE, error))
    return FALSE;
  return options->all ? write_all (client) : write_one (client, options, error);
}

/* ---- config check ---- */

static GVariant *
describe_findings (const char *path, const char *flavour, GPtrArray *findings)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  GVariantBuilder checks = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));

  for (guint i = 0; i < findings->len; i++)
    {
      const ConfigFinding *finding = g_ptr_array_index (findings, i);
      GVariantBuilder row = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

      output_add (&row, "check", "s", finding->check);
      output_add (&row, "verdict", "s", finding->verdict);
      output_add (&row, "text", "s", finding->text);
      output_add (&row, "remedy", "s", finding->remedy);
      g_variant_builder_add (&checks, "a{sv}", &row);
    }
  files_describe (&dict, "path", path);
  output_add (&dict, "flavour", "s", flavour);
  output_add (&dict, "good", "b", !config_check_has_fault (findings));
  output_add (&dict, "checks", "aa{sv}", &checks);
  return g_variant_builder_end (&dict);
}

static void
print_findings (const char *path, const char *flavour, GPtrArray *findings)
{
  g_autoptr (OutputTable) table = output_table_new (4, NULL);
  g_autofree char *rows = NULL;

  for (guint i = 0; i < findings->len; i++)
    {
      const ConfigFinding *finding = g_ptr_array_index (findings, i);
      g_autofree char *remedy =
          *finding->remedy != '\0' ? g_strconcat ("-> ", finding->remedy, NULL) : NULL;

      output_table_add (table, finding->verdict, finding->check, finding->text, remedy);
    }
  rows = output_table_to_string (table);
  output_text ("%s (%s)\n%s", path, flavour, rows);
}

gboolean
cmd_config_check (Client *client, const Options *options, GError **error)
{
  g_autoptr (GVariant) configs = NULL;
  g_autoptr (GVariant) list = NULL;
  GVariantBuilder results = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("av"));
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (client_connect (client, TRUE, error))
    configs = ggtpm_provisioning_dup_configs (client->provisioning);
  for (gsize i = 0; configs != NULL && i < g_variant_n_children (configs); i++)
    {
      g_autoptr (GVariant) config = g_variant_get_child_value (configs, i);
      g_autoptr (GPtrArray) findings = config_check_run (client, config, error);
      const char *path;
      const char *flavour;

      if (findings == NULL)
        {
          g_clear_pointer (&configs, g_variant_unref);
          break;
        }
      config_place_read (config, &path, &flavour);
      if (config_check_has_fault (findings))
        client->exit_code = 1;
      g_variant_builder_add (&results, "v", describe_findings (path, flavour, findings));
      if (!client->json)
        print_findings (path, flavour, findings);
    }
  list = g_variant_ref_sink (g_variant_builder_end (&results));
  output_add (&dict, "configs", "@av", list);
  if (client->json && configs != NULL)
    output_json (g_variant_builder_end (&dict));
  else
    g_variant_builder_clear (&dict);
  return configs != NULL;
}

/* ---- config remove ---- */

gboolean
cmd_config_remove (Client *client, const Options *options, GError **error)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (!client_connect (client, TRUE, error) ||
      !config_place_remove (client, options->arguments[0], options->force, error))
    return FALSE;
  if (client->json)
    {
      files_describe (&dict, "path", options->arguments[0]);
      output_json (g_variant_builder_end (&dict));
    }
  return TRUE;
}
