/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/config-place.h"
#include "client/confirm.h"
#include "client/output.h"
#include "dbus/error.h"

/* What is lost; with @dry_run: what would be. NULL with error. */
static char **
remove_token (Client *client, const char *label, gboolean dry_run, GError **error)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GError) local_error = NULL;
  char **lost = NULL;

  if (dry_run)
    output_add (&dict, "dry-run", "b", TRUE);
  if (ggtpm_provisioning_call_remove_token_sync (
          client->provisioning, label, g_variant_builder_end (&dict), client_get_flags (client),
          client_get_timeout_ms (client), &lost, NULL, &local_error))
    return lost;
  client_convert_error (&local_error);
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}

/* ---- configurations ---- */

/* RenderConfig's, where its options name none. */
#define DEFAULT_TOKEN "greengrass"

static gboolean
names_token (GVariant *config, const char *flavour, const char *label)
{
  static const char *const without_token[] = { "drop-in", "p11-kit", NULL };
  g_autoptr (GVariant) arguments = config_place_get_arguments (config);
  const char *token = DEFAULT_TOKEN;

  if (g_strv_contains (without_token, flavour))
    return FALSE;
  g_variant_lookup (arguments, "token", "&s", &token);
  return g_str_equal (token, label);
}

/* Paths of those that were written for the token. */
static GPtrArray *
list_configs (Client *client, const char *label)
{
  GVariant *configs = ggtpm_provisioning_get_configs (client->provisioning);
  GPtrArray *paths = g_ptr_array_new_with_free_func (g_free);

  for (gsize i = 0; configs != NULL && i < g_variant_n_children (configs); i++)
    {
      g_autoptr (GVariant) config = g_variant_get_child_value (configs, i);
      const char *path, *flavour;

      config_place_read (config, &path, &flavour);
      if (names_token (config, flavour, label))
        g_ptr_array_add (paths, g_strdup (path));
    }
  return paths;
}

/* Before the token, so that a removal that is cut off still finds them. What was changed by hand stays, and is told. */
static void
remove_configs (Client *client, GPtrArray *paths)
{
  for (guint i = paths->len; i-- > 0;)
    {
      g_autoptr (GError) local_error = NULL;

      if (config_place_remove (client, paths->pdata[i], FALSE, &local_error))
        continue;
      g_printerr ("ggtpmctl: left alone: %s\n", local_error->message);
      g_ptr_array_remove_index (paths, i);
    }
}

/* ---- what is lost ---- */

static char *
describe (const char *head, char **lost, GPtrArray *configs)
{
  g_autoptr (GString) text = g_string_new (head);

  for (gsize i = 0; lost[i] != NULL; i++)
    {
      g_autofree char *clean = output_clean (lost[i]);

      g_string_append_printf (text, "  %s\n", clean);
    }
  for (guint i = 0; i < configs->len; i++)
    g_string_append_printf (text, "  the configuration %s\n", (const char *)configs->pdata[i]);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
print_lost (Client *client, const char *label, char **lost, GPtrArray *configs, gboolean is_plan)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_auto (GVariantBuilder) paths = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_STRING_ARRAY);
  g_autofree char *text = describe (is_plan ? "Would be removed:\n" : "Removed:\n", lost, configs);

  if (!client->json)
    {
      output_text ("%s", text);
      return;
    }
  for (guint i = 0; i < configs->len; i++)
    g_variant_builder_add (&paths, "s", configs->pdata[i]);
  output_add (&dict, "token", "s", label);
  output_add (&dict, "removed", "b", !is_plan);
  output_add (&dict, "lost", "^as", lost);
  output_add (&dict, "configurations", "as", &paths);
  output_json (g_variant_builder_end (&dict));
}

static gboolean
confirm (Client *client, const char *label, char **lost, GPtrArray *configs, GError **error)
{
  g_autofree char *clean = output_clean (label);
  g_autofree char *text = describe ("This is gone for ever:\n", lost, configs);
  g_autofree char *what = g_strdup_printf (
      "the token '%s' would be gone for ever, with all of its keys (--plan lists them)", clean);

  return confirm_word (client, text, label, what, error);
}

gboolean
cmd_token_remove (Client *client, const Options *options, GError **error)
{
  const char *label = options->arguments[0];
  g_autoptr (GPtrArray) configs = NULL;
  g_auto (GStrv) planned = NULL;
  g_auto (GStrv) lost = NULL;

  if (!client_connect (client, TRUE, error))
    return FALSE;
  configs = list_configs (client, label);
  /* Also with --yes: nothing is removed of a token that is not there. */
  planned = remove_token (client, label, TRUE, error);
  if (planned == NULL)
    return FALSE;
  if (options->plan)
    {
      print_lost (client, label, planned, configs, TRUE);
      return TRUE;
    }
  if (!options->yes && !confirm (client, label, planned, configs, error))
    return FALSE;
  remove_configs (client, configs);
  lost = remove_token (client, label, FALSE, error);
  if (lost == NULL)
    return FALSE;
  print_lost (client, label, lost, configs, FALSE);
  return TRUE;
}
