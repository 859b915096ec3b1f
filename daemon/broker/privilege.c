/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "privilege.h"

#include "common/config.h"

#include <tss2/tss2_tpm2_types.h>

static const struct
{
  guint32 code;
  ConfigOpenFlags flag;
} privileged[] = {
  { TPM2_CC_Shutdown, CONFIG_OPEN_SHUTDOWN },
  { TPM2_CC_Clear, CONFIG_OPEN_CLEAR },
  { TPM2_CC_ClearControl, CONFIG_OPEN_CLEAR_CONTROL },
  { TPM2_CC_HierarchyControl, CONFIG_OPEN_HIERARCHY_CONTROL },
  { TPM2_CC_PCR_Allocate, CONFIG_OPEN_PCR_ALLOCATE },
  { TPM2_CC_FieldUpgradeStart, CONFIG_OPEN_FIELD_UPGRADE },
  { TPM2_CC_FieldUpgradeData, CONFIG_OPEN_FIELD_UPGRADE },
};

gboolean
privilege_is_needed (guint32 code, guint open)
{
  for (guint i = 0; i < G_N_ELEMENTS (privileged); i++)
    if (privileged[i].code == code)
      return (open & privileged[i].flag) == 0;
  return FALSE;
}
