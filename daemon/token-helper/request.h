/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <json-c/json.h>

#include "token-helper/pkcs11.h"
#include "token/protocol.h"

G_BEGIN_DECLS

/* Request: one job with its members, and what the jobs have in common. */

#define REQUEST_MAX_LABEL 32

typedef enum
{
  MEMBER_TEXT,
  MEMBER_LABEL,
  MEMBER_BYTES,
} MemberKind;

typedef struct
{
  const char *name;
  MemberKind kind;
} Member;

/* Nothing of it is its own. */
typedef struct
{
  Pkcs11 *pkcs11;
  json_object *json;   /* an object */
  Secret *const *pins; /* PROTOCOL_N_PINS */
} Request;

/* All of @members (up to a NULL name) and of @pins (1 << ProtocolPin) are there, and nothing else: before the functions
 * below. Errors: GGTPM_ERROR_INVALID_ARGS. */
gboolean request_check (const Request *request, guint pins, const Member *members, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* Of a member that the table has; owned by the request, or the caller's. */
const char *request_get_text (Request *request, const char *name);
GBytes *request_get_bytes (Request *request, const char *name);

void request_add_text (json_object *answer, const char *name, const char *text);
void request_add_bytes (json_object *answer, const char *name, GBytes *bytes);

/* The member `token` and its PIN: pkcs11_login(). */
gboolean request_login (Request *request,
                        CK_SESSION_HANDLE *out_session,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Of CK_OBJECT_HANDLE: objects of a class, with an id or label if they are not NULL. Free with g_array_unref(). */
GArray *request_find_objects (Pkcs11 *pkcs11,
                              CK_SESSION_HANDLE session,
                              CK_OBJECT_CLASS object_class,
                              GBytes *id,
                              const char *label,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
