/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <json-c/json.h>

#include "token-helper/pkcs11.h"
#include "token/protocol.h"

G_BEGIN_DECLS

/*
 * One request of token/protocol.h, which stays the caller's as its @pins do. Returns the answer, the caller's; never
 * NULL.
 */
json_object *jobs_run (Pkcs11 *pkcs11, json_object *request, Secret *const pins[PROTOCOL_N_PINS]);

/* The answer for an error. */
json_object *jobs_answer_error (const GError *error);

G_END_DECLS
