/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "resource-manager-private.h"

/*
 * TPM2_TestParms asks whether the chip has an algorithm (Part 3, 30.3). What it says holds until its algorithm set is
 * changed or it is opened anew, and is in the code alone. libtpm2_pkcs11 asks the same nine questions for each token at
 * each C_Initialize, which on a chip are some tenths of a second whenever a service starts.
 */

#define MAX_REMEMBERED 64 /* answers; the library's are fewer than twenty */
#define MAX_COMMAND    64 /* bytes of a question; the longest that TPMT_PUBLIC_PARMS can be is less */

/* Warnings, and what a broken chip says, are of the moment. */
static gboolean
is_lasting (TSS2_RC rc)
{
  return rc == TSS2_RC_SUCCESS || command_rc_is_format_one (rc);
}

static void
remember (ResourceManager *rm, GBytes *question, TSS2_RC rc)
{
  if (rm->parms == NULL)
    rm->parms =
        g_hash_table_new_full (g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
  if (g_hash_table_size (rm->parms) == MAX_REMEMBERED)
    g_hash_table_remove_all (rm->parms);
  g_hash_table_insert (rm->parms, g_bytes_ref (question), GUINT_TO_POINTER (rc));
}

TSS2_RC
resource_manager_test_parms (ResourceManager *rm,
                             Space *space,
                             guint8 locality,
                             Command *command,
                             guint8 *response,
                             gsize *out_size)
{
  g_autoptr (GBytes) question = NULL;
  gpointer value;
  TSS2_RC rc;

  /* An HMAC of a session is of this one answer. */
  if (command->tag != TPM2_ST_NO_SESSIONS || command->size > MAX_COMMAND)
    return resource_manager_process_any (rm, space, locality, command, response, out_size);
  question = g_bytes_new (command->data, command->size);
  if (rm->parms != NULL && g_hash_table_lookup_extended (rm->parms, question, NULL, &value))
    {
      *out_size = command_response_put_error (response, GPOINTER_TO_UINT (value));
      return TSS2_RC_SUCCESS;
    }
  rc = resource_manager_process_any (rm, space, locality, command, response, out_size);
  if (rc == TSS2_RC_SUCCESS && is_lasting (command_response_get_rc (response)))
    remember (rm, question, command_response_get_rc (response));
  return rc;
}

void
resource_manager_forget_parms (ResourceManager *rm)
{
  g_clear_pointer (&rm->parms, g_hash_table_unref);
}
