/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "tpm.h"

G_BEGIN_DECLS

/* Of the PC client's TPM, and of every chip that we know. */
#define PCR_COUNT 24

/* The values of a bank at one moment; NULL: not asked for. */
typedef struct
{
  GBytes *values[PCR_COUNT];
} PcrValues;

void pcr_values_free (PcrValues *values);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (PcrValues, pcr_values_free)

typedef struct
{
  TPM2_ALG_ID bank;
  GBytes *digest;
} PcrDigest;

/*
 * TPM2_PCR_Read, in as many commands as that takes; again if one was extended meanwhile.
 * @wanted: bit n: PCR n
 * Errors: rc_check()'s; NOT_FOUND: the bank is not allocated; BUSY: they change all the time.
 */
PcrValues *
pcr_read (Tpm *tpm, TPM2_ALG_ID bank, guint32 wanted, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* TPM2_PCR_Extend of one PCR in @n_digests banks. Errors: rc_check()'s. */
gboolean pcr_extend (Tpm *tpm, guint pcr, const PcrDigest *digests, guint n_digests, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* TPM2_PCR_Reset; from locality 0 only PCR 16 and 23 can be. Errors: rc_check()'s. */
gboolean pcr_reset (Tpm *tpm, guint pcr, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * TPM2_PCR_Allocate with the empty platform auth: all PCRs in @banks, none in the others, from the next TPM reset on.
 * @out_needed, @out_available: in bytes
 * Errors: rc_check()'s; NO_RESOURCES: they do not fit, nothing is changed.
 */
gboolean pcr_allocate (Tpm *tpm,
                       const TPM2_ALG_ID *banks,
                       guint n_banks,
                       guint32 *out_needed,
                       guint32 *out_available,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
