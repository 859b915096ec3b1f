/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "tpm.h"

G_BEGIN_DECLS

/*
 * Capability: one line of what TPM2_GetCapability tells (Part 3, 30.2; Part 2, 10.10). What number and value are, by
 * group:
 *
 *   fixed, variable   TPM_PT, its value
 *   algorithms        TPM_ALG_ID, TPMA_ALGORITHM
 *   commands          TPM_CC without attributes, TPMA_CC
 *   pp-commands       TPM_CC that needs physical presence, 0
 *   audit-commands    TPM_CC that is audited, 0
 *   curves            TPM_ECC_CURVE, 0
 *   pcr-banks         TPM_ALG_ID, bit n: PCR n is allocated; a bank without a PCR is one that could be allocated
 *   pcr-properties    TPM_PT_PCR, bit n: PCR n has it
 *   handles           the handle, 0; the name is its kind
 *   auth-policies     the permanent handle, TPM_ALG_ID of its policy; the name has the digest in hexadecimal
 *   acts              handle of an authenticated countdown timer, seconds that it has left; the name has its attributes
 *   vendor            what this vendor calls a property, the first four bytes of its value; the name has what is longer
 */
typedef struct
{
  guint32 number;
  guint32 value;
  char *name; /* the specification's; empty where we do not know one */
} Capability;

/* NULL-terminated; static. */
const char *const *capabilities_get_groups (void);

/*
 * Of Capability, in the chip's order; g_ptr_array_unref(). Empty where the chip does not have the group.
 * Errors: rc_check()'s; INVALID_ARGS for a group that is none; TPM_FAILURE for nonsense.
 */
GPtrArray *
capabilities_read (Tpm *tpm, const char *group, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
