/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "key-jobs.h"

#include "common/secret.h"
#include "dbus/error.h"

#include <string.h>

/* RSA-4096 */
#define MAX_PLAINTEXT 512

typedef gboolean (*ObjectFunc) (Request *request,
                                CK_SESSION_HANDLE session,
                                CK_OBJECT_HANDLE object,
                                GError **error);

gboolean
key_jobs_find_private (Request *request,
                       CK_SESSION_HANDLE session,
                       GBytes *id,
                       CK_OBJECT_HANDLE *out_object,
                       GError **error)
{
  g_autoptr (GArray) found =
      request_find_objects (request->pkcs11, session, CKO_PRIVATE_KEY, id, NULL, error);

  if (found == NULL)
    return FALSE;
  if (found->len > 0)
    {
      *out_object = g_array_index (found, CK_OBJECT_HANDLE, 0);
      return TRUE;
    }
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND, "there is no key of that id");
  return FALSE;
}

/* The pair, and the certificates of its id. */
static gboolean
for_each_object (Request *request, ObjectFunc func, GError **error)
{
  static const CK_OBJECT_CLASS classes[] = { CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_CERTIFICATE };
  g_autoptr (GBytes) id = request_get_bytes (request, "id");
  CK_SESSION_HANDLE session = 0;
  guint n_done = 0;

  if (!request_login (request, &session, error))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (classes); i++)
    {
      g_autoptr (GArray) found =
          request_find_objects (request->pkcs11, session, classes[i], id, NULL, error);

      if (found == NULL)
        return FALSE;
      for (guint k = 0; k < found->len; k++, n_done++)
        if (!func (request, session, g_array_index (found, CK_OBJECT_HANDLE, k), error))
          return FALSE;
    }
  if (n_done > 0)
    return TRUE;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND, "there is no key of that id");
  return FALSE;
}

static gboolean
destroy (Request *request, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (request->pkcs11, error);

  return functions != NULL &&
         pkcs11_check (functions->C_DestroyObject (session, object), "removing an object", error);
}

gboolean
key_jobs_run_delete (Request *request, json_object *answer, GError **error)
{
  return for_each_object (request, destroy, error);
}

static gboolean
rename_object (Request *request, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (request->pkcs11, error);
  const char *label = request_get_text (request, "label");
  g_autoptr (GBytes) id = request_get_bytes (request, "new-id");
  CK_ATTRIBUTE attributes[] = {
    { CKA_LABEL, (void *)label, strlen (label) },
    { CKA_ID, (void *)g_bytes_get_data (id, NULL), g_bytes_get_size (id) },
  };

  return functions != NULL &&
         pkcs11_check (functions->C_SetAttributeValue (session, object, attributes,
                                                       G_N_ELEMENTS (attributes)),
                       "changing label and id", error);
}

gboolean
key_jobs_run_rename (Request *request, json_object *answer, GError **error)
{
  return for_each_object (request, rename_object, error);
}

gboolean
key_jobs_run_decrypt (Request *request, json_object *answer, GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (request->pkcs11, error);
  g_autoptr (GBytes) id = request_get_bytes (request, "id");
  g_autoptr (GBytes) data = request_get_bytes (request, "data");
  g_autoptr (GBytes) plain = NULL;
  CK_MECHANISM mechanism = { CKM_RSA_PKCS, NULL, 0 };
  CK_SESSION_HANDLE session = 0;
  CK_OBJECT_HANDLE object = 0;
  guint8 buffer[MAX_PLAINTEXT];
  CK_ULONG len = sizeof buffer;
  CK_RV rv;

  if (functions == NULL || !request_login (request, &session, error) ||
      !key_jobs_find_private (request, session, id, &object, error))
    return FALSE;
  rv = functions->C_DecryptInit (session, &mechanism, object);
  if (rv == CKR_OK)
    rv = functions->C_Decrypt (session, (CK_BYTE *)g_bytes_get_data (data, NULL),
                               g_bytes_get_size (data), buffer, &len);
  if (!pkcs11_check_last (request->pkcs11, rv, "decrypting", error))
    return FALSE;
  plain = g_bytes_new (buffer, len);
  secret_wipe (buffer, sizeof buffer);
  request_add_bytes (answer, "data", plain);
  return TRUE;
}
