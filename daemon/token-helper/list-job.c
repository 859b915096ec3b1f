/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "list-job.h"

#include "token-helper/objects.h"

static char *
get_label (Pkcs11 *pkcs11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
  g_autoptr (GBytes) label = pkcs11_get_attribute (pkcs11, session, object, CKA_LABEL);

  if (label == NULL)
    return g_strdup ("");
  return pkcs11_trim (g_bytes_get_data (label, NULL), g_bytes_get_size (label));
}

static gboolean
add_certificate (Pkcs11 *pkcs11,
                 CK_SESSION_HANDLE session,
                 GBytes *id,
                 json_object *key,
                 GError **error)
{
  g_autoptr (GArray) found =
      request_find_objects (pkcs11, session, CKO_CERTIFICATE, id, NULL, error);
  g_autoptr (GBytes) der = NULL;

  if (found == NULL)
    return FALSE;
  if (found->len > 0)
    der = pkcs11_get_attribute (pkcs11, session,
                                g_array_index (found, CK_OBJECT_HANDLE, found->len - 1), CKA_VALUE);
  if (der != NULL && g_bytes_get_size (der) > 0)
    request_add_bytes (key, "certificate", der);
  return TRUE;
}

static gboolean
add_key (Pkcs11 *pkcs11,
         CK_SESSION_HANDLE session,
         CK_OBJECT_HANDLE object,
         json_object *keys,
         GError **error)
{
  g_autoptr (GBytes) id = pkcs11_get_attribute (pkcs11, session, object, CKA_ID);
  g_autoptr (GError) unusable = NULL;
  g_autoptr (GBytes) public_area = NULL;
  g_autoptr (GBytes) start_date = NULL;
  g_autoptr (GBytes) spki = NULL;
  g_autofree char *algorithm = NULL;
  g_autofree char *label = get_label (pkcs11, session, object);
  json_object *key;

  spki = objects_get_spki (pkcs11, session, object, &algorithm, &unusable);
  /* Another's key that we cannot read takes nothing from the rest. */
  if (spki == NULL || id == NULL || g_bytes_get_size (id) == 0)
    return TRUE;
  key = json_object_new_object ();
  json_object_array_add (keys, key);
  request_add_text (key, "label", label);
  request_add_bytes (key, "id", id);
  request_add_text (key, "algorithm", algorithm);
  request_add_bytes (key, "spki", spki);
  public_area = objects_get_public_area (pkcs11, session, object);
  if (public_area != NULL)
    request_add_bytes (key, "public-area", public_area);
  start_date = objects_get_start_date (pkcs11, session, object);
  if (start_date != NULL)
    request_add_bytes (key, "start-date", start_date);
  return add_certificate (pkcs11, session, id, key, error);
}

static void
add_field (json_object *token, const char *name, const CK_UTF8CHAR *field, gsize len)
{
  g_autofree char *text = pkcs11_trim (field, len);

  request_add_text (token, name, text);
}

static gboolean
add_token (Pkcs11 *pkcs11, CK_SLOT_ID slot, json_object *tokens, GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (pkcs11, error);
  json_object *token = json_object_new_object ();
  json_object *keys = json_object_new_array ();
  CK_SESSION_HANDLE session = 0;
  g_autoptr (GArray) found = NULL;
  CK_TOKEN_INFO info;

  json_object_array_add (tokens, token);
  json_object_object_add (token, "keys", keys);
  if (functions == NULL ||
      !pkcs11_check (functions->C_GetTokenInfo (slot, &info), "reading a token", error) ||
      !pkcs11_open (pkcs11, slot, &session, error))
    return FALSE;
  add_field (token, "label", info.label, sizeof info.label);
  json_object_object_add (token, "slot", json_object_new_uint64 (slot));
  add_field (token, "manufacturer", info.manufacturerID, sizeof info.manufacturerID);
  add_field (token, "model", info.model, sizeof info.model);
  add_field (token, "serial", info.serialNumber, sizeof info.serialNumber);

  found = request_find_objects (pkcs11, session, CKO_PUBLIC_KEY, NULL, NULL, error);
  if (found == NULL)
    return FALSE;
  for (guint i = 0; i < found->len; i++)
    if (!add_key (pkcs11, session, g_array_index (found, CK_OBJECT_HANDLE, i), keys, error))
      return FALSE;
  return TRUE;
}

gboolean
list_job_run (Request *request, json_object *answer, GError **error)
{
  g_autoptr (GArray) slots = pkcs11_list_slots (request->pkcs11, TRUE, error);
  json_object *tokens = json_object_new_array ();

  json_object_object_add (answer, "tokens", tokens);
  if (slots == NULL)
    return FALSE;
  for (guint i = 0; i < slots->len; i++)
    if (!add_token (request->pkcs11, g_array_index (slots, CK_SLOT_ID, i), tokens, error))
      return FALSE;
  return TRUE;
}
