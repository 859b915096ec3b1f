/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * The one error domain, on the bus as org.ggtpm1.Error.<nick>. What each means to a caller:
 *
 * FAILED            none of the others
 * INVALID_ARGS      an argument or option is unknown, malformed or does not fit
 * NOT_AUTHORIZED    the caller may not do this
 * AUTH_REQUIRED     a PIN or auth is needed, and neither the call nor the daemon has it
 * AUTH_FAILED       the PIN or auth is wrong; it counts towards lockout; not to be retried blindly
 * LOCKED_OUT        the chip's dictionary-attack protection refuses authorisations
 * NOT_FOUND         no such token, key, certificate
 * EXISTS            there is one already; it was not touched
 * NOT_PROVISIONED   something has to be provisioned first
 * NOT_SUPPORTED     this chip, key or build cannot do that
 * BUSY              a limit is reached or other work is under way: try again later
 * NO_RESOURCES      the chip has no memory, slot or NV space left
 * CANCELLED         ended by Job.Cancel or by the daemon's stop
 * TIMEOUT           the chip or the helper did not answer in time
 * UNAVAILABLE       no chip, or not ours now
 * TPM_FAILURE       the chip answers nonsense or is in failure mode
 * STORE             the token store is damaged, stale, full or not writable
 *
 * Where a TPM code is behind it, the text ends in `(TPM 0x00000921: ...)`, decoded.
 */
typedef enum
{
  GGTPM_ERROR_FAILED,
  GGTPM_ERROR_INVALID_ARGS,
  GGTPM_ERROR_NOT_AUTHORIZED,
  GGTPM_ERROR_AUTH_REQUIRED,
  GGTPM_ERROR_AUTH_FAILED,
  GGTPM_ERROR_LOCKED_OUT,
  GGTPM_ERROR_NOT_FOUND,
  GGTPM_ERROR_EXISTS,
  GGTPM_ERROR_NOT_PROVISIONED,
  GGTPM_ERROR_NOT_SUPPORTED,
  GGTPM_ERROR_BUSY,
  GGTPM_ERROR_NO_RESOURCES,
  GGTPM_ERROR_CANCELLED,
  GGTPM_ERROR_TIMEOUT,
  GGTPM_ERROR_UNAVAILABLE,
  GGTPM_ERROR_TPM_FAILURE,
  GGTPM_ERROR_STORE,
  GGTPM_N_ERRORS
} GgtpmError;

#define GGTPM_ERROR (ggtpm_error_quark ())

/* Registers the domain with GDBus at its first call; daemon and client call it before they use the bus. */
GQuark ggtpm_error_quark (void);

/* The nick (`AuthFailed`) of a code, for JSON and log fields; static. */
const char *ggtpm_error_nick (GgtpmError code);

/*
 * Makes *error one of ours, in place, keeping its text: what is about to leave the process must be in the domain.
 * G_IO_ERROR codes that have a counterpart get it (CANCELLED, NOT_FOUND, NO_SPACE ...), all others become FAILED.
 */
void ggtpm_error_convert (GError **error);

/*
 * Exit code of ggtpmctl for an error: 1 failed, 2 usage, 3 not found, 4 not authorised, 5 busy or locked out, 6 TPM
 * or daemon unavailable. Understands bus errors of the daemon (ServiceUnknown, AccessDenied ...) as well.
 */
int ggtpm_error_exit_code (const GError *error);

G_END_DECLS
