/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "request.h"

#include "dbus/error.h"
#include "token/protocol.h"

#include <string.h>

/* ---- members ---- */

const char *
request_get_text (Request *request, const char *name)
{
  return json_object_get_string (json_object_object_get (request->json, name));
}

GBytes *
request_get_bytes (Request *request, const char *name)
{
  return protocol_decode_bytes (request_get_text (request, name));
}

void
request_add_text (json_object *answer, const char *name, const char *text)
{
  json_object_object_add (answer, name, json_object_new_string (text));
}

void
request_add_bytes (json_object *answer, const char *name, GBytes *bytes)
{
  g_autofree char *text = protocol_encode_bytes (bytes);

  request_add_text (answer, name, text);
}

static gboolean
check_member (json_object *json, const Member *member, GError **error)
{
  json_object *value = NULL;
  const char *text;
  gsize len;
  const char *wrong = NULL;

  if (!json_object_object_get_ex (json, member->name, &value))
    wrong = "is missing";
  else if (!json_object_is_type (value, json_type_string))
    wrong = "is not a string";
  else
    {
      text = json_object_get_string (value);
      len = (gsize)json_object_get_string_len (value);
      if (strlen (text) != len)
        wrong = "contains a NUL";
      else if (len == 0 && member->kind != MEMBER_TEXT)
        wrong = "is empty";
      else if (member->kind == MEMBER_LABEL && len > REQUEST_MAX_LABEL)
        wrong = "is longer than 32 bytes";
      else if (member->kind == MEMBER_BYTES)
        {
          g_autoptr (GBytes) bytes = protocol_decode_bytes (text);

          wrong = bytes == NULL ? "is not hexadecimal" : NULL;
        }
    }
  if (wrong == NULL)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "member '%s' %s", member->name, wrong);
  return FALSE;
}

gboolean
request_check (json_object *json, const Member *members, GError **error)
{
  for (const Member *member = members; member->name != NULL; member++)
    if (!check_member (json, member, error))
      return FALSE;

  json_object_object_foreach (json, name, value)
    {
      gboolean known = strcmp (name, "job") == 0;

      for (const Member *member = members; member->name != NULL && !known; member++)
        known = strcmp (name, member->name) == 0;
      if (!known)
        {
          g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "member '%s' is unknown",
                       name);
          return FALSE;
        }
    }
  return TRUE;
}

/* ---- what jobs begin with ---- */

GArray *
request_find_objects (Pkcs11 *pkcs11,
                      CK_SESSION_HANDLE session,
                      CK_OBJECT_CLASS object_class,
                      GBytes *id,
                      const char *label,
                      GError **error)
{
  CK_ATTRIBUTE template[3] = { { CKA_CLASS, &object_class, sizeof object_class } };
  CK_ULONG n = 1;

  if (id != NULL)
    template[n++] =
        (CK_ATTRIBUTE){ CKA_ID, (void *)g_bytes_get_data (id, NULL), g_bytes_get_size (id) };
  if (label != NULL)
    template[n++] = (CK_ATTRIBUTE){ CKA_LABEL, (void *)label, strlen (label) };
  return pkcs11_find (pkcs11, session, template, n, error);
}

gboolean
request_login (Request *request, CK_SESSION_HANDLE *out_session, GError **error)
{
  return pkcs11_login (request->pkcs11, request_get_text (request, "token"),
                       request_get_text (request, PROTOCOL_MEMBER_PIN), out_session, error);
}
