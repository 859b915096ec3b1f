/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "pcr.h"

#include "dbus/error.h"
#include "names.h"
#include "rc.h"

#define ALL_PCRS ((1u << PCR_COUNT) - 1)
/* Readings before we give up on a bank that somebody extends all the time. */
#define MAX_TRIES 4

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TPML_PCR_SELECTION, Esys_Free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TPML_DIGEST, Esys_Free)

typedef enum
{
  READ_FAILED,
  READ_CHANGED,
  READ_DONE,
} ReadEnd;

void
pcr_values_free (PcrValues *values)
{
  for (guint i = 0; i < PCR_COUNT; i++)
    g_clear_pointer (&values->values[i], g_bytes_unref);
  g_free (values);
}

static void
set_selection (TPMS_PCR_SELECTION *selection, TPM2_ALG_ID bank, guint32 wanted)
{
  *selection = (TPMS_PCR_SELECTION){ .hash = bank, .sizeofSelect = PCR_COUNT / 8 };
  for (guint i = 0; i < PCR_COUNT / 8; i++)
    selection->pcrSelect[i] = (BYTE)(wanted >> (8 * i));
}

static guint32
get_selected (const TPML_PCR_SELECTION *list)
{
  guint32 bits = 0;

  if (list->count == 0)
    return 0;
  for (guint i = 0; i < MIN (list->pcrSelections[0].sizeofSelect, PCR_COUNT / 8); i++)
    bits |= (guint32)list->pcrSelections[0].pcrSelect[i] << (8 * i);
  return bits;
}

static gboolean
take_digests (PcrValues *values, guint32 selected, const TPML_DIGEST *digests)
{
  guint32 n = 0;

  for (guint i = 0; i < PCR_COUNT; i++)
    {
      if ((selected & 1u << i) == 0)
        continue;
      if (n >= digests->count)
        return FALSE;
      g_clear_pointer (&values->values[i], g_bytes_unref);
      values->values[i] = g_bytes_new (digests->digests[n].buffer, digests->digests[n].size);
      n++;
    }
  return n == digests->count;
}

static ReadEnd
fail_absent (TPM2_ALG_ID bank, guint32 left, GError **error)
{
  g_autofree char *name = names_describe_algorithm (bank);

  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND,
               "the PCR bank %s is not allocated in this TPM (PCR %d is not in it)", name,
               g_bit_nth_lsf (left, -1));
  return READ_FAILED;
}

static ReadEnd
read_once (ESYS_CONTEXT *esys, TPM2_ALG_ID bank, guint32 wanted, PcrValues *values, GError **error)
{
  guint32 counter = 0;
  guint32 left = wanted;

  while (left != 0)
    {
      g_autoptr (TPML_PCR_SELECTION) out = NULL;
      g_autoptr (TPML_DIGEST) digests = NULL;
      TPML_PCR_SELECTION in = { .count = 1 };
      guint32 update_counter = 0;
      guint32 got;

      set_selection (&in.pcrSelections[0], bank, left);
      if (!rc_check (Esys_PCR_Read (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &in,
                                    &update_counter, &out, &digests),
                     "reading PCRs", error))
        return READ_FAILED;
      got = get_selected (out) & left;
      if (got == 0)
        return fail_absent (bank, left, error);
      if (left != wanted && update_counter != counter)
        return READ_CHANGED;
      counter = update_counter;
      if (!take_digests (values, got, digests))
        {
          g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE,
                       "reading PCRs: the TPM sent %u values for others than it says",
                       digests->count);
          return READ_FAILED;
        }
      left &= ~got;
    }
  return READ_DONE;
}

PcrValues *
pcr_read (Tpm *tpm, TPM2_ALG_ID bank, guint32 wanted, GError **error)
{
  g_autoptr (PcrValues) values = g_new0 (PcrValues, 1);
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);

  for (guint i = 0; esys != NULL && i < MAX_TRIES; i++)
    {
      ReadEnd end = read_once (esys, bank, wanted, values, error);

      if (end == READ_DONE)
        return g_steal_pointer (&values);
      if (end == READ_FAILED)
        return NULL;
    }
  if (esys != NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_BUSY,
                 "reading PCRs: somebody extends them all the time; try again");
  return NULL;
}

gboolean
pcr_extend (Tpm *tpm, guint pcr, const PcrDigest *digests, guint n_digests, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  TPML_DIGEST_VALUES values = { .count = n_digests };

  g_return_val_if_fail (n_digests <= TPM2_NUM_PCR_BANKS, FALSE);

  if (esys == NULL)
    return FALSE;
  for (guint i = 0; i < n_digests; i++)
    {
      gsize len = 0;
      const void *bytes = g_bytes_get_data (digests[i].digest, &len);

      values.digests[i].hashAlg = digests[i].bank;
      memcpy (&values.digests[i].digest, bytes, MIN (len, sizeof (TPMU_HA)));
    }
  return rc_check (Esys_PCR_Extend (esys, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                    ESYS_TR_NONE, &values),
                   "extending a PCR", error);
}

gboolean
pcr_reset (Tpm *tpm, guint pcr, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);

  return esys != NULL && rc_check (Esys_PCR_Reset (esys, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD,
                                                   ESYS_TR_NONE, ESYS_TR_NONE),
                                   "resetting a PCR", error);
}

/* ---- allocation ---- */

static gboolean
is_wanted (TPM2_ALG_ID bank, const TPM2_ALG_ID *banks, guint n_banks)
{
  for (guint i = 0; i < n_banks; i++)
    if (banks[i] == bank)
      return TRUE;
  return FALSE;
}

static gboolean
select_banks (const TPML_PCR_SELECTION *chips,
              const TPM2_ALG_ID *banks,
              guint n_banks,
              TPML_PCR_SELECTION *out,
              GError **error)
{
  guint n_found = 0;

  out->count = chips->count;
  for (guint32 i = 0; i < chips->count; i++)
    {
      TPM2_ALG_ID bank = chips->pcrSelections[i].hash;
      gboolean wanted = is_wanted (bank, banks, n_banks);

      set_selection (&out->pcrSelections[i], bank, wanted ? ALL_PCRS : 0);
      n_found += wanted;
    }
  if (n_found == n_banks)
    return TRUE;
  g_set_error (
      error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED,
      "this TPM does not have all of these PCR banks: `ggtpmctl info --capability pcr-banks` lists its own");
  return FALSE;
}

gboolean
pcr_allocate (Tpm *tpm,
              const TPM2_ALG_ID *banks,
              guint n_banks,
              guint32 *out_needed,
              guint32 *out_available,
              GError **error)
{
  g_autoptr (TPMS_CAPABILITY_DATA) data = NULL;
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  TPML_PCR_SELECTION selection = { 0 };
  TPMI_YES_NO more = TPM2_NO;
  TPMI_YES_NO success = TPM2_NO;
  guint32 max = 0;

  if (esys == NULL ||
      !rc_check (Esys_GetCapability (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_PCRS,
                                     0, 1, &more, &data),
                 "reading the TPM's PCR banks", error) ||
      !select_banks (&data->data.assignedPCR, banks, n_banks, &selection, error) ||
      !rc_check (Esys_PCR_Allocate (esys, ESYS_TR_RH_PLATFORM, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                    ESYS_TR_NONE, &selection, &success, &max, out_needed,
                                    out_available),
                 "allocating PCR banks", error))
    return FALSE;
  if (success == TPM2_YES)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NO_RESOURCES,
               "these PCR banks need %u bytes, the TPM has %u: nothing was changed; allocate fewer",
               *out_needed, *out_available);
  return FALSE;
}
