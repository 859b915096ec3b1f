/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "vendor-properties.h"

#include "rc.h"

#include <tss2/tss2_mu.h>
#include <tss2/tss2_tcti.h>

#define HEADER_SIZE 10
/* moreData, capability, count, size of the first value */
#define VALUE_OFFSET (HEADER_SIZE + 1 + 4 + 4 + 2)
#define ANSWER_MAX   4096

static const struct
{
  guint32 number;
  const char *name;
} rows[] = {
  { 0x80000001, "IFX_SMLI2" },
  { 0x80000002, "IFX_TIME_TO_SLEEP" },
  { 0x80000003, "IFX_FU_COUNTER" },
  { 0x80000004, "IFX_FU_COUNTER_SAME" },
  { 0x80000005, "IFX_FU_START_HASH_DIGEST" },
  { 0x80000006, "IFX_FU_LOADER_FW_VERSION" },
  { 0x80000007, "IFX_FU_OPERATION_MODE" },
  { 0x80000008, "IFX_FU_KEYGROUP_ID" },
  { 0x80000009, "IFX_FU_CHIP_IDENT" },
  { 0x8000000a, "IFX_FU_CURRENT_TPM_FW_VERSION" },
  { 0x8000000b, "IFX_FU_NEW_TPM_FW_VERSION" },
  { 0x8000000c, "IFX_FU_PROPERTIES" },
};

guint
vendor_properties_get_count (void)
{
  return G_N_ELEMENTS (rows);
}

static guint32
get_u32 (const guint8 *bytes)
{
  return (guint32)bytes[0] << 24 | (guint32)bytes[1] << 16 | (guint32)bytes[2] << 8 | bytes[3];
}

static gsize
make_command (guint32 property, guint8 *command, gsize size)
{
  gsize len = 0;

  (void)Tss2_MU_UINT16_Marshal (TPM2_ST_NO_SESSIONS, command, size, &len);
  (void)Tss2_MU_UINT32_Marshal (HEADER_SIZE + 3 * sizeof (guint32), command, size, &len);
  (void)Tss2_MU_UINT32_Marshal (TPM2_CC_GetCapability, command, size, &len);
  (void)Tss2_MU_UINT32_Marshal (TPM2_CAP_VENDOR_PROPERTY, command, size, &len);
  (void)Tss2_MU_UINT32_Marshal (property, command, size, &len);
  (void)Tss2_MU_UINT32_Marshal (1, command, size, &len);
  return len;
}

/* NULL: not the form that Infineon's have, so not Infineon's. */
static GBytes *
parse_answer (const guint8 *answer, gsize len)
{
  gsize value_len;

  if (len < VALUE_OFFSET || get_u32 (answer + HEADER_SIZE + 1 + 4) != 1)
    return NULL;
  value_len = (gsize)answer[VALUE_OFFSET - 2] << 8 | answer[VALUE_OFFSET - 1];
  if (VALUE_OFFSET + value_len != len)
    return NULL;
  return g_bytes_new (answer + VALUE_OFFSET, value_len);
}

gboolean
vendor_properties_read (Tpm *tpm,
                        guint index,
                        guint32 *out_number,
                        const char **out_name,
                        GBytes **out_value,
                        GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  TSS2_TCTI_CONTEXT *tcti = NULL;
  guint8 command[64];
  guint8 answer[ANSWER_MAX];
  size_t len = sizeof (answer);
  gsize command_len = make_command (rows[index].number, command, sizeof (command));
  TSS2_RC rc;

  if (esys == NULL || !rc_check (Esys_GetTcti (esys, &tcti), "reading vendor properties", error) ||
      !rc_check (Tss2_Tcti_Transmit (tcti, command_len, command), "reading vendor properties",
                 error) ||
      !rc_check (Tss2_Tcti_Receive (tcti, &len, answer, TSS2_TCTI_TIMEOUT_BLOCK),
                 "reading vendor properties", error))
    return FALSE;
  rc = len >= HEADER_SIZE ? get_u32 (answer + 6) : (TSS2_RC)TSS2_TCTI_RC_MALFORMED_RESPONSE;
  if (rc_get_base (rc) != TPM2_RC_VALUE && rc_get_base (rc) != TPM2_RC_HANDLE &&
      !rc_check (rc, "reading vendor properties", error))
    return FALSE;
  *out_number = rows[index].number;
  *out_name = rows[index].name;
  *out_value = rc == TSS2_RC_SUCCESS ? parse_answer (answer, len) : NULL;
  return TRUE;
}
