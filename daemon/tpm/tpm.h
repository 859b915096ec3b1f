/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>
#include <tss2/tss2_esys.h>

G_BEGIN_DECLS

/*
 * Tpm: an ESYS context over a connection of the broker. One thread at a time. The context is made at first use, so that
 * an operation that needs no chip costs none.
 */
typedef struct _Tpm Tpm;

/* Returns a connected stream socket that talks TPM framing, the caller's; -1 with @error. Called from any thread. */
typedef int (*TpmConnect) (gpointer user_data, GError **error);

Tpm *tpm_new (TpmConnect connect, gpointer user_data);
void tpm_free (Tpm *tpm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Tpm, tpm_free)

/* The context, owned by @tpm. Errors: GGTPM_ERROR_UNAVAILABLE. */
ESYS_CONTEXT *tpm_get_esys (Tpm *tpm, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Closes the connection; the next tpm_get_esys() makes a new one. With it goes whatever was left in the chip. An ESYS
 * context is of no use after some errors, so the worker does this after every operation that failed; an operation
 * that swallows an error does it itself. No TpmHandle may be alive.
 */
void tpm_disconnect (Tpm *tpm);

/*
 * TpmHandle: an ESYS_TR with its context. Freeing it flushes a transient object or session from the chip, and only
 * closes a persistent one. Must be freed before its Tpm.
 */
typedef struct
{
  Tpm *tpm;
  ESYS_TR tr;
  gboolean flush;
} TpmHandle;

TpmHandle *tpm_handle_new (Tpm *tpm, ESYS_TR tr, gboolean flush);
void tpm_handle_free (TpmHandle *handle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TpmHandle, tpm_handle_free)

/* Esys_Free() for what ESYS allocates. */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TPMS_CAPABILITY_DATA, Esys_Free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TPMS_TIME_INFO, Esys_Free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TPM2B_PUBLIC, Esys_Free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TPM2B_NAME, Esys_Free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TPM2B_DIGEST, Esys_Free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TPM2B_MAX_BUFFER, Esys_Free)

/* @n bytes from TPM2_GetRandom, in as many commands as that takes. Free with g_free(). */
guint8 *tpm_get_random (Tpm *tpm, gsize n, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
