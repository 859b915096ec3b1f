/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "broker/chip-commands.h"

#include <glib.h>

G_BEGIN_DECLS

/*
 * FakeTpm: the memory of a TPM 2.0 without its cryptography, for tests of the resource manager: slots, contexts, the
 * gap of session contexts, and every way to fail. Each object has a number; TPM2_Sign answers with that of its key, so
 * that a test sees which object was used. An object's number is drawn from a counter when it is made.
 */
typedef struct _FakeTpm FakeTpm;

#define FAKE_TPM_MAX_SESSIONS 64

/* @gap: how far the counter of session contexts may run ahead of the oldest. */
FakeTpm *fake_tpm_new (guint n_objects, guint n_loaded_sessions, guint gap);
void fake_tpm_free (FakeTpm *tpm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FakeTpm, fake_tpm_free)

/* For resource_manager_new(). */
ChipBelow fake_tpm_get_chip (FakeTpm *tpm);

/* Power off and on: the next command must be TPM2_Startup. */
void fake_tpm_reset (FakeTpm *tpm);
/* As after TPM2_Shutdown(STATE): what has been saved is still good (TPM Restart). */
void fake_tpm_restart (FakeTpm *tpm);
/* Failure mode: nothing but TPM2_GetCapability and TPM2_GetTestResult. */
void fake_tpm_set_broken (FakeTpm *tpm, gboolean broken);

/* Commands so far; @code: of one kind, or 0. */
guint fake_tpm_count (const FakeTpm *tpm, guint32 code);
void fake_tpm_reset_counts (FakeTpm *tpm);

guint fake_tpm_n_objects (const FakeTpm *tpm);
guint fake_tpm_n_loaded_sessions (const FakeTpm *tpm);
guint fake_tpm_n_active_sessions (const FakeTpm *tpm);
gboolean fake_tpm_has_object (const FakeTpm *tpm, guint32 handle);
gboolean fake_tpm_has_loaded_session (const FakeTpm *tpm, guint32 handle);

/*
 * The @n-th command from now (1: the next) fails.
 * @tcti: TRUE: @rc comes from the TCTI, and the command has been carried out or not (@carried_out); FALSE: @rc is the
 * TPM's answer, to a command that it has not carried out
 */
void fake_tpm_fail (FakeTpm *tpm, guint n, gboolean tcti, gboolean carried_out, TSS2_RC rc);

/* Commands for tests: written into @data, size returned. */
gsize fake_tpm_put_create_primary (guint8 *data);
gsize fake_tpm_put_create_primary_in (guint8 *data, guint32 hierarchy);
gsize fake_tpm_put_hierarchy_control (guint8 *data, guint32 hierarchy, gboolean enabled);
gsize fake_tpm_put_load (guint8 *data, guint32 parent);
gsize fake_tpm_put_sign (guint8 *data, guint32 key, guint32 session, gboolean continue_session);
gsize fake_tpm_put_start_session (guint8 *data, gboolean policy);
gsize fake_tpm_put_handle (guint8 *data, guint32 code, guint32 handle);
gsize fake_tpm_put_simple (guint8 *data, guint32 code);
gsize fake_tpm_put_capability (guint8 *data, guint32 capability, guint32 property, guint32 count);
gsize fake_tpm_put_context_load (guint8 *data, const guint8 *context, gsize size);

G_END_DECLS
