/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "auths.h"

#include "common/atomic-file.h"
#include "dbus/error.h"
#include "rc.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define FILE_NAME "auths"
#define FILE_MODE 0600
#define AUTH_BYTES                                                                                 \
  16 /* twice as many characters: what the auth of a hierarchy may have with SHA-256 */

static const char *const state_names[] = {
  [AUTHS_NONE] = "none",
  [AUTHS_TAKING] = "taking",
  [AUTHS_OWNED] = "owned",
  [AUTHS_RELEASING] = "releasing",
};

/* ---- the file ---- */

void
auths_free (Auths *auths)
{
  if (auths == NULL)
    return;
  secret_free (auths->owner);
  secret_free (auths->lockout);
  g_free (auths);
}

const char *
auths_state_to_string (AuthsState state)
{
  return state_names[state];
}

static char *
get_path (const char *state_dir)
{
  return g_build_filename (state_dir, FILE_NAME, NULL);
}

static AuthsState
parse_state (const char *line, gsize len)
{
  for (AuthsState state = AUTHS_TAKING; state <= AUTHS_RELEASING; state++)
    if (strlen (state_names[state]) == len && strncmp (line, state_names[state], len) == 0)
      return state;
  return AUTHS_NONE;
}

/* `NAME: VALUE` lines; others are comments. */
static void
take_line (Auths *auths, const char *line, gsize len)
{
  static const char owner[] = "owner-auth: ", lockout[] = "lockout-auth: ", state[] = "state: ";

  if (g_str_has_prefix (line, owner) && auths->owner == NULL)
    auths->owner = secret_new (line + strlen (owner), len - strlen (owner));
  else if (g_str_has_prefix (line, lockout) && auths->lockout == NULL)
    auths->lockout = secret_new (line + strlen (lockout), len - strlen (lockout));
  else if (g_str_has_prefix (line, state))
    auths->state = parse_state (line + strlen (state), len - strlen (state));
  else if (len == strlen ("exported: yes") && g_str_has_prefix (line, "exported: yes"))
    auths->exported = TRUE;
}

static gboolean
is_auth (const Secret *secret)
{
  return secret != NULL && secret_get_length (secret) == 2 * AUTH_BYTES;
}

Auths *
auths_load (const char *state_dir, GError **error)
{
  g_autofree char *path = get_path (state_dir);
  g_autoptr (Auths) auths = g_new0 (Auths, 1);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Secret) text = secret_read_file (path, &local_error);

  if (text == NULL)
    {
      if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
        return g_steal_pointer (&auths);
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_STORE, local_error->message);
      return NULL;
    }
  for (const char *line = secret_peek (text); *line != '\0';)
    {
      gsize len = strcspn (line, "\n");

      take_line (auths, line, len);
      line += len + (line[len] == '\n');
    }
  if (auths->state != AUTHS_NONE && is_auth (auths->owner) && is_auth (auths->lockout))
    return g_steal_pointer (&auths);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE,
               "%s is damaged: put the exported auths there, or remove it if none are set", path);
  return NULL;
}

static Secret *
make_text (const Auths *auths, const char *head)
{
  char buffer[512];
  int len = g_snprintf (buffer, sizeof buffer,
                        "%sowner-auth: %s\nlockout-auth: %s\nstate: %s\nexported: %s\n", head,
                        secret_peek (auths->owner), secret_peek (auths->lockout),
                        state_names[auths->state], auths->exported ? "yes" : "no");
  Secret *text = secret_new_take (buffer, (gsize)len);

  secret_wipe (buffer, sizeof buffer);
  return text;
}

Secret *
auths_describe (const Auths *auths)
{
  return make_text (
      auths,
      "# Auths of the TPM's owner and lockout hierarchies, set by ggtpmd: as they are, no hex.\n"
      "# This is a copy of " FILE_NAME " in its state directory.\n");
}

gboolean
auths_save (const Auths *auths, const char *state_dir, GError **error)
{
  g_autofree char *path = get_path (state_dir);
  g_autoptr (Secret) text = make_text (auths, "");
  g_autoptr (GError) local_error = NULL;

  if (secret_write_file (text, path, FILE_MODE, (gid_t)-1, &local_error))
    return TRUE;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_STORE, local_error->message);
  return FALSE;
}

static gboolean
remove_auths (const char *state_dir, GError **error)
{
  g_autofree char *path = get_path (state_dir);
  g_autoptr (GError) local_error = NULL;

  if (g_unlink (path) < 0 && errno != ENOENT)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "cannot remove %s: %s", path,
                   g_strerror (errno));
      return FALSE;
    }
  if (atomic_file_sync_dir (state_dir, &local_error))
    return TRUE;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_STORE, local_error->message);
  return FALSE;
}

gboolean
auths_know_lockout (const char *state_dir)
{
  g_autoptr (Auths) auths = auths_load (state_dir, NULL);

  return auths != NULL && auths->state != AUTHS_NONE;
}

/* ---- using them ---- */

/* @auth: NULL: the empty one */
static gboolean
set_auth (Tpm *tpm, ESYS_TR hierarchy, const Secret *auth, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  TPM2B_AUTH value = { 0 };
  TSS2_RC rc;

  if (esys == NULL)
    return FALSE;
  if (auth != NULL)
    {
      value.size = (UINT16)secret_get_length (auth);
      memcpy (value.buffer, secret_peek (auth), value.size);
    }
  rc = Esys_TR_SetAuth (esys, hierarchy, &value);
  secret_wipe (&value, sizeof value);
  return rc_check (rc, "using an auth of a hierarchy", error);
}

gboolean
auths_use_owner (Tpm *tpm, const char *state_dir, GError **error)
{
  g_autoptr (Auths) auths = state_dir != NULL ? auths_load (state_dir, error) : g_new0 (Auths, 1);
  VariableProperties variable;
  gboolean is_set;

  if (auths == NULL)
    return FALSE;
  if (auths->state == AUTHS_NONE)
    return set_auth (tpm, ESYS_TR_RH_OWNER, NULL, error);
  if (!properties_read_variable (tpm, &variable, error))
    return FALSE;
  is_set = (variable.permanent & TPMA_PERMANENT_OWNERAUTHSET) != 0;
  return set_auth (tpm, ESYS_TR_RH_OWNER, is_set ? auths->owner : NULL, error);
}

/* By a trial session, in which TPM2_PolicySecret does nothing but look at the auth. */
static gboolean
prove_owner (Tpm *tpm, GError **error)
{
  static const TPMT_SYM_DEF no_cipher = { .algorithm = TPM2_ALG_NULL };
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  g_autoptr (TpmHandle) session = NULL;
  ESYS_TR tr = ESYS_TR_NONE;

  if (esys == NULL ||
      !rc_check (Esys_StartAuthSession (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                        ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_TRIAL, &no_cipher,
                                        TPM2_ALG_SHA256, &tr),
                 "proving the owner auth", error))
    return FALSE;
  session = tpm_handle_new (tpm, tr, TRUE);
  return rc_check (Esys_PolicySecret (esys, ESYS_TR_RH_OWNER, tr, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                      ESYS_TR_NONE, NULL, NULL, NULL, 0, NULL, NULL),
                   "proving the owner auth", error);
}

static gboolean
set_unknown (const VariableProperties *variable, const char *why, GError **error)
{
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED,
               "a lockout auth is set that ggtpmd does not know%s; nothing was sent, because one "
               "wrong try would lock the lockout hierarchy for %u s",
               why, variable->lockout_recovery);
  return FALSE;
}

gboolean
auths_use_lockout (Tpm *tpm,
                   const char *state_dir,
                   const VariableProperties *variable,
                   GError **error)
{
  g_autoptr (Auths) auths = NULL;
  g_autoptr (GError) local_error = NULL;

  if ((variable->permanent & TPMA_PERMANENT_LOCKOUTAUTHSET) == 0)
    return set_auth (tpm, ESYS_TR_RH_LOCKOUT, NULL, error);
  auths = auths_load (state_dir, error);
  if (auths == NULL)
    return FALSE;
  if (auths->state == AUTHS_NONE)
    return set_unknown (variable, "", error);
  if ((variable->permanent & TPMA_PERMANENT_OWNERAUTHSET) == 0)
    return set_unknown (variable, ": the owner auth that was set with it is gone", error);
  if (set_auth (tpm, ESYS_TR_RH_OWNER, auths->owner, &local_error) &&
      prove_owner (tpm, &local_error))
    return set_auth (tpm, ESYS_TR_RH_LOCKOUT, auths->lockout, error);
  if (g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED))
    return set_unknown (variable, ": the stored owner auth is not this chip's", error);
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* ---- taking and giving back ---- */

static gboolean
change_auth (Tpm *tpm, ESYS_TR hierarchy, const Secret *auth, const char *what, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  TPM2B_AUTH value = { 0 };
  TSS2_RC rc;

  if (esys == NULL)
    return FALSE;
  if (auth != NULL)
    {
      value.size = (UINT16)secret_get_length (auth);
      memcpy (value.buffer, secret_peek (auth), value.size);
    }
  rc = Esys_HierarchyChangeAuth (esys, hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                                 &value);
  secret_wipe (&value, sizeof value);
  return rc_check (rc, what, error);
}

static gboolean
draw (Tpm *tpm, Auths *auths, GError **error)
{
  g_autofree guint8 *mix = tpm_get_random (tpm, 2 * AUTH_BYTES, error);

  if (mix == NULL)
    return FALSE;
  secret_free (auths->owner);
  secret_free (auths->lockout);
  auths->owner = secret_new_random_hex (AUTH_BYTES, mix, AUTH_BYTES);
  auths->lockout = secret_new_random_hex (AUTH_BYTES, mix + AUTH_BYTES, AUTH_BYTES);
  auths->exported = FALSE;
  secret_wipe (mix, 2 * AUTH_BYTES);
  if (auths->owner != NULL && auths->lockout != NULL)
    return TRUE;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                       "the kernel gives no random numbers");
  return FALSE;
}

static gboolean
set_state (Auths *auths, const char *state_dir, AuthsState state, GError **error)
{
  auths->state = state;
  return auths_save (auths, state_dir, error);
}

gboolean
auths_take_ownership (Tpm *tpm, const char *state_dir, gboolean *out_changed, GError **error)
{
  g_autoptr (Auths) auths = auths_load (state_dir, error);
  VariableProperties variable;
  gboolean has_owner, has_lockout;

  if (auths == NULL || !properties_read_variable (tpm, &variable, error))
    return FALSE;
  has_owner = (variable.permanent & TPMA_PERMANENT_OWNERAUTHSET) != 0;
  has_lockout = (variable.permanent & TPMA_PERMANENT_LOCKOUTAUTHSET) != 0;
  *out_changed = auths->state != AUTHS_OWNED || !has_owner || !has_lockout;
  if (!*out_changed)
    return TRUE;
  if (auths->state == AUTHS_NONE && (has_owner || has_lockout))
    {
      g_set_error (
          error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
          "the %s hierarchy has an auth that ggtpmd does not know: whoever has set it has to "
          "empty it first (tpm2_changeauth)",
          has_owner ? "owner" : "lockout");
      return FALSE;
    }
  /* A chip that was cleared gets new ones: those of before may have been given out. */
  if ((auths->state == AUTHS_NONE || (!has_owner && !has_lockout && auths->state == AUTHS_OWNED)) &&
      !draw (tpm, auths, error))
    return FALSE;
  return set_state (auths, state_dir, AUTHS_TAKING, error) &&
         (has_owner ||
          (set_auth (tpm, ESYS_TR_RH_OWNER, NULL, error) &&
           change_auth (tpm, ESYS_TR_RH_OWNER, auths->owner, "setting the owner auth", error))) &&
         (has_lockout || (set_auth (tpm, ESYS_TR_RH_LOCKOUT, NULL, error) &&
                          change_auth (tpm, ESYS_TR_RH_LOCKOUT, auths->lockout,
                                       "setting the lockout auth", error))) &&
         set_state (auths, state_dir, AUTHS_OWNED, error);
}

gboolean
auths_release_ownership (Tpm *tpm, const char *state_dir, GError **error)
{
  g_autoptr (Auths) auths = auths_load (state_dir, error);
  VariableProperties variable;

  if (auths == NULL || !properties_read_variable (tpm, &variable, error))
    return FALSE;
  if (auths->state == AUTHS_NONE)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND,
                           "ggtpmd has set no owner and lockout auth");
      return FALSE;
    }
  return set_state (auths, state_dir, AUTHS_RELEASING, error) &&
         ((variable.permanent & TPMA_PERMANENT_LOCKOUTAUTHSET) == 0 ||
          (auths_use_lockout (tpm, state_dir, &variable, error) &&
           change_auth (tpm, ESYS_TR_RH_LOCKOUT, NULL, "emptying the lockout auth", error))) &&
         ((variable.permanent & TPMA_PERMANENT_OWNERAUTHSET) == 0 ||
          (auths_use_owner (tpm, state_dir, error) &&
           change_auth (tpm, ESYS_TR_RH_OWNER, NULL, "emptying the owner auth", error))) &&
         remove_auths (state_dir, error);
}

gboolean
auths_resume (Tpm *tpm, const char *state_dir, GError **error)
{
  g_autoptr (Auths) auths = auths_load (state_dir, error);
  gboolean changed = FALSE;

  if (auths == NULL)
    return FALSE;
  switch (auths->state)
    {
    case AUTHS_TAKING:
      return auths_take_ownership (tpm, state_dir, &changed, error);
    case AUTHS_RELEASING:
      return auths_release_ownership (tpm, state_dir, error);
    case AUTHS_NONE:
    case AUTHS_OWNED:
    default:
      return TRUE;
    }
}
