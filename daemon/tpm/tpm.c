/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "tpm.h"

#include "client/tcti/tcti-ggtpm.h"
#include "dbus/error.h"
#include "rc.h"

#include <glib/gstdio.h>

struct _Tpm
{
  TpmConnect connect;
  gpointer user_data;
  TSS2_TCTI_CONTEXT *tcti;
  ESYS_CONTEXT *esys;
};

Tpm *
tpm_new (TpmConnect connect, gpointer user_data)
{
  Tpm *tpm = g_new0 (Tpm, 1);

  g_return_val_if_fail (connect != NULL, NULL);

  tpm->connect = connect;
  tpm->user_data = user_data;
  return tpm;
}

void
tpm_disconnect (Tpm *tpm)
{
  g_return_if_fail (tpm != NULL);

  Esys_Finalize (&tpm->esys);
  if (tpm->tcti != NULL)
    Tss2_Tcti_Finalize (tpm->tcti);
  g_clear_pointer (&tpm->tcti, g_free);
}

void
tpm_free (Tpm *tpm)
{
  if (tpm == NULL)
    return;
  tpm_disconnect (tpm);
  g_free (tpm);
}

/* @fd: taken also on failure */
static TSS2_TCTI_CONTEXT *
new_tcti (int fd, GError **error)
{
  g_autofree TSS2_TCTI_CONTEXT *tcti = NULL;
  gsize size = 0;

  if (rc_check (tcti_ggtpm_init_fd (NULL, &size, fd), "connecting to the TPM", error))
    {
      tcti = g_malloc0 (size);
      if (rc_check (tcti_ggtpm_init_fd (tcti, &size, fd), "connecting to the TPM", error))
        return g_steal_pointer (&tcti);
    }
  g_close (fd, NULL);
  return NULL;
}

static gboolean
connect_esys (Tpm *tpm, GError **error)
{
  int fd = tpm->connect (tpm->user_data, error);

  if (fd < 0)
    return FALSE;
  tpm->tcti = new_tcti (fd, error);
  if (tpm->tcti == NULL)
    return FALSE;
  if (!rc_check (Esys_Initialize (&tpm->esys, tpm->tcti, NULL), "initialising ESYS", error))
    {
      tpm_disconnect (tpm);
      return FALSE;
    }
  return TRUE;
}

ESYS_CONTEXT *
tpm_get_esys (Tpm *tpm, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  g_return_val_if_fail (tpm != NULL, NULL);

  if (tpm->esys == NULL && !connect_esys (tpm, &local_error))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE, "the TPM cannot be used: %s",
                   local_error->message);
      return NULL;
    }
  return tpm->esys;
}

TpmHandle *
tpm_handle_new (Tpm *tpm, ESYS_TR tr, gboolean flush)
{
  TpmHandle *handle;

  g_return_val_if_fail (tpm != NULL && tpm->esys != NULL, NULL);

  handle = g_new0 (TpmHandle, 1);
  handle->tpm = tpm;
  handle->tr = tr;
  handle->flush = flush;
  return handle;
}

void
tpm_handle_free (TpmHandle *handle)
{
  if (handle == NULL)
    return;
  /* Where it fails, the connection is broken and takes the object with it. */
  if (handle->tr != ESYS_TR_NONE && handle->tpm->esys != NULL &&
      (!handle->flush || Esys_FlushContext (handle->tpm->esys, handle->tr) != TSS2_RC_SUCCESS))
    Esys_TR_Close (handle->tpm->esys, &handle->tr);
  g_free (handle);
}

guint8 *
tpm_get_random (Tpm *tpm, gsize n, GError **error)
{
  g_autofree guint8 *bytes = g_malloc (MAX (n, 1));
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);

  for (gsize have = 0; esys != NULL && have < n;)
    {
      g_autoptr (TPM2B_DIGEST) digest = NULL;
      guint16 wanted = (guint16)MIN (n - have, sizeof (digest->buffer));

      if (!rc_check (
              Esys_GetRandom (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, wanted, &digest),
              "getting random bytes", error))
        return NULL;
      if (digest->size == 0 || digest->size > wanted)
        {
          g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE,
                       "getting random bytes: asked for %u, the TPM sent %u", wanted, digest->size);
          return NULL;
        }
      memcpy (bytes + have, digest->buffer, digest->size);
      have += digest->size;
    }
  return esys != NULL ? g_steal_pointer (&bytes) : NULL;
}
