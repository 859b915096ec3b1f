/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "token-helper/request.h"

G_BEGIN_DECLS

/* Jobs on a key that is there (token/protocol.h). Errors: GGTPM_ERROR_NOT_FOUND, and pkcs11_check()'s. */
gboolean key_jobs_run_delete (Request *request, json_object *answer, GError **error);
gboolean key_jobs_run_rename (Request *request, json_object *answer, GError **error);
gboolean key_jobs_run_decrypt (Request *request, json_object *answer, GError **error);

/* The private key of an id. */
gboolean key_jobs_find_private (Request *request,
                                CK_SESSION_HANDLE session,
                                GBytes *id,
                                CK_OBJECT_HANDLE *out_object,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
