/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/issues.h"
#include "client/objects.h"
#include "client/output.h"
#include "dbus/error.h"

static void
print_json (GgtpmHealth *health, const char *state)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  output_add (&dict, "state", "s", state);
  output_add (&dict, "last_check", "t", ggtpm_health_get_last_check (health));
  g_variant_builder_add (&dict, "{sv}", "issues",
                         issues_describe (ggtpm_health_get_issues (health)));
  g_variant_builder_add (&dict, "{sv}", "rules",
                         issues_describe_rules (ggtpm_health_get_rules (health)));
  output_json (g_variant_builder_end (&dict));
}

static GgtpmHealth *
find_health (Client *client, GError **error)
{
  GgtpmHealth *health;

  if (!client_connect (client, TRUE, error))
    return NULL;
  health = objects_get_health (client);
  if (health != NULL && ggtpm_health_get_state (health) != NULL)
    return health;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE, "ggtpmd shows no TPM");
  return NULL;
}

gboolean
cmd_health (Client *client, const Options *options, GError **error)
{
  GgtpmHealth *health = find_health (client, error);
  const char *state;

  if (health == NULL)
    return FALSE;
  state = ggtpm_health_get_state (health);
  client->exit_code = g_str_equal (state, "failed") ? 1 : 0;
  if (client->json)
    print_json (health, state);
  else
    issues_print_rules (ggtpm_health_get_rules (health));
  return TRUE;
}

gboolean
cmd_tpm_reset_lockout (Client *client, const Options *options, GError **error)
{
  GgtpmHealth *health = find_health (client, error);
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (health == NULL)
    return FALSE;
  if (!ggtpm_health_call_reset_lockout_sync (health, g_variant_new ("a{sv}", NULL),
                                             client_get_flags (client),
                                             client_get_timeout_ms (client), NULL, error))
    {
      client_convert_error (error);
      return FALSE;
    }
  if (client->json)
    {
      output_add (&dict, "reset", "b", TRUE);
      output_json (g_variant_builder_end (&dict));
    }
  else
    output_text ("The counter of failed authorisations is 0.\n");
  return TRUE;
}
