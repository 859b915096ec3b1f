/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "rc.h"

#include "dbus/error.h"

#include <tss2/tss2_rc.h>
#include <tss2/tss2_tpm2_types.h>

/* Below it: the resource manager's own codes, TSS2_BASE_RC_*. */
#define LOWEST_TPM_CODE 0x80u

typedef struct
{
  TSS2_RC code;
  GgtpmError error;
  const char *hint; /* for people: what it means, what to do; NULL: the decoded text says it all */
} Row;

static const char hint_busy[] = "the TPM is busy; try again in a moment";
static const char hint_memory[] =
    "no room left in the TPM; try again when other programs have finished with it";
static const char hint_algorithm[] = "this TPM does not support that algorithm, size or curve";
static const char hint_not_loaded[] = "the object is not in the TPM";
static const char hint_answer[] =
    "the TPM's answer makes no sense; if it stays so, switch the device off and on again";
static const char hint_no_broker[] =
    "the connection to the TPM is broken; `ggtpmctl status` and ggtpmd's journal say why";

/*
 * TPM codes by TPM 2.0 Library Part 2, 6.6.3: format 1 without parameter, handle or session number, and format 0; then
 * those of the software above the chip. What is not here is GGTPM_ERROR_FAILED.
 */
static const Row rows[] = {
  { TPM2_RC_AUTH_FAIL, GGTPM_ERROR_AUTH_FAILED,
    "wrong PIN or auth, and the TPM has counted it: do not try again blindly" },
  { TPM2_RC_BAD_AUTH, GGTPM_ERROR_AUTH_FAILED, "wrong PIN or auth" },
  { TPM2_RC_AUTH_MISSING, GGTPM_ERROR_AUTH_REQUIRED, NULL },
  { TPM2_RC_AUTH_UNAVAILABLE, GGTPM_ERROR_AUTH_REQUIRED, NULL },
  { TPM2_RC_LOCKOUT, GGTPM_ERROR_LOCKED_OUT,
    "the TPM is in lockout after too many failed authorisations: wait (every LockoutInterval seconds, shown by "
    "`ggtpmctl info`, give one try back) or reset it (`ggtpmctl tpm reset-lockout`)" },
  { TPM2_RC_FAILURE, GGTPM_ERROR_TPM_FAILURE,
    "the TPM is in failure mode: switch the device off and on again (a reboot may not be enough)" },
  { TPM2_RC_INITIALIZE, GGTPM_ERROR_UNAVAILABLE, "the TPM has not been started (TPM2_Startup)" },
  { TPM2_RC_UPGRADE, GGTPM_ERROR_UNAVAILABLE, "the TPM is in firmware upgrade mode" },
  { TPM2_RC_REBOOT, GGTPM_ERROR_UNAVAILABLE,
    "the device has to be restarted before the TPM goes on" },
  { TPM2_RC_RETRY, GGTPM_ERROR_BUSY, hint_busy },
  { TPM2_RC_TESTING, GGTPM_ERROR_BUSY, "the TPM is testing itself; try again in a few seconds" },
  { TPM2_RC_YIELDED, GGTPM_ERROR_BUSY, hint_busy },
  { TPM2_RC_NEEDS_TEST, GGTPM_ERROR_BUSY, "the TPM has to test itself first; try again" },
  { TPM2_RC_EXCLUSIVE, GGTPM_ERROR_BUSY, "another program holds an exclusive audit session" },
  { TPM2_RC_NV_RATE, GGTPM_ERROR_BUSY,
    "the TPM slows down writing to spare its memory; try again in a few seconds" },
  { TPM2_RC_NV_UNAVAILABLE, GGTPM_ERROR_BUSY,
    "the TPM's memory cannot be written just now; try again" },
  { TPM2_RC_CANCELED, GGTPM_ERROR_CANCELLED, NULL },
  { TPM2_RC_CONTEXT_GAP, GGTPM_ERROR_NO_RESOURCES, "a session saved long ago blocks new ones" },
  { TPM2_RC_OBJECT_MEMORY, GGTPM_ERROR_NO_RESOURCES, hint_memory },
  { TPM2_RC_SESSION_MEMORY, GGTPM_ERROR_NO_RESOURCES, hint_memory },
  { TPM2_RC_MEMORY, GGTPM_ERROR_NO_RESOURCES, hint_memory },
  { TPM2_RC_SESSION_HANDLES, GGTPM_ERROR_NO_RESOURCES, hint_memory },
  { TPM2_RC_OBJECT_HANDLES, GGTPM_ERROR_NO_RESOURCES, hint_memory },
  { TPM2_RC_TOO_MANY_CONTEXTS, GGTPM_ERROR_NO_RESOURCES, hint_memory },
  { TPM2_RC_NV_SPACE, GGTPM_ERROR_NO_RESOURCES,
    "the TPM's non-volatile memory is full; remove persistent objects or NV indices that nobody needs" },
  { TPM2_RC_NV_DEFINED, GGTPM_ERROR_EXISTS, NULL },
  { TPM2_RC_NV_UNINITIALIZED, GGTPM_ERROR_NOT_FOUND, NULL },
  { TPM2_RC_NV_LOCKED, GGTPM_ERROR_NOT_AUTHORIZED, NULL },
  { TPM2_RC_NV_AUTHORIZATION, GGTPM_ERROR_NOT_AUTHORIZED, NULL },
  { TPM2_RC_LOCALITY, GGTPM_ERROR_NOT_AUTHORIZED, NULL },
  { TPM2_RC_PP, GGTPM_ERROR_NOT_AUTHORIZED, NULL },
  { TPM2_RC_POLICY_FAIL, GGTPM_ERROR_NOT_AUTHORIZED, NULL },
  { TPM2_RC_POLICY_CC, GGTPM_ERROR_NOT_AUTHORIZED, NULL },
  { TPM2_RC_EXPIRED, GGTPM_ERROR_NOT_AUTHORIZED, NULL },
  { TPM2_RC_HANDLE, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_H0, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_H1, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_H2, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_H3, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_H4, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_H5, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_H6, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_S0, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_S1, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_S2, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_S3, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_S4, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_S5, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_REFERENCE_S6, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
  { TPM2_RC_INTEGRITY, GGTPM_ERROR_STORE, "the object is damaged or was made by another TPM" },
  { TPM2_RC_BINDING, GGTPM_ERROR_STORE,
    "public and private part of the object do not belong together" },
  { TPM2_RC_COMMAND_CODE, GGTPM_ERROR_NOT_SUPPORTED, "this TPM does not have that command" },
  { TPM2_RC_DISABLED, GGTPM_ERROR_NOT_SUPPORTED, NULL },
  { TPM2_RC_HIERARCHY, GGTPM_ERROR_NOT_SUPPORTED,
    "the hierarchy is disabled; switch it on in the firmware's set-up" },
  { TPM2_RC_ASYMMETRIC, GGTPM_ERROR_NOT_SUPPORTED, hint_algorithm },
  { TPM2_RC_HASH, GGTPM_ERROR_NOT_SUPPORTED, hint_algorithm },
  { TPM2_RC_KEY_SIZE, GGTPM_ERROR_NOT_SUPPORTED, hint_algorithm },
  { TPM2_RC_MGF, GGTPM_ERROR_NOT_SUPPORTED, hint_algorithm },
  { TPM2_RC_MODE, GGTPM_ERROR_NOT_SUPPORTED, hint_algorithm },
  { TPM2_RC_KDF, GGTPM_ERROR_NOT_SUPPORTED, hint_algorithm },
  { TPM2_RC_SCHEME, GGTPM_ERROR_NOT_SUPPORTED, hint_algorithm },
  { TPM2_RC_SYMMETRIC, GGTPM_ERROR_NOT_SUPPORTED, hint_algorithm },
  { TPM2_RC_CURVE, GGTPM_ERROR_NOT_SUPPORTED, hint_algorithm },
  { TPM2_RC_BAD_TAG, GGTPM_ERROR_NOT_SUPPORTED, "this looks like a TPM 1.2; a TPM 2.0 is needed" },

  { TSS2_TCTI_RC_IO_ERROR, GGTPM_ERROR_UNAVAILABLE, hint_no_broker },
  { TSS2_TCTI_RC_NO_CONNECTION, GGTPM_ERROR_UNAVAILABLE, hint_no_broker },
  { TSS2_TCTI_RC_TRY_AGAIN, GGTPM_ERROR_TIMEOUT, "the TPM has not answered in time" },
  { TSS2_TCTI_RC_MALFORMED_RESPONSE, GGTPM_ERROR_TPM_FAILURE, hint_answer },
  { TSS2_TCTI_RC_INSUFFICIENT_BUFFER, GGTPM_ERROR_TPM_FAILURE, hint_answer },
  { TSS2_SYS_RC_MALFORMED_RESPONSE, GGTPM_ERROR_TPM_FAILURE, hint_answer },
  { TSS2_SYS_RC_INSUFFICIENT_RESPONSE, GGTPM_ERROR_TPM_FAILURE, hint_answer },
  { TSS2_MU_RC_BAD_VALUE, GGTPM_ERROR_TPM_FAILURE, hint_answer },
  { TSS2_MU_RC_BAD_SIZE, GGTPM_ERROR_TPM_FAILURE, hint_answer },
  { TSS2_MU_RC_INSUFFICIENT_BUFFER, GGTPM_ERROR_TPM_FAILURE, hint_answer },
  { TSS2_ESYS_RC_MALFORMED_RESPONSE, GGTPM_ERROR_TPM_FAILURE, hint_answer },
  { TSS2_ESYS_RC_INSUFFICIENT_RESPONSE, GGTPM_ERROR_TPM_FAILURE, hint_answer },
  { TSS2_ESYS_RC_RSP_AUTH_FAILED, GGTPM_ERROR_TPM_FAILURE, hint_answer },
  { TSS2_ESYS_RC_BAD_TR, GGTPM_ERROR_NOT_FOUND, hint_not_loaded },
};

/* Layers 11 (as the kernel's and tpm2-abrmd's resource managers use it) and 12 carry the chip's codes too. */
static gboolean
is_tpm_code (TSS2_RC rc)
{
  TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;

  if (layer == TSS2_TPM_RC_LAYER)
    return TRUE;
  return (layer == TSS2_RESMGR_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER) &&
         (rc & 0xffff) >= LOWEST_TPM_CODE;
}

TSS2_RC
rc_get_base (TSS2_RC rc)
{
  if (!is_tpm_code (rc))
    return rc;
  return (rc & TPM2_RC_FMT1) != 0 ? rc & (TPM2_RC_FMT1 | 0x3f) : rc & 0xffff;
}

static const Row *
find_row (TSS2_RC rc)
{
  TSS2_RC base = rc_get_base (rc);

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    if (rows[i].code == base)
      return &rows[i];
  return NULL;
}

int
rc_to_error_code (TSS2_RC rc)
{
  const Row *row = find_row (rc);

  return (int)(row != NULL ? row->error : GGTPM_ERROR_FAILED);
}

char *
rc_to_string (TSS2_RC rc)
{
  /* Tss2_RC_Decode() answers in a buffer of the thread: copied before anything else can call it. */
  return g_strdup (Tss2_RC_Decode (rc));
}

gboolean
rc_check (TSS2_RC rc, const char *what, GError **error)
{
  g_autofree char *decoded = NULL;
  const Row *row;

  if (rc == TSS2_RC_SUCCESS)
    return TRUE;

  decoded = rc_to_string (rc);
  row = find_row (rc);
  g_set_error (error, GGTPM_ERROR, rc_to_error_code (rc), "%s: %s (%s 0x%08x: %s)", what,
               row != NULL && row->hint != NULL ? row->hint : "refused",
               is_tpm_code (rc) ? "TPM" : "TSS", rc, decoded);
  return FALSE;
}

TSS2_RC
rc_from_error (const GError *error)
{
  const char *code = NULL;

  if (error == NULL || error->domain != GGTPM_ERROR)
    return 0;
  code = g_strrstr (error->message, "(TPM 0x");
  if (code == NULL)
    code = g_strrstr (error->message, "(TSS 0x");
  return code != NULL ? (TSS2_RC)g_ascii_strtoull (code + strlen ("(TPM 0x"), NULL, 16) : 0;
}
