/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

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

static char *
describe (const char *head, char **lost)
{
  g_autoptr (GString) text = g_string_new (head);

  for (gsize i = 0; lost[i] != NULL; i++)
    {
      g_autofree char *clean = output_clean (lost[i]);

      g_string_append_printf (text, "  %s\n", clean);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
print_lost (Client *client, const char *label, char **lost, gboolean is_plan)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *text = describe (is_plan ? "Would be removed:\n" : "Removed:\n", lost);

  if (!client->json)
    {
      output_text ("%s", text);
      return;
    }
  output_add (&dict, "token", "s", label);
  output_add (&dict, "removed", "b", !is_plan);
  output_add (&dict, "lost", "^as", lost);
  output_json (g_variant_builder_end (&dict));
}

static gboolean
confirm (Client *client, const char *label, char **lost, GError **error)
{
  g_autofree char *clean = output_clean (label);
  g_autofree char *text = describe ("This is gone for ever:\n", lost);
  g_autofree char *what = g_strdup_printf (
      "the token '%s' would be gone for ever, with all of its keys (--plan lists them)", clean);

  return confirm_word (client, text, label, what, error);
}

gboolean
cmd_token_remove (Client *client, const Options *options, GError **error)
{
  const char *label = options->arguments[0];
  g_auto (GStrv) planned = NULL;
  g_auto (GStrv) lost = NULL;

  if (!client_connect (client, TRUE, error))
    return FALSE;
  if (options->plan || !options->yes)
    {
      planned = remove_token (client, label, TRUE, error);
      if (planned == NULL || (!options->plan && !confirm (client, label, planned, error)))
        return FALSE;
    }
  if (!options->plan)
    lost = remove_token (client, label, FALSE, error);
  if (!options->plan && lost == NULL)
    return FALSE;
  print_lost (client, label, options->plan ? planned : lost, options->plan);
  return TRUE;
}
