/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "primary.h"

#include "dbus/error.h"
#include "tpm/auths.h"
#include "tpm/rc.h"

#include <string.h>
#include <tss2/tss2_mu.h>

#define N_HANDLES (PRIMARY_LAST_HANDLE - PRIMARY_FIRST_HANDLE + 1)

/*
 * `unique` is empty, as in the shared SRK that systemd makes at the same handle: then both are the same key, and ours
 * is theirs.
 */
static const TPM2B_PUBLIC template = {
  .publicArea = {
    .type = TPM2_ALG_ECC,
    .nameAlg = TPM2_ALG_SHA256,
    .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                        TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                        TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
    .parameters.eccDetail = {
      .symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB },
      .scheme.scheme = TPM2_ALG_NULL,
      .curveID = TPM2_ECC_NIST_P256,
      .kdf.scheme = TPM2_ALG_NULL,
    },
  },
};

TpmHandle *
primary_make_transient (Tpm *tpm,
                        const char *state_dir,
                        const TPM2B_PUBLIC *public_area,
                        GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  const TPM2B_SENSITIVE_CREATE sensitive = { 0 };
  const TPM2B_DATA outside_info = { 0 };
  const TPML_PCR_SELECTION pcrs = { 0 };
  ESYS_TR tr = ESYS_TR_NONE;
  TSS2_RC rc;

  if (esys == NULL || !auths_use_owner (tpm, state_dir, error))
    return NULL;
  rc = Esys_CreatePrimary (esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                           &sensitive, public_area, &outside_info, &pcrs, &tr, NULL, NULL, NULL,
                           NULL);
  if (rc_check (rc, "making a primary key", error))
    return tpm_handle_new (tpm, tr, TRUE);
  if (rc_get_base (rc) == TPM2_RC_BAD_AUTH)
    g_prefix_error (error, "the owner hierarchy has an auth that ggtpmd does not have: ");
  return NULL;
}

static gboolean
list_persistent (Tpm *tpm, TPML_HANDLE *out_handles, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  g_autoptr (TPMS_CAPABILITY_DATA) data = NULL;
  TPMI_YES_NO more;
  TSS2_RC rc;

  if (esys == NULL)
    return FALSE;
  rc = Esys_GetCapability (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES,
                           PRIMARY_FIRST_HANDLE, N_HANDLES, &more, &data);
  if (!rc_check (rc, "listing persistent objects", error))
    return FALSE;
  *out_handles = data->data.handles;
  return TRUE;
}

static TpmHandle *
open_persistent (Tpm *tpm, TPM2_HANDLE handle, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  ESYS_TR tr = ESYS_TR_NONE;

  if (esys == NULL || !rc_check (Esys_TR_FromTPMPublic (esys, handle, ESYS_TR_NONE, ESYS_TR_NONE,
                                                        ESYS_TR_NONE, &tr),
                                 "reading a persistent object", error))
    return NULL;
  return tpm_handle_new (tpm, tr, FALSE);
}

TPM2B_NAME *
primary_get_name (TpmHandle *object, GError **error)
{
  TPM2B_NAME *name = NULL;

  /* The context is there: the object was made by it. */
  if (!rc_check (Esys_TR_GetName (tpm_get_esys (object->tpm, NULL), object->tr, &name),
                 "reading a key's name", error))
    return NULL;
  return name;
}

/*
 * @out_found: the object of @name, NULL if there is none
 * @out_free: the first handle without an object, 0 if there is none
 */
static gboolean
look_for (Tpm *tpm,
          const TPM2B_NAME *name,
          TPM2_HANDLE *out_handle,
          TpmHandle **out_found,
          TPM2_HANDLE *out_free,
          GError **error)
{
  TPML_HANDLE handles = { 0 };
  TPM2_HANDLE next = PRIMARY_FIRST_HANDLE;

  if (!list_persistent (tpm, &handles, error))
    return FALSE;
  *out_found = NULL;
  for (UINT32 i = 0; i < handles.count && handles.handle[i] <= PRIMARY_LAST_HANDLE; i++)
    {
      g_autoptr (TpmHandle) object = open_persistent (tpm, handles.handle[i], error);
      g_autoptr (TPM2B_NAME) its_name = object != NULL ? primary_get_name (object, error) : NULL;

      if (its_name == NULL)
        return FALSE;
      if (its_name->size == name->size && memcmp (its_name->name, name->name, name->size) == 0)
        {
          *out_handle = handles.handle[i];
          *out_found = g_steal_pointer (&object);
          return TRUE;
        }
      /* The chip lists them in ascending order. */
      if (handles.handle[i] == next)
        next++;
    }
  *out_free = next <= PRIMARY_LAST_HANDLE ? next : 0;
  return TRUE;
}

TpmHandle *
primary_make_persistent (Tpm *tpm, TpmHandle *transient, TPM2_HANDLE handle, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  ESYS_TR tr = ESYS_TR_NONE;

  if (esys == NULL ||
      !rc_check (Esys_EvictControl (esys, ESYS_TR_RH_OWNER, transient->tr, ESYS_TR_PASSWORD,
                                    ESYS_TR_NONE, ESYS_TR_NONE, handle, &tr),
                 "making a primary key persistent", error))
    return NULL;
  return tpm_handle_new (tpm, tr, FALSE);
}

static GBytes *
serialize (TpmHandle *object, GError **error)
{
  guint8 *data = NULL;
  size_t len = 0;
  GBytes *blob;

  if (!rc_check (Esys_TR_Serialize (tpm_get_esys (object->tpm, NULL), object->tr, &data, &len),
                 "describing the storage key", error))
    return NULL;
  blob = g_bytes_new (data, len);
  Esys_Free (data);
  return blob;
}

gboolean
primary_ensure (Tpm *tpm,
                const char *state_dir,
                PrimaryIntentFunc intent,
                gpointer user_data,
                TPM2_HANDLE *out_handle,
                GBytes **out_blob,
                gboolean *out_created,
                GError **error)
{
  g_autoptr (TpmHandle) transient = primary_make_transient (tpm, state_dir, &template, error);
  g_autoptr (TPM2B_NAME) name = transient != NULL ? primary_get_name (transient, error) : NULL;
  g_autoptr (TpmHandle) primary = NULL;
  TPM2_HANDLE handle = 0, free_handle = 0;
  gboolean created = FALSE;
  GBytes *blob;

  if (name == NULL || !look_for (tpm, name, &handle, &primary, &free_handle, error))
    return FALSE;
  if (primary == NULL)
    {
      if (free_handle == 0)
        {
          g_set_error (
              error, GGTPM_ERROR, GGTPM_ERROR_NO_RESOURCES,
              "every handle from 0x%08x to 0x%08x has an object: remove one that is not needed "
              "(tpm2_evictcontrol)",
              PRIMARY_FIRST_HANDLE, PRIMARY_LAST_HANDLE);
          return FALSE;
        }
      handle = free_handle;
      created = TRUE;
    }
  if (intent != NULL && !intent (handle, name, created, user_data, error))
    return FALSE;
  if (created)
    primary = primary_make_persistent (tpm, transient, handle, error);
  blob = primary != NULL ? serialize (primary, error) : NULL;
  if (blob == NULL)
    return FALSE;
  *out_handle = handle;
  *out_blob = blob;
  *out_created = created;
  return TRUE;
}

/* ---- what is in the store ---- */

/* Big-endian: the handle, the name (TPM2B_NAME). */
gboolean
primary_parse_blob (GBytes *blob, TPM2_HANDLE *out_handle, TPM2B_NAME *out_name)
{
  gsize len;
  const guint8 *data = g_bytes_get_data (blob, &len);
  gsize offset = 0;
  TPM2_HANDLE handle;
  TPM2B_NAME name = { 0 };

  if (Tss2_MU_UINT32_Unmarshal (data, len, &offset, &handle) != TSS2_RC_SUCCESS ||
      Tss2_MU_TPM2B_NAME_Unmarshal (data, len, &offset, &name) != TSS2_RC_SUCCESS)
    return FALSE;
  *out_handle = handle;
  *out_name = name;
  return TRUE;
}

/* Behind the name: the kind of resource (ESYS: 1 is a key) and its public area. What CreatePrimary fills in is taken
 * out. */
static gboolean
parse_template (GBytes *blob, TPM2B_PUBLIC *out_template)
{
  gsize len;
  const guint8 *data = g_bytes_get_data (blob, &len);
  gsize offset = 0;
  TPM2_HANDLE handle;
  TPM2B_NAME name = { 0 };
  TPM2B_PUBLIC public_area = { 0 };
  UINT32 kind;

  if (Tss2_MU_UINT32_Unmarshal (data, len, &offset, &handle) != TSS2_RC_SUCCESS ||
      Tss2_MU_TPM2B_NAME_Unmarshal (data, len, &offset, &name) != TSS2_RC_SUCCESS ||
      Tss2_MU_UINT32_Unmarshal (data, len, &offset, &kind) != TSS2_RC_SUCCESS || kind != 1 ||
      Tss2_MU_TPM2B_PUBLIC_Unmarshal (data, len, &offset, &public_area) != TSS2_RC_SUCCESS)
    return FALSE;
  public_area.size = 0;
  memset (&public_area.publicArea.unique, 0, sizeof public_area.publicArea.unique);
  *out_template = public_area;
  return TRUE;
}

static gboolean
has_name (TpmHandle *object, const void *name, gsize len, gboolean *out_same, GError **error)
{
  g_autoptr (TPM2B_NAME) its_name = primary_get_name (object, error);

  if (its_name == NULL)
    return FALSE;
  *out_same = its_name->size == len && memcmp (its_name->name, name, len) == 0;
  return TRUE;
}

gboolean
primary_restore (Tpm *tpm,
                 const char *state_dir,
                 GBytes *blob,
                 PrimaryIntentFunc intent,
                 gpointer user_data,
                 gboolean *out_restored,
                 GError **error)
{
  TPM2B_PUBLIC its_template;
  TPM2B_NAME name;
  TPM2_HANDLE handle;
  g_autoptr (TpmHandle) transient = NULL;
  g_autoptr (TpmHandle) primary = NULL;
  gboolean is_same = FALSE;

  if (!primary_parse_blob (blob, &handle, &name) || !parse_template (blob, &its_template))
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_STORE,
                           "the entry of the storage key in the token store is damaged");
      return FALSE;
    }
  transient = primary_make_transient (tpm, state_dir, &its_template, error);
  if (transient == NULL || !has_name (transient, name.name, name.size, &is_same, error))
    return FALSE;
  if (is_same && ((intent != NULL && !intent (handle, &name, TRUE, user_data, error)) ||
                  (primary = primary_make_persistent (tpm, transient, handle, error)) == NULL))
    return FALSE;
  *out_restored = is_same;
  return TRUE;
}

/* ---- taking it away ---- */

gboolean
primary_evict (Tpm *tpm,
               const char *state_dir,
               TPM2_HANDLE handle,
               GBytes *name,
               gboolean *out_evicted,
               GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  g_autoptr (TpmHandle) primary = NULL;
  ESYS_TR tr = ESYS_TR_NONE, none = ESYS_TR_NONE;
  gboolean is_same = FALSE;
  gsize len = 0;
  const void *data = g_bytes_get_data (name, &len);
  TSS2_RC rc;

  if (esys == NULL)
    return FALSE;
  rc = Esys_TR_FromTPMPublic (esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &tr);
  *out_evicted = FALSE;
  if (rc_get_base (rc) == TPM2_RC_HANDLE)
    return TRUE;
  if (!rc_check (rc, "reading a persistent object", error))
    return FALSE;
  primary = tpm_handle_new (tpm, tr, FALSE);
  if (!has_name (primary, data, len, &is_same, error))
    return FALSE;
  if (!is_same)
    return TRUE;
  if (!auths_use_owner (tpm, state_dir, error))
    return FALSE;
  rc = Esys_EvictControl (esys, ESYS_TR_RH_OWNER, primary->tr, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                          ESYS_TR_NONE, 0, &none);
  if (!rc_check (rc, "evicting a persistent object", error))
    return FALSE;
  /* ESYS has closed it. */
  primary->tr = ESYS_TR_NONE;
  *out_evicted = TRUE;
  return TRUE;
}
