/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "tpm.h"

G_BEGIN_DECLS

/* A chip's clock, its self-tests, and hashing in it. Operations for a worker; errors: rc_check()'s. */

/* One TPM command, TPM2_ReadClock (Part 3, 29.1). resetCount: resets since the last TPM2_Clear (Part 2, 10.11.1). */
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

/*
 * One TPM command, TPM2_GetTestResult, which also a chip in failure mode answers (Part 3, 10.4), where the others lie:
 * to be asked first.
 * @out_rc: 0: passed; 0x153: tests when a function is first used; 0x90a: under way; 0x101: failed
 * @out_data: what the vendor says, the caller's; NULL: not wanted
 */
gboolean diagnosis_read_test_result (Tpm *tpm, TPM2_RC *out_rc, GBytes **out_data, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
