/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "privilege.h"

#include <tss2/tss2_tpm2_types.h>

static const guint32 privileged[] = {
  TPM2_CC_Shutdown,         TPM2_CC_Clear,        TPM2_CC_ClearControl,
  TPM2_CC_HierarchyControl, TPM2_CC_PCR_Allocate, TPM2_CC_FieldUpgradeStart,
  TPM2_CC_FieldUpgradeData,
};

gboolean
privilege_is_needed (guint32 code)
{
  for (guint i = 0; i < G_N_ELEMENTS (privileged); i++)
    if (privileged[i] == code)
      return TRUE;
  return FALSE;
}
