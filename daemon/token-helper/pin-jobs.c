/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "pin-jobs.h"

#include "token/protocol.h"

#include <string.h>

static gboolean
log_so_in (Pkcs11 *pkcs11,
           CK_SLOT_ID slot,
           const char *so_pin,
           CK_SESSION_HANDLE *out_session,
           GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (pkcs11, error);
  CK_SESSION_HANDLE session = 0;

  if (functions == NULL || !pkcs11_open (pkcs11, slot, &session, error) ||
      !pkcs11_check (functions->C_Login (session, CKU_SO, (CK_UTF8CHAR *)so_pin, strlen (so_pin)),
                     "logging in as security officer", error))
    return FALSE;
  *out_session = session;
  return TRUE;
}

gboolean
pin_jobs_init_user_pin (Pkcs11 *pkcs11,
                        CK_SLOT_ID slot,
                        const char *so_pin,
                        const char *pin,
                        GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (pkcs11, error);
  CK_SESSION_HANDLE session = 0;
  CK_RV rv;

  if (functions == NULL || !log_so_in (pkcs11, slot, so_pin, &session, error))
    return FALSE;
  rv = functions->C_InitPIN (session, (CK_UTF8CHAR *)pin, strlen (pin));
  functions->C_Logout (session);
  return pkcs11_check (rv, "setting the user PIN", error);
}

static gboolean
find_slot (Request *request, CK_SLOT_ID *out_slot, GError **error)
{
  return pkcs11_find_slot (request->pkcs11, request_get_text (request, "token"), out_slot, error);
}

gboolean
pin_jobs_run_init (Request *request, json_object *answer, GError **error)
{
  CK_SLOT_ID slot = 0;

  return find_slot (request, &slot, error) &&
         pin_jobs_init_user_pin (request->pkcs11, slot,
                                 request_get_text (request, PROTOCOL_MEMBER_SO_PIN),
                                 request_get_text (request, PROTOCOL_MEMBER_NEW_PIN), error);
}

/* Of whoever is logged in; of the user where nobody is. */
static gboolean
set_pin (Request *request,
         CK_SESSION_HANDLE session,
         const char *old_pin,
         const char *what,
         GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (request->pkcs11, error);
  const char *new_pin = request_get_text (request, PROTOCOL_MEMBER_NEW_PIN);

  return functions != NULL &&
         pkcs11_check (functions->C_SetPIN (session, (CK_UTF8CHAR *)old_pin, strlen (old_pin),
                                            (CK_UTF8CHAR *)new_pin, strlen (new_pin)),
                       what, error);
}

gboolean
pin_jobs_run_change (Request *request, json_object *answer, GError **error)
{
  CK_SESSION_HANDLE session = 0;

  return request_login (request, &session, error) &&
         set_pin (request, session, request_get_text (request, PROTOCOL_MEMBER_PIN),
                  "changing the user PIN", error);
}

gboolean
pin_jobs_run_change_so (Request *request, json_object *answer, GError **error)
{
  const char *so_pin = request_get_text (request, PROTOCOL_MEMBER_SO_PIN);
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (request->pkcs11, error);
  CK_SESSION_HANDLE session = 0;
  CK_SLOT_ID slot = 0;
  gboolean changed;

  if (functions == NULL || !find_slot (request, &slot, error) ||
      !log_so_in (request->pkcs11, slot, so_pin, &session, error))
    return FALSE;
  changed = set_pin (request, session, so_pin, "changing the SO PIN", error);
  functions->C_Logout (session);
  return changed;
}
