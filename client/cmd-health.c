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

gboolean
cmd_health (Client *client, const Options *options, GError **error)
{
  GgtpmHealth *health;
  const char *state;

  if (!client_connect (client, TRUE, error))
    return FALSE;
  health = objects_get_health (client);
  state = health != NULL ? ggtpm_health_get_state (health) : NULL;
  if (state == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE, "ggtpmd shows no TPM");
      return FALSE;
    }
  client->exit_code = g_str_equal (state, "failed") ? 1 : 0;
  if (client->json)
    print_json (health, state);
  else
    issues_print_rules (ggtpm_health_get_rules (health));
  return TRUE;
}
