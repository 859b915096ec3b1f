/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>
#include <tss2/tss2_common.h>

G_BEGIN_DECLS

/*
 * The one place where a TSS2_RC becomes a GError: FALSE and GGTPM_ERROR by the table in rc.c unless @rc is success.
 * The text is `WHAT: what it means and what to do (TPM 0x%08x: DECODED)`; `TSS` for codes of the software above the
 * chip.
 * @what: what was being done, such as `reading the lockout counter`
 */
gboolean rc_check (TSS2_RC rc, const char *what, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The GgtpmError of a code; parameter, handle and session numbers do not matter (TPM 2.0 Library Part 2, 6.6). */
int rc_to_error_code (TSS2_RC rc);

/*
 * The code without layer and without parameter, handle or session number: what TPM2_RC_* constants are compared with.
 * A code that is not a TPM's (of ESYS, the TCTI ...) stays as it is.
 */
TSS2_RC rc_get_base (TSS2_RC rc);

/* Decoded text; free with g_free(). */
char *rc_to_string (TSS2_RC rc);

/* The code in the text of an error that rc_check() has set, prefixed or not; 0 where there is none. */
TSS2_RC rc_from_error (const GError *error);

G_END_DECLS
