/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "tcti-ggtpm.h"

/* In the module only: a program has one Tss2_Tcti_Info() per TCTI it loads, and the daemon links this TCTI. */
const TSS2_TCTI_INFO *Tss2_Tcti_Info (void);

static const TSS2_TCTI_INFO info = {
  .version = 2,
  .name = "tcti-ggtpm",
  .description = "TCTI module for the TPM broker ggtpmd",
  .config_help = "empty, or path=SOCKET (default /run/ggtpm/tpm.sock)",
  .init = Tss2_Tcti_Ggtpm_Init,
};

const TSS2_TCTI_INFO *
Tss2_Tcti_Info (void)
{
  return &info;
}
