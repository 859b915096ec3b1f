/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>
#include <p11-kit/pkcs11.h>

#include "common/secret.h"

G_BEGIN_DECLS

/*
 * Pkcs11: the loaded module (dlopen, never linked: libtpm2_pkcs11 exports hundreds of names) and the one session per
 * token that the jobs share. Single-threaded. Errors: pkcs11_check()'s, unless said.
 */
typedef struct _Pkcs11 Pkcs11;

/* Loads @path; C_Initialize follows at the first use, and reads the store. Errors: GGTPM_ERROR_FAILED. */
Pkcs11 *pkcs11_new (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Closes the sessions, C_Finalize; the next call of another function begins anew. */
void pkcs11_close (Pkcs11 *self);
void pkcs11_free (Pkcs11 *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Pkcs11, pkcs11_free)

/* The one place where a CK_RV becomes a GError: `WHAT: CKR_NAME (0x000000a0): meaning`. */
gboolean pkcs11_check (CK_RV rv, const char *what, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same for the last call of an operation. libtpm2_pkcs11 1.9 leaves one that failed active, and its session then
 * refuses everything (CKR_OPERATION_ACTIVE): after a failure all is closed, as by pkcs11_close(). */
gboolean pkcs11_check_last (Pkcs11 *self, CK_RV rv, const char *what, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* C_Initialize at the first call. The function table, owned by @self. */
CK_FUNCTION_LIST *pkcs11_get_functions (Pkcs11 *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Of CK_SLOT_ID: slots with an initialised token, or without. Free with g_array_unref(). */
GArray *
pkcs11_list_slots (Pkcs11 *self, gboolean initialised, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Errors: GGTPM_ERROR_NOT_FOUND. */
gboolean pkcs11_find_slot (Pkcs11 *self, const char *token, CK_SLOT_ID *out_slot, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
/* A fixed-width field without its padding of NULs or blanks; free with g_free(). */
char *pkcs11_trim (const CK_UTF8CHAR *field, gsize len);

/* A read-write session, opened at first use and kept. */
gboolean pkcs11_open (Pkcs11 *self, CK_SLOT_ID slot, CK_SESSION_HANDLE *out_session, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
/* As PKCS#11's functions want it; of secret_get_length() bytes, which they leave as they are. */
CK_UTF8CHAR *pkcs11_pin (const Secret *pin);
/*
 * The session of @token with the user logged in. A PIN that has been accepted is remembered (as a keyed hash) and costs
 * no second login; any other one logs the user out first and is tried, once.
 */
gboolean pkcs11_login (Pkcs11 *self,
                       const char *token,
                       const Secret *pin,
                       CK_SESSION_HANDLE *out_session,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * For a key and the login that has found it: what it is used by again without a PIN. The same for the same key; no
 * number is used twice. It ends with pkcs11_close(), with that login, and when anybody changes the database.
 */
guint64 pkcs11_issue_ticket (Pkcs11 *self, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);
/* Errors: GGTPM_ERROR_AUTH_REQUIRED. */
gboolean pkcs11_redeem_ticket (Pkcs11 *self,
                               guint64 number,
                               CK_SESSION_HANDLE *out_session,
                               CK_OBJECT_HANDLE *out_object,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Of CK_OBJECT_HANDLE; @template has @n attributes. Free with g_array_unref(). */
GArray *pkcs11_find (Pkcs11 *self,
                     CK_SESSION_HANDLE session,
                     CK_ATTRIBUTE *template,
                     CK_ULONG n,
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* NULL without error where the object does not have it. */
GBytes *pkcs11_get_attribute (Pkcs11 *self,
                              CK_SESSION_HANDLE session,
                              CK_OBJECT_HANDLE object,
                              CK_ATTRIBUTE_TYPE type);

G_END_DECLS
