/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "lockout.h"

#include "common/atomic-file.h"
#include "dbus/error.h"
#include "tpm/auths.h"
#include "tpm/rc.h"

#include <glib/gstdio.h>

#define FILE_NAME      "lockout"
#define GROUP          "Refused"
#define KEY_CODE       "Code"
#define KEY_TIME       "Time"
#define KEY_RECOVERY   "RecoverySec"
#define FILE_MODE      0600
#define TIME_PLACES_IN "ggtpmd may try again in %" G_GINT64_FORMAT " s"

static char *
get_path (const char *state_dir)
{
  return g_build_filename (state_dir, FILE_NAME, NULL);
}

gboolean
lockout_record_load (const char *state_dir, LockoutRecord *out, GError **error)
{
  g_autofree char *path = get_path (state_dir);
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local_error = NULL;
  LockoutRecord record = { 0 };

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &local_error))
    {
      if (!g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        {
          g_propagate_prefixed_error (error, g_steal_pointer (&local_error), "%s: ", path);
          return FALSE;
        }
      *out = record;
      return TRUE;
    }
  record.refused = (TPM2_RC)g_key_file_get_uint64 (file, GROUP, KEY_CODE, &local_error);
  if (local_error == NULL)
    record.refused_at = g_key_file_get_int64 (file, GROUP, KEY_TIME, &local_error);
  if (local_error == NULL)
    record.recovery = (guint32)g_key_file_get_uint64 (file, GROUP, KEY_RECOVERY, &local_error);
  if (local_error != NULL)
    {
      g_propagate_prefixed_error (error, g_steal_pointer (&local_error), "%s: ", path);
      return FALSE;
    }
  *out = record;
  return TRUE;
}

static gboolean
save (const char *state_dir, const LockoutRecord *record, GError **error)
{
  g_autofree char *path = get_path (state_dir);
  g_autofree char *text = NULL;
  g_autoptr (GKeyFile) file = g_key_file_new ();
  gsize len;

  g_key_file_set_comment (
      file, NULL, NULL,
      " The TPM has refused a reset of its lockout. ggtpmd does not try again as long as\n"
      " this file says so; remove it when the lockout auth is known to be empty.",
      NULL);
  g_key_file_set_uint64 (file, GROUP, KEY_CODE, record->refused);
  g_key_file_set_int64 (file, GROUP, KEY_TIME, record->refused_at);
  g_key_file_set_uint64 (file, GROUP, KEY_RECOVERY, record->recovery);
  text = g_key_file_to_data (file, &len, NULL);
  return atomic_file_write (path, text, len, FILE_MODE, (gid_t)-1, error);
}

static void
forget (const char *state_dir, LockoutRecord *record)
{
  g_autofree char *path = get_path (state_dir);

  /* A record that cannot be removed is read at the next start, and keeps us from sending: the safe side. */
  if (record->refused != 0)
    g_unlink (path);
  *record = (LockoutRecord){ 0 };
}

/*
 * Part 1, 19.8: 0x921 on the lockout hierarchy ends after LOCKOUT_RECOVERY seconds, where that is 0 with a TPM reset. A
 * refused auth (0x98e, 0x9a2) does not get right by waiting.
 */
static gboolean
has_expired (const LockoutRecord *record, gint64 now, gboolean tpm_was_reset)
{
  if (rc_get_base (record->refused) != TPM2_RC_LOCKOUT)
    return FALSE;
  if (record->recovery == 0)
    return tpm_was_reset;
  return now - record->refused_at >= (gint64)record->recovery;
}

gint64
lockout_record_get_end (const LockoutRecord *record)
{
  if (rc_get_base (record->refused) != TPM2_RC_LOCKOUT || record->recovery == 0)
    return 0;
  return record->refused_at + (gint64)record->recovery;
}

gboolean
lockout_may_reset (const LockoutRecord *record,
                   gboolean auth_known,
                   const VariableProperties *variable,
                   gint64 now,
                   gboolean tpm_was_reset,
                   GError **error)
{
  g_autofree char *when = NULL;

  if ((variable->permanent & TPMA_PERMANENT_LOCKOUTAUTHSET) != 0 && !auth_known)
    {
      g_set_error (
          error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED,
          "a lockout auth is set that ggtpmd does not know; nothing was sent, because one wrong try "
          "would lock the lockout hierarchy for %u s",
          variable->lockout_recovery);
      return FALSE;
    }
  if (record->refused == 0 || has_expired (record, now, tpm_was_reset))
    return TRUE;

  if (rc_get_base (record->refused) != TPM2_RC_LOCKOUT)
    when = g_strdup ("ggtpmd does not try again until the lockout auth was set anew or `" FILE_NAME
                     "` in its state directory was removed");
  else if (record->recovery == 0)
    when = g_strdup ("ggtpmd tries again after the device was switched off and on");
  else
    when = g_strdup_printf (TIME_PLACES_IN, record->refused_at + (gint64)record->recovery - now);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT,
               "the TPM has refused to reset the lockout before (0x%08x); %s", record->refused,
               when);
  return FALSE;
}

/* The chip has looked at the auth and has said no; a full queue or a broken wire is no refusal. */
static gboolean
is_refusal (TSS2_RC rc)
{
  switch (rc_get_base (rc))
    {
    case TPM2_RC_AUTH_FAIL: /* 0x98e: wrong auth; the lockout hierarchy is locked from now on */
    case TPM2_RC_BAD_AUTH:  /* 0x9a2: wrong auth, without that */
    case TPM2_RC_LOCKOUT:   /* 0x921: it was locked already */
    case TPM2_RC_AUTH_TYPE:
    case TPM2_RC_AUTH_UNAVAILABLE:
    case TPM2_RC_POLICY_FAIL:
      return TRUE;
    default:
      return FALSE;
    }
}

gboolean
lockout_reset (Tpm *tpm,
               const char *state_dir,
               const VariableProperties *variable,
               gint64 now,
               LockoutRecord *inout_record,
               GError **error)
{
  g_autoptr (GError) save_error = NULL;
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  TSS2_RC rc;

  if (esys == NULL || !auths_use_lockout (tpm, state_dir, variable, error))
    return FALSE;
  rc = Esys_DictionaryAttackLockReset (esys, ESYS_TR_RH_LOCKOUT, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                       ESYS_TR_NONE);
  if (rc == TSS2_RC_SUCCESS)
    {
      forget (state_dir, inout_record);
      return TRUE;
    }
  if (is_refusal (rc))
    {
      *inout_record = (LockoutRecord){
        .refused = rc,
        .refused_at = now,
        .recovery = variable->lockout_recovery,
      };
      if (!save (state_dir, inout_record, &save_error))
        g_warning ("a restart of ggtpmd will not know that the lockout reset was refused: %s",
                   save_error->message);
    }
  return rc_check (rc, "resetting the lockout counter", error);
}

void
lockout_forget_if_moot (const char *state_dir,
                        gboolean auth_known,
                        const VariableProperties *variable,
                        LockoutRecord *inout_record)
{
  if ((variable->permanent & TPMA_PERMANENT_LOCKOUTAUTHSET) != 0 && !auth_known)
    forget (state_dir, inout_record);
}
