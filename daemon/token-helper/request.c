/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "request.h"

#include "dbus/error.h"

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

static gboolean
check_pins (const Request *request, guint wanted, GError **error)
{
  static const char *const names[] = { "PIN", "SO PIN", "new PIN" };

  for (guint i = 0; i < PROTOCOL_N_PINS; i++)
    {
      const Secret *pin = request->pins[i];
      const char *wrong = NULL;

      if ((pin != NULL) != ((wanted & 1u << i) != 0))
        wrong = pin != NULL ? "is not wanted" : "is missing";
      else if (pin != NULL && strlen (secret_peek (pin)) != secret_get_length (pin))
        wrong = "contains a NUL";
      if (wrong == NULL)
        continue;
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "the %s %s", names[i], wrong);
      return FALSE;
    }
  return TRUE;
}

gboolean
request_check (const Request *request, guint pins, const Member *members, GError **error)
{
  for (const Member *member = members; member->name != NULL; member++)
    if (!check_member (request->json, member, error))
      return FALSE;

  json_object_object_foreach (request->json, name, value)
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
  return check_pins (request, pins, error);
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
                       request->pins[PROTOCOL_PIN], out_session, error);
}
