/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "token-helper/request.h"

G_BEGIN_DECLS

/* Jobs that change PINs (token/protocol.h). Each tries the PIN that it is given once. */
gboolean pin_jobs_run_change (Request *request, json_object *answer, GError **error);
gboolean pin_jobs_run_init (Request *request, json_object *answer, GError **error);
gboolean pin_jobs_run_change_so (Request *request, json_object *answer, GError **error);

/* A new user PIN, by the security officer, who is logged in for it and out again. */
gboolean pin_jobs_init_user_pin (Pkcs11 *pkcs11,
                                 CK_SLOT_ID slot,
                                 const Secret *so_pin,
                                 const Secret *pin,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
