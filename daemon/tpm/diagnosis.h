/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "tpm.h"

G_BEGIN_DECLS

/* What a person asks a chip for at the bench. Operations for a worker; errors: rc_check()'s. */

/* TPM2_ReadClock (Part 3, 29.1). */
gboolean
diagnosis_read_clock (Tpm *tpm, TPMS_TIME_INFO *out, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * The digest, computed in the chip: one command for up to 1024 bytes, a hash sequence for more.
 * Returns the caller's; errors: NOT_SUPPORTED where the chip does not have @algorithm.
 */
GBytes *diagnosis_hash (Tpm *tpm, TPM2_ALG_ID algorithm, GBytes *data, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* TPM2_SelfTest: of everything if @full, otherwise of what was not tested yet. Failure mode is no error: GetTestResult
 * tells. */
gboolean diagnosis_self_test (Tpm *tpm, gboolean full, TPM2_RC *out_rc, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/*
 * TPM2_IncrementalSelfTest of all algorithms that the chip has.
 * @out_pending: those that are still to be tested, TPM2_ALG_ID; free with g_array_unref()
 */
gboolean diagnosis_test_incrementally (Tpm *tpm,
                                       TPM2_RC *out_rc,
                                       GArray **out_pending,
                                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* TPM2_GetTestResult. @out_data: what the vendor says, the caller's */
gboolean diagnosis_read_test_result (Tpm *tpm, TPM2_RC *out_rc, GBytes **out_data, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
