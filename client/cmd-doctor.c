/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/doctor.h"
#include "client/output.h"

gboolean
cmd_doctor (Client *client, const Options *options, GError **error)
{
  g_autoptr (GPtrArray) checks = doctor_run (client);
  CheckVerdict worst = checks_get_worst (checks);
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *text = NULL;

  client->exit_code = worst == CHECK_FAULT ? 1 : 0;
  if (client->json)
    {
      output_add (&dict, "verdict", "s", check_verdict_to_string (worst));
      g_variant_builder_add (&dict, "{sv}", "checks", doctor_describe (checks));
      output_json (g_variant_builder_end (&dict));
      return TRUE;
    }
  text = doctor_to_string (checks, TRUE);
  output_text ("%s", text);
  return TRUE;
}
