/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "store-private.h"

#include "dbus/error.h"
#include "token/primary.h"
#include "token/store-database.h"
#include "tpm/rc.h"

#include <string.h>

/* ---- lockout ---- */

typedef struct
{
  gboolean in_lockout;
  guint32 counter;
  guint32 max;
  guint32 interval_s;
} Lockout;

static void
take_property (Lockout *lockout, const TPMS_TAGGED_PROPERTY *property)
{
  switch (property->property)
    {
    case TPM2_PT_PERMANENT:
      lockout->in_lockout = (property->value & TPMA_PERMANENT_INLOCKOUT) != 0;
      break;
    case TPM2_PT_LOCKOUT_COUNTER:
      lockout->counter = property->value;
      break;
    case TPM2_PT_MAX_AUTH_FAIL:
      lockout->max = property->value;
      break;
    case TPM2_PT_LOCKOUT_INTERVAL:
      lockout->interval_s = property->value;
      break;
    default:
      break;
    }
}

static gboolean
read_lockout (Tpm *tpm, Lockout *out_lockout, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  g_autoptr (TPMS_CAPABILITY_DATA) data = NULL;
  TPMI_YES_NO more;
  Lockout lockout = { 0 };
  TSS2_RC rc;

  if (esys == NULL)
    return FALSE;
  /* From TPM2_PT_PERMANENT to TPM2_PT_LOCKOUT_RECOVERY: one command. */
  rc = Esys_GetCapability (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_TPM_PROPERTIES,
                           TPM2_PT_PERMANENT, TPM2_PT_LOCKOUT_RECOVERY - TPM2_PT_PERMANENT + 1,
                           &more, &data);
  if (!rc_check (rc, "reading the lockout counter", error))
    return FALSE;
  for (UINT32 i = 0; i < data->data.tpmProperties.count; i++)
    take_property (&lockout, &data->data.tpmProperties.tpmProperty[i]);
  *out_lockout = lockout;
  return TRUE;
}

static gboolean
check_lockout (Tpm *tpm, GError **error)
{
  Lockout lockout;

  if (!read_lockout (tpm, &lockout, error))
    return FALSE;
  if (!lockout.in_lockout)
    return TRUE;
  g_set_error (
      error, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT,
      "the TPM is locked after %u of %u failed authorisations: it takes the next one in up "
      "to %u s, or after a reset of the lockout",
      lockout.counter, lockout.max, lockout.interval_s);
  return FALSE;
}

char *
store_describe_tries (Tpm *tpm)
{
  Lockout lockout;

  if (!read_lockout (tpm, &lockout, NULL))
    return g_strdup ("the lockout counter cannot be read");
  return g_strdup_printf ("%u of %u tries used", lockout.counter, lockout.max);
}

/* ---- the primary ---- */

static gboolean
set_stale (TPM2_HANDLE handle, const char *what, GError **error)
{
  g_set_error (
      error, GGTPM_ERROR, GGTPM_ERROR_STORE,
      "the token store does not fit this TPM: %s at 0x%08x. The TPM was cleared, or it is "
      "another one, or its storage key was replaced or evicted. Its keys cannot be used without "
      "that storage key: `ggtpmctl provision` makes an evicted one again; otherwise bring it back, or "
      "remove the tokens (`ggtpmctl token remove`) and provision again",
      what, handle);
  return FALSE;
}

/* @out_gone: there is no object at its handle; what is wrong otherwise is the error */
static gboolean
look_at_primary (Tpm *tpm,
                 GBytes *blob,
                 TPM2_HANDLE *out_handle,
                 gboolean *out_gone,
                 GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  g_autoptr (TPM2B_NAME) found = NULL;
  g_autoptr (TpmHandle) primary = NULL;
  TPM2B_NAME name = { 0 };
  TPM2_HANDLE handle = 0;
  ESYS_TR tr = ESYS_TR_NONE;
  TSS2_RC rc;

  if (esys == NULL)
    return FALSE;
  if (!primary_parse_blob (blob, &handle, &name))
    return set_stale (handle, "the entry of its storage key is damaged", error);
  rc = Esys_TR_FromTPMPublic (esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &tr);
  *out_handle = handle;
  *out_gone = rc_get_base (rc) == TPM2_RC_HANDLE;
  if (*out_gone)
    return TRUE;
  if (!rc_check (rc, "reading the storage key", error))
    return FALSE;
  primary = tpm_handle_new (tpm, tr, FALSE);
  if (!rc_check (Esys_TR_GetName (esys, tr, &found), "reading the storage key's name", error))
    return FALSE;
  if (found->size == name.size && memcmp (found->name, name.name, name.size) == 0)
    return TRUE;
  return set_stale (handle, "another storage key is", error);
}

static GPtrArray *
read_primaries (const char *path, GError **error)
{
  g_autoptr (sqlite3) database = store_database_open (path, error);

  return database != NULL ? store_database_list_primaries (database, TRUE, error) : NULL;
}

/* Told before a primary is made again; @func may be NULL. */
typedef struct
{
  PrimaryIntentFunc func;
  gpointer user_data;
} Intent;

/* @restore: NULL: what was evicted is not made again */
static gboolean
check_primaries (Store *self, const char *path, Tpm *tpm, const Intent *restore, GError **error)
{
  g_autoptr (GPtrArray) primaries = read_primaries (path, error);

  if (primaries == NULL)
    return FALSE;
  for (guint i = 0; i < primaries->len; i++)
    {
      TPM2_HANDLE handle = 0;
      gboolean is_gone = FALSE;
      gboolean is_restored = FALSE;

      if (!look_at_primary (tpm, primaries->pdata[i], &handle, &is_gone, error) ||
          (is_gone && restore != NULL &&
           !primary_restore (tpm, self->state_dir, primaries->pdata[i], restore->func,
                             restore->user_data, &is_restored, error)))
        return FALSE;
      if (is_gone && !is_restored)
        return set_stale (handle,
                          restore != NULL
                              ? "there is no storage key, nor does this TPM make the same one"
                              : "there is no storage key",
                          error);
    }
  return TRUE;
}

gboolean
store_check_chip (Store *self, Tpm *tpm, GError **error)
{
  return check_primaries (self, self->database, tpm, NULL, error) && check_lockout (tpm, error);
}

gboolean
store_misses_primary (Store *self, Tpm *tpm)
{
  g_autoptr (GPtrArray) primaries = read_primaries (self->database, NULL);
  gboolean any_is_gone = FALSE;

  for (guint i = 0; primaries != NULL && i < primaries->len; i++)
    {
      TPM2_HANDLE handle = 0;
      gboolean is_gone = FALSE;

      if (!look_at_primary (tpm, primaries->pdata[i], &handle, &is_gone, NULL))
        return FALSE;
      any_is_gone |= is_gone;
    }
  return any_is_gone;
}

gboolean
store_restore_primaries (Store *self, Tpm *tpm, GError **error)
{
  /* The store has them. */
  const Intent restore = { NULL, NULL };

  return check_primaries (self, self->database, tpm, &restore, error);
}

gboolean
store_change_drop_stale_primaries (StoreChange *change, Tpm *tpm, GError **error)
{
  g_autofree char *path =
      g_build_filename (store_change_get_dir (change), STORE_DATABASE_NAME, NULL);
  g_autoptr (sqlite3) database = NULL;
  g_autoptr (GPtrArray) primaries = NULL;

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return TRUE;
  database = store_database_open_copy (path, error);
  primaries = database != NULL ? store_database_list_primaries (database, FALSE, error) : NULL;
  if (primaries == NULL)
    return FALSE;
  for (guint i = 0; i < primaries->len; i++)
    {
      g_autoptr (GError) local_error = NULL;
      TPM2_HANDLE handle = 0;
      gboolean is_gone = FALSE;

      if (look_at_primary (tpm, primaries->pdata[i], &handle, &is_gone, &local_error) && !is_gone)
        continue;
      if (local_error != NULL && !g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_STORE))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
      if (!store_database_remove_primary (database, primaries->pdata[i], error))
        return FALSE;
    }
  return TRUE;
}

gboolean
store_change_check_chip (StoreChange *change,
                         Tpm *tpm,
                         PrimaryIntentFunc intent,
                         gpointer user_data,
                         GError **error)
{
  const Intent restore = { intent, user_data };
  g_autofree char *path =
      g_build_filename (store_change_get_dir (change), STORE_DATABASE_NAME, NULL);

  return check_primaries (store_change_get_store (change), path, tpm, &restore, error);
}
