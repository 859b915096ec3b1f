/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "jobs.h"

#include "dbus/error.h"
#include "token-helper/key-jobs.h"
#include "token-helper/list-job.h"
#include "token-helper/objects.h"
#include "token-helper/pin-jobs.h"

#include <string.h>

#define MAX_MEMBERS 5

#define PIN     (1u << PROTOCOL_PIN)
#define SO_PIN  (1u << PROTOCOL_SO_PIN)
#define NEW_PIN (1u << PROTOCOL_NEW_PIN)

typedef gboolean (*JobFunc) (Request *request, json_object *answer, GError **error);

static gboolean run_init_token (Request *request, json_object *answer, GError **error);
static gboolean run_generate_key (Request *request, json_object *answer, GError **error);
static gboolean run_sign (Request *request, json_object *answer, GError **error);
static gboolean run_sign_again (Request *request, json_object *answer, GError **error);
static gboolean run_put_certificate (Request *request, json_object *answer, GError **error);
static gboolean run_login (Request *request, json_object *answer, GError **error);
static gboolean run_reopen (Request *request, json_object *answer, GError **error);

static const struct
{
  const char *name;
  JobFunc run;
  /* all of them required */
  guint pins;
  Member members[MAX_MEMBERS + 1];
} jobs[] = {
  { PROTOCOL_JOB_LIST, list_job_run, 0, { { NULL } } },
  { PROTOCOL_JOB_INIT_TOKEN, run_init_token, SO_PIN | PIN, { { "token", MEMBER_LABEL } } },
  { PROTOCOL_JOB_GENERATE_KEY,
    run_generate_key,
    PIN,
    { { "token", MEMBER_LABEL },
      { "label", MEMBER_LABEL },
      { "id", MEMBER_BYTES },
      { "algorithm", MEMBER_TEXT } } },
  { PROTOCOL_JOB_SIGN,
    run_sign,
    PIN,
    { { "token", MEMBER_LABEL },
      { "id", MEMBER_BYTES },
      { "mechanism", MEMBER_TEXT },
      { "hash", MEMBER_TEXT },
      { "digest", MEMBER_BYTES } } },
  { PROTOCOL_JOB_SIGN_AGAIN,
    run_sign_again,
    0,
    { { "ticket", MEMBER_LABEL },
      { "mechanism", MEMBER_TEXT },
      { "hash", MEMBER_TEXT },
      { "digest", MEMBER_BYTES } } },
  { PROTOCOL_JOB_PUT_CERTIFICATE,
    run_put_certificate,
    PIN,
    { { "token", MEMBER_LABEL },
      { "id", MEMBER_BYTES },
      { "label", MEMBER_TEXT },
      { "certificate", MEMBER_BYTES } } },
  { PROTOCOL_JOB_LOGIN, run_login, PIN, { { "token", MEMBER_LABEL } } },
  { PROTOCOL_JOB_DELETE_KEY,
    key_jobs_run_delete,
    PIN,
    { { "token", MEMBER_LABEL }, { "id", MEMBER_BYTES } } },
  { PROTOCOL_JOB_RENAME_KEY,
    key_jobs_run_rename,
    PIN,
    { { "token", MEMBER_LABEL },
      { "id", MEMBER_BYTES },
      { "label", MEMBER_LABEL },
      { "new-id", MEMBER_BYTES } } },
  { PROTOCOL_JOB_DECRYPT,
    key_jobs_run_decrypt,
    PIN,
    { { "token", MEMBER_LABEL }, { "id", MEMBER_BYTES }, { "data", MEMBER_BYTES } } },
  { PROTOCOL_JOB_CHANGE_PIN, pin_jobs_run_change, PIN | NEW_PIN, { { "token", MEMBER_LABEL } } },
  { PROTOCOL_JOB_INIT_PIN, pin_jobs_run_init, SO_PIN | NEW_PIN, { { "token", MEMBER_LABEL } } },
  { PROTOCOL_JOB_CHANGE_SO_PIN,
    pin_jobs_run_change_so,
    SO_PIN | NEW_PIN,
    { { "token", MEMBER_LABEL } } },
  { PROTOCOL_JOB_REOPEN, run_reopen, 0, { { NULL } } },
};

/* ---- finding ---- */

static gboolean
check_absent (Pkcs11 *pkcs11,
              CK_SESSION_HANDLE session,
              GBytes *id,
              const char *label,
              GError **error)
{
  static const CK_OBJECT_CLASS classes[] = { CKO_PRIVATE_KEY, CKO_PUBLIC_KEY };

  for (gsize i = 0; i < G_N_ELEMENTS (classes); i++)
    {
      g_autoptr (GArray) found =
          request_find_objects (pkcs11, session, classes[i], id, label, error);

      if (found == NULL)
        return FALSE;
      if (found->len > 0)
        {
          if (id != NULL)
            g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
                                 "there is a key of that id already");
          else
            g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS,
                         "there is a key '%s' already: take another label", label);
          return FALSE;
        }
    }
  return TRUE;
}

/* ---- init-token ---- */

static gboolean
check_no_token (Request *request, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  CK_SLOT_ID slot = 0;

  if (pkcs11_find_slot (request->pkcs11, request_get_text (request, "token"), &slot, &local_error))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_EXISTS, "there is a token '%s' already",
                   request_get_text (request, "token"));
      return FALSE;
    }
  if (g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

static gboolean
run_init_token (Request *request, json_object *answer, GError **error)
{
  const Secret *so_pin = request->pins[PROTOCOL_SO_PIN];
  const char *token = request_get_text (request, "token");
  CK_UTF8CHAR label[REQUEST_MAX_LABEL];
  g_autoptr (GArray) empty = NULL;
  CK_SLOT_ID slot;

  if (!check_no_token (request, error))
    return FALSE;
  empty = pkcs11_list_slots (request->pkcs11, FALSE, error);
  if (empty == NULL)
    return FALSE;
  if (empty->len == 0)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_NO_RESOURCES,
                           "the token store is full: it has 255 tokens");
      return FALSE;
    }
  slot = g_array_index (empty, CK_SLOT_ID, 0);
  memset (label, ' ', sizeof label);
  memcpy (label, token, strlen (token));
  if (!pkcs11_check (
          pkcs11_get_functions (request->pkcs11, NULL)
              ->C_InitToken (slot, pkcs11_pin (so_pin), secret_get_length (so_pin), label),
          "making the token", error) ||
      /* The empty slot of libtpm2_pkcs11 1.9 has the first free number, the token in it the one after the highest. */
      !pkcs11_find_slot (request->pkcs11, token, &slot, error) ||
      !pin_jobs_init_user_pin (request->pkcs11, slot, so_pin, request->pins[PROTOCOL_PIN], error))
    return FALSE;
  json_object_object_add (answer, "slot", json_object_new_uint64 (slot));
  return TRUE;
}

/* ---- jobs of the user ---- */

static gboolean
run_login (Request *request, json_object *answer, GError **error)
{
  CK_SESSION_HANDLE session = 0;

  return request_login (request, &session, error);
}

static gboolean
run_generate_key (Request *request, json_object *answer, GError **error)
{
  const char *algorithm = request_get_text (request, "algorithm");
  const char *label = request_get_text (request, "label");
  g_autoptr (GBytes) id = request_get_bytes (request, "id");
  g_autoptr (GBytes) spki = NULL;
  g_autofree char *made = NULL;
  CK_SESSION_HANDLE session = 0;
  CK_OBJECT_HANDLE public = 0;

  if (strcmp (algorithm, PROTOCOL_ALGORITHM_ECC_P256) != 0 &&
      strcmp (algorithm, PROTOCOL_ALGORITHM_RSA_2048) != 0)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED, "algorithm '%s' is unknown",
                   algorithm);
      return FALSE;
    }
  if (!request_login (request, &session, error) ||
      !check_absent (request->pkcs11, session, id, NULL, error) ||
      !check_absent (request->pkcs11, session, NULL, label, error) ||
      !objects_generate_key (request->pkcs11, session, algorithm, label, id, &public, error))
    return FALSE;
  spki = objects_get_spki (request->pkcs11, session, public, &made, error);
  if (spki == NULL)
    return FALSE;
  request_add_bytes (answer, "spki", spki);
  return TRUE;
}

static gboolean
check_mechanism (const char *mechanism, GError **error)
{
  if (strcmp (mechanism, PROTOCOL_MECHANISM_ECDSA) == 0 ||
      strcmp (mechanism, PROTOCOL_MECHANISM_RSA_PKCS) == 0 ||
      strcmp (mechanism, PROTOCOL_MECHANISM_RSA_PSS) == 0)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED, "mechanism '%s' is unknown",
               mechanism);
  return FALSE;
}

static gboolean
sign (Request *request,
      CK_SESSION_HANDLE session,
      CK_OBJECT_HANDLE object,
      json_object *answer,
      GError **error)
{
  g_autoptr (GBytes) digest = request_get_bytes (request, "digest");
  g_autoptr (GBytes) signature =
      objects_sign (request->pkcs11, session, object, request_get_text (request, "mechanism"),
                    request_get_text (request, "hash"), digest, error);

  if (signature == NULL)
    return FALSE;
  request_add_bytes (answer, "signature", signature);
  return TRUE;
}

static gboolean
run_sign (Request *request, json_object *answer, GError **error)
{
  g_autoptr (GBytes) id = request_get_bytes (request, "id");
  g_autofree char *ticket = NULL;
  CK_SESSION_HANDLE session = 0;
  CK_OBJECT_HANDLE object = 0;

  if (!check_mechanism (request_get_text (request, "mechanism"), error) ||
      !request_login (request, &session, error) ||
      !key_jobs_find_private (request, session, id, &object, error) ||
      !sign (request, session, object, answer, error))
    return FALSE;
  ticket = g_strdup_printf ("%" G_GUINT64_FORMAT,
                            pkcs11_issue_ticket (request->pkcs11, session, object));
  request_add_text (answer, "ticket", ticket);
  return TRUE;
}

static gboolean
run_sign_again (Request *request, json_object *answer, GError **error)
{
  guint64 ticket = g_ascii_strtoull (request_get_text (request, "ticket"), NULL, 10);
  CK_SESSION_HANDLE session = 0;
  CK_OBJECT_HANDLE object = 0;

  return check_mechanism (request_get_text (request, "mechanism"), error) &&
         pkcs11_redeem_ticket (request->pkcs11, ticket, &session, &object, error) &&
         sign (request, session, object, answer, error);
}

static gboolean
run_put_certificate (Request *request, json_object *answer, GError **error)
{
  CK_FUNCTION_LIST *functions;
  g_autoptr (GBytes) id = request_get_bytes (request, "id");
  g_autoptr (GBytes) certificate = request_get_bytes (request, "certificate");
  g_autoptr (GArray) old = NULL;
  CK_SESSION_HANDLE session = 0;

  if (!request_login (request, &session, error))
    return FALSE;
  old = request_find_objects (request->pkcs11, session, CKO_CERTIFICATE, id, NULL, error);
  functions = pkcs11_get_functions (request->pkcs11, error);
  if (old == NULL || functions == NULL ||
      !objects_create_certificate (request->pkcs11, session, certificate,
                                   request_get_text (request, "label"), id, error))
    return FALSE;
  for (guint i = 0; i < old->len; i++)
    if (!pkcs11_check (
            functions->C_DestroyObject (session, g_array_index (old, CK_OBJECT_HANDLE, i)),
            "removing the old certificate", error))
      return FALSE;
  return TRUE;
}

static gboolean
run_reopen (Request *request, json_object *answer, GError **error)
{
  pkcs11_close (request->pkcs11);
  return TRUE;
}

/* ---- dispatch ---- */

static gboolean
run (Request *request, json_object *answer, GError **error)
{
  json_object *job = NULL;

  if (!json_object_is_type (request->json, json_type_object) ||
      !json_object_object_get_ex (request->json, "job", &job) ||
      !json_object_is_type (job, json_type_string))
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "member 'job' is missing");
      return FALSE;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (jobs); i++)
    if (strcmp (jobs[i].name, json_object_get_string (job)) == 0)
      return request_check (request, jobs[i].pins, jobs[i].members, error) &&
             jobs[i].run (request, answer, error);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "job '%s' is unknown",
               json_object_get_string (job));
  return FALSE;
}

json_object *
jobs_answer_error (const GError *error)
{
  json_object *answer = json_object_new_object ();
  GgtpmError code = error->domain == GGTPM_ERROR ? (GgtpmError)error->code : GGTPM_ERROR_FAILED;

  json_object_object_add (answer, "ok", json_object_new_boolean (FALSE));
  request_add_text (answer, "error", ggtpm_error_nick (code));
  request_add_text (answer, "message", error->message);
  return answer;
}

json_object *
jobs_run (Pkcs11 *pkcs11, json_object *json, Secret *const pins[PROTOCOL_N_PINS])
{
  Request request = { pkcs11, json, pins };
  g_autoptr (GError) error = NULL;
  json_object *answer = json_object_new_object ();

  json_object_object_add (answer, "ok", json_object_new_boolean (TRUE));
  if (run (&request, answer, &error))
    return answer;
  json_object_put (answer);
  return jobs_answer_error (error);
}
