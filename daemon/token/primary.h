/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "tpm/tpm.h"

G_BEGIN_DECLS

/*
 * The storage primary (SRK) of the token store: ECC P-256, AES-128-CFB, empty auth, noDA, from the TCG template
 * ("TCG TPM v2.0 Provisioning Guidance", 7.5.1), persistent at 0x81000001 or, where another object is, at the next free
 * handle up to 0x8100000f. Nothing that is there is ever evicted.
 */
#define PRIMARY_FIRST_HANDLE 0x81000001u
#define PRIMARY_LAST_HANDLE  0x8100000fu

/*
 * @state_dir, here and below: where the owner auth is, if it is ours; NULL: it is empty
 *
 * Finds the SRK by its name among the persistent objects, or makes it persistent.
 * @out_handle: where it is
 * @out_blob: Esys_TR_Serialize()'s, for store_change_add_primary()
 * @out_created: whether it was made now
 * @intent: called with the handle, the name, and whether it is to be made now, before EvictControl where that is
 *   needed,
 *   to write the journal; FALSE ends it (may be NULL)
 */
typedef gboolean (*PrimaryIntentFunc) (TPM2_HANDLE handle,
                                       const TPM2B_NAME *name,
                                       gboolean is_new,
                                       gpointer user_data,
                                       GError **error);

gboolean primary_ensure (Tpm *tpm,
                         const char *state_dir,
                         PrimaryIntentFunc intent,
                         gpointer user_data,
                         TPM2_HANDLE *out_handle,
                         GBytes **out_blob,
                         gboolean *out_created,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Handle and name out of Esys_TR_Serialize()'s form; FALSE where it is something else. */
gboolean primary_parse_blob (GBytes *blob, TPM2_HANDLE *out_handle, TPM2B_NAME *out_name);

/*
 * Takes the persistent object of that name at @handle away; nothing where there is none or another one. At most three
 * TPM commands.
 * @out_evicted: whether it was there
 */
gboolean primary_evict (Tpm *tpm,
                        const char *state_dir,
                        TPM2_HANDLE handle,
                        GBytes *name,
                        gboolean *out_evicted,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Makes a primary that somebody has evicted again, at its handle, from the template that its public area tells: as long
 * as the seed of the owner hierarchy is the same, it is the same key.
 * @blob: Esys_TR_Serialize()'s, as the token store has it
 * @intent: as above: before it is made persistent
 * @out_restored: FALSE: another key came out, and was thrown away: the chip was cleared or is another one
 * Errors: GGTPM_ERROR_STORE: @blob is damaged.
 */
gboolean primary_restore (Tpm *tpm,
                          const char *state_dir,
                          GBytes *blob,
                          PrimaryIntentFunc intent,
                          gpointer user_data,
                          gboolean *out_restored,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Parts of the above, for other primaries of the owner hierarchy. NULL with error. */
TpmHandle *primary_make_transient (Tpm *tpm,
                                   const char *state_dir,
                                   const TPM2B_PUBLIC *public_area,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The owner auth is set: primary_make_transient() has done that. */
TpmHandle *primary_make_persistent (Tpm *tpm,
                                    TpmHandle *transient,
                                    TPM2_HANDLE handle,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
TPM2B_NAME *primary_get_name (TpmHandle *object, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
