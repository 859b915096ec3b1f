/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "pin-jobs.h"

static gboolean
log_so_in (Pkcs11 *pkcs11,
           CK_SLOT_ID slot,
           const Secret *so_pin,
           CK_SESSION_HANDLE *out_session,
           GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (pkcs11, error);
  CK_SESSION_HANDLE session = 0;

  if (functions == NULL || !pkcs11_open (pkcs11, slot, &session, error) ||
      !pkcs11_check (
          functions->C_Login (session, CKU_SO, pkcs11_pin (so_pin), secret_get_length (so_pin)),
          "logging in as security officer", error))
    return FALSE;
  *out_session = session;
  return TRUE;
}

gboolean
pin_jobs_init_user_pin (Pkcs11 *pkcs11,
                        CK_SLOT_ID slot,
                        const Secret *so_pin,
                        const Secret *pin,
                        GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (pkcs11, error);
  CK_SESSION_HANDLE session = 0;
  CK_RV rv;

  if (functions == NULL || !log_so_in (pkcs11, slot, so_pin, &session, error))
    return FALSE;
  rv = functions->C_InitPIN (session, pkcs11_pin (pin), secret_get_length (pin));
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
         pin_jobs_init_user_pin (request->pkcs11, slot, request->pins[PROTOCOL_SO_PIN],
                                 request->pins[PROTOCOL_NEW_PIN], error);
}

/* Of whoever is logged in; of the user where nobody is. */
static gboolean
set_pin (Request *request,
         CK_SESSION_HANDLE session,
         const Secret *old_pin,
         const char *what,
         GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (request->pkcs11, error);
  const Secret *new_pin = request->pins[PROTOCOL_NEW_PIN];

  return functions != NULL &&
         pkcs11_check (functions->C_SetPIN (session, pkcs11_pin (old_pin),
                                            secret_get_length (old_pin), pkcs11_pin (new_pin),
                                            secret_get_length (new_pin)),
                       what, error);
}

gboolean
pin_jobs_run_change (Request *request, json_object *answer, GError **error)
{
  CK_SESSION_HANDLE session = 0;

  return request_login (request, &session, error) &&
         set_pin (request, session, request->pins[PROTOCOL_PIN], "changing the user PIN", error);
}

gboolean
pin_jobs_run_change_so (Request *request, json_object *answer, GError **error)
{
  const Secret *so_pin = request->pins[PROTOCOL_SO_PIN];
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
