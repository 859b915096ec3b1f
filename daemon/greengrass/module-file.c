/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "dbus/error.h"
#include "flavours.h"

/*
 * p11-kit's module file (pkcs11.conf(5)) with `remote:`: libtpm2_pkcs11 runs in a process of its own. In the process of
 * an OpenSSL with the engine `pkcs11` it fails, since tpm2-tss asks OpenSSL for plain RSA and EC and gets that engine.
 * The shell between them gives programs without the environment of our drop-in the same store and chip.
 */
static gboolean
check_plain (const char *value, GError **error)
{
  if (g_regex_match_simple ("^[A-Za-z0-9/_.,:=+@-]+$", value, G_REGEX_DOLLAR_ENDONLY, 0))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "p11-kit's module file cannot have '%s' in it: letters, digits and /_.,:=+@- only",
               value);
  return FALSE;
}

char *
module_file_render (const GreengrassParams *params, GError **error)
{
  if (!check_plain (params->store_dir, error) || !check_plain (params->tcti, error) ||
      !check_plain (params->pkcs11_module, error))
    return NULL;
  return g_strdup_printf (
      "# Written by ggtpmd (ggtpmctl config write p11-kit). Do not edit: run that again instead.\n"
      "# In a process of its own, because beside OpenSSL's engine pkcs11 the module does not work.\n"
      "remote: |sh -c ': \"${TPM2_PKCS11_STORE:=%s}\" \"${TPM2_PKCS11_TCTI:=%s}\"; "
      "export TPM2_PKCS11_STORE TPM2_PKCS11_TCTI; exec p11-kit remote %s'\n",
      params->store_dir, params->tcti, params->pkcs11_module);
}
