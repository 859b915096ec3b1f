/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "flavours.h"

#include "build-config.h"

/* Specifiers and quotes of systemd.unit(5), systemd.syntax(7): the value comes back as it is. */
static char *
quote (const char *name, const char *value)
{
  GString *text = g_string_new ("\"");

  g_string_append_printf (text, "%s=", name);
  for (const char *p = value; *p != '\0'; p++)
    {
      if (*p == '"' || *p == '\\')
        g_string_append_c (text, '\\');
      if (*p == '%')
        g_string_append_c (text, '%');
      g_string_append_c (text, *p);
    }
  g_string_append_c (text, '"');
  return g_string_free (text, FALSE);
}

char *
drop_in_render (const GreengrassParams *params, GError **error)
{
  g_autofree char *store = quote ("TPM2_PKCS11_STORE", params->store_dir);
  g_autofree char *tcti = quote ("TPM2_PKCS11_TCTI", params->tcti);

  return g_strdup_printf (
      "# Written by ggtpmd (ggtpmctl config write drop-in %s). Do not edit: run that again instead.\n"
      "# Where the token store is, how libtpm2_pkcs11 reaches the chip, and the groups that may do so.\n"
      "# If the unit has ProtectSystem=strict, it needs ReadWritePaths=%s as well.\n"
      "\n"
      "[Unit]\n"
      "Wants=ggtpmd.service\n"
      "After=ggtpmd.service ggtpm-provision.service ggtpm-config.service\n"
      "\n"
      "[Service]\n"
      "SupplementaryGroups=" GGTPM_GROUP " " GGTPM_TSS_GROUP "\n"
      "Environment=%s\n"
      "Environment=%s\n",
      params->unit, params->store_dir, store, tcti);
}
