/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "diagnosis.h"

#include "rc.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TPML_ALG, Esys_Free)

gboolean
diagnosis_read_clock (Tpm *tpm, TPMS_TIME_INFO *out, GError **error)
{
  g_autoptr (TPMS_TIME_INFO) info = NULL;
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);

  if (esys == NULL ||
      !rc_check (Esys_ReadClock (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &info),
                 "reading the TPM's clock", error))
    return FALSE;
  *out = *info;
  return TRUE;
}

/* ---- hash ---- */

static void
take_part (const guint8 **data, gsize *left, TPM2B_MAX_BUFFER *part)
{
  part->size = (UINT16)MIN (*left, sizeof (part->buffer));
  memcpy (part->buffer, *data, part->size);
  *data += part->size;
  *left -= part->size;
}

static GBytes *
hash_at_once (ESYS_CONTEXT *esys,
              TPM2_ALG_ID algorithm,
              const guint8 *data,
              gsize len,
              GError **error)
{
  g_autoptr (TPM2B_DIGEST) digest = NULL;
  TPM2B_MAX_BUFFER part;

  take_part (&data, &len, &part);
  if (!rc_check (Esys_Hash (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &part, algorithm,
                            ESYS_TR_RH_NULL, &digest, NULL),
                 "hashing", error))
    return NULL;
  return g_bytes_new (digest->buffer, digest->size);
}

static GBytes *
hash_in_parts (Tpm *tpm,
               ESYS_CONTEXT *esys,
               TPM2_ALG_ID algorithm,
               const guint8 *data,
               gsize len,
               GError **error)
{
  static const TPM2B_AUTH no_auth = { 0 };
  g_autoptr (TPM2B_DIGEST) digest = NULL;
  g_autoptr (TpmHandle) sequence = NULL;
  TPM2B_MAX_BUFFER part;
  ESYS_TR tr = ESYS_TR_NONE;

  if (!rc_check (Esys_HashSequenceStart (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &no_auth,
                                         algorithm, &tr),
                 "beginning a hash sequence", error))
    return NULL;
  sequence = tpm_handle_new (tpm, tr, TRUE);
  for (take_part (&data, &len, &part); len > 0; take_part (&data, &len, &part))
    if (!rc_check (
            Esys_SequenceUpdate (esys, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &part),
            "hashing", error))
      return NULL;
  if (!rc_check (Esys_SequenceComplete (esys, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                                        &part, ESYS_TR_RH_NULL, &digest, NULL),
                 "ending a hash sequence", error))
    return NULL;
  /* its completion has taken the sequence out of the chip, and ESYS has forgotten it */
  sequence->tr = ESYS_TR_NONE;
  return g_bytes_new (digest->buffer, digest->size);
}

GBytes *
diagnosis_hash (Tpm *tpm, TPM2_ALG_ID algorithm, GBytes *data, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  gsize len = 0;
  const guint8 *bytes = g_bytes_get_data (data, &len);

  if (esys == NULL)
    return NULL;
  if (len <= TPM2_MAX_DIGEST_BUFFER)
    return hash_at_once (esys, algorithm, bytes, len, error);
  return hash_in_parts (tpm, esys, algorithm, bytes, len, error);
}

/* ---- self-test ---- */

/* The chip's verdict is a result; what keeps it from giving one is an error. */
static gboolean
take_verdict (TSS2_RC rc, const char *what, TPM2_RC *out_rc, GError **error)
{
  TSS2_RC base = rc_get_base (rc);

  if (base != TPM2_RC_FAILURE && base != TPM2_RC_TESTING && !rc_check (rc, what, error))
    return FALSE;
  *out_rc = base;
  return TRUE;
}

gboolean
diagnosis_self_test (Tpm *tpm, gboolean full, TPM2_RC *out_rc, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);

  return esys != NULL && take_verdict (Esys_SelfTest (esys, ESYS_TR_NONE, ESYS_TR_NONE,
                                                      ESYS_TR_NONE, full ? TPM2_YES : TPM2_NO),
                                       "testing the TPM", out_rc, error);
}

static gboolean
list_algorithms (ESYS_CONTEXT *esys, TPML_ALG *out, GError **error)
{
  g_autoptr (TPMS_CAPABILITY_DATA) data = NULL;
  TPMI_YES_NO more = TPM2_NO;

  if (!rc_check (Esys_GetCapability (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_ALGS,
                                     TPM2_ALG_FIRST, TPM2_MAX_ALG_LIST_SIZE, &more, &data),
                 "reading the TPM's algorithms", error))
    return FALSE;
  out->count = MIN (data->data.algorithms.count, (UINT32)TPM2_MAX_ALG_LIST_SIZE);
  for (guint32 i = 0; i < out->count; i++)
    out->algorithms[i] = data->data.algorithms.algProperties[i].alg;
  return TRUE;
}

gboolean
diagnosis_test_incrementally (Tpm *tpm, TPM2_RC *out_rc, GArray **out_pending, GError **error)
{
  g_autoptr (TPML_ALG) pending = NULL;
  TPML_ALG wanted = { 0 };
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  TSS2_RC rc;

  if (esys == NULL || !list_algorithms (esys, &wanted, error))
    return FALSE;
  rc = Esys_IncrementalSelfTest (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &wanted, &pending);
  if (!take_verdict (rc, "testing the TPM's algorithms", out_rc, error))
    return FALSE;
  *out_pending = g_array_new (FALSE, FALSE, sizeof (TPM2_ALG_ID));
  if (pending != NULL)
    g_array_append_vals (*out_pending, pending->algorithms, pending->count);
  return TRUE;
}

gboolean
diagnosis_read_test_result (Tpm *tpm, TPM2_RC *out_rc, GBytes **out_data, GError **error)
{
  g_autoptr (TPM2B_MAX_BUFFER) data = NULL;
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  TPM2_RC result = TPM2_RC_FAILURE;
  TSS2_RC rc;

  if (esys == NULL)
    return FALSE;
  rc = Esys_GetTestResult (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &data, &result);
  if (rc_get_base (rc) == TPM2_RC_FAILURE)
    result = TPM2_RC_FAILURE;
  else if (!rc_check (rc, "reading the self-test's result", error))
    return FALSE;
  *out_rc = result;
  if (out_data != NULL)
    *out_data = data != NULL ? g_bytes_new (data->buffer, data->size) : g_bytes_new (NULL, 0);
  return TRUE;
}
