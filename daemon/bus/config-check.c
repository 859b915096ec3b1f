/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "config-check.h"

#include "bus/render.h"
#include "common/secret.h"
#include "greengrass/reader.h"
#include "token/handle-key.h"
#include "token/uri.h"

#include <string.h>

#define RENEW "ggtpmctl config write --all"

/* What is found, as it goes over the bus. */
typedef struct
{
  const ConfigCheckArgs *args;
  Tpm *tpm;
  GPtrArray *tokens; /* of TokenInfo */
  const char *label; /* of the token that it is to be for */
  GVariantBuilder findings;
  GVariantBuilder files;
} Check;

void
config_check_args_free (gpointer data)
{
  ConfigCheckArgs *args = data;

  if (args->text != NULL)
    secret_wipe (args->text, args->len);
  g_free (args->text);
  g_free (args->token);
  g_free (args);
}

static void
add (Check *check, const char *id, const char *verdict, const char *remedy, const char *format, ...)
    G_GNUC_PRINTF (5, 6);

static void
add (Check *check, const char *id, const char *verdict, const char *remedy, const char *format, ...)
{
  g_autofree char *text = NULL;
  g_autofree char *valid = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  valid = g_utf8_make_valid (text, -1);
  g_variant_builder_add (&check->findings, "(ssss)", id, verdict, valid, remedy);
}

static TokenInfo *
find_token (const Check *check, const char *label)
{
  for (guint i = 0; i < check->tokens->len; i++)
    {
      TokenInfo *token = g_ptr_array_index (check->tokens, i);

      if (g_str_equal (token->label, label))
        return token;
    }
  return NULL;
}

static TokenInfo *
find_slot (const Check *check, guint64 slot)
{
  for (guint i = 0; i < check->tokens->len; i++)
    {
      TokenInfo *token = g_ptr_array_index (check->tokens, i);

      if (token->slot == slot)
        return token;
    }
  return NULL;
}

static void
check_token (Check *check, const char *label)
{
  if (find_token (check, label) == NULL)
    add (check, "token", "fault", "ggtpmctl provision", "there is no token '%s'", label);
  else
    add (check, "token", "ok", "", "the token '%s' is there", label);
}

static void
check_slot (Check *check, const char *value)
{
  const TokenInfo *token = find_token (check, check->label);
  const TokenInfo *other;
  guint64 slot = 0;
  gboolean is_number = g_ascii_string_to_unsigned (value, 10, 0, G_MAXUINT64, &slot, NULL);

  other = find_slot (check, slot);
  if (!is_number)
    add (check, "slot", "fault", RENEW, "'%s' is no slot", value);
  else if (token == NULL)
    add (check, "slot", "fault", "ggtpmctl provision",
         "the token '%s', whose slot it is to name, does not exist", check->label);
  else if (token->slot == slot)
    add (check, "slot", "ok", "", "slot %" G_GUINT64_FORMAT " has the token '%s'", slot,
         check->label);
  else
    add (check, "slot", "fault", RENEW,
         "slot %" G_GUINT64_FORMAT " has %s%s, the token '%s' is in slot %" G_GUINT64_FORMAT, slot,
         other != NULL ? "another token: " : "no token", other != NULL ? other->label : "",
         check->label, token->slot);
}

static gboolean
is_same (const char *value, const Secret *secret)
{
  gsize len = secret_get_length (secret);
  const char *wanted = secret_peek (secret);
  guint8 difference = 0;

  if (strlen (value) != len)
    return FALSE;
  for (gsize i = 0; i < len; i++)
    difference |= (guint8)(value[i] ^ wanted[i]);
  return difference == 0;
}

static void
check_pin (Check *check, const char *value)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Secret) pin = store_load_pin (tokens_get_store (check->args->tokens), check->label,
                                           STORE_PIN_USER, &local_error);

  if (pin == NULL)
    add (check, "pin", "unknown", "", "ggtpmd does not have the PIN of the token '%s'%s%s",
         check->label, local_error != NULL ? ": " : "",
         local_error != NULL ? local_error->message : "");
  else if (is_same (value, pin))
    add (check, "pin", "ok", "", "the PIN is that of the token '%s'", check->label);
  else
    add (check, "pin", "fault", RENEW,
         "the PIN is not that of the token '%s': each use of it counts towards lockout",
         check->label);
}

static TokenKey *
find_key (const TokenInfo *token, const UriObject *object)
{
  if (object->id != NULL)
    return token_info_find_key_by_id (token, object->id);
  return object->label != NULL ? token_info_find_key (token, object->label) : NULL;
}

static void
check_key (Check *check, const char *name, const UriObject *object)
{
  const char *label = object->token != NULL ? object->token : check->label;
  const TokenInfo *token = find_token (check, label);
  const TokenKey *key = token != NULL ? find_key (token, object) : NULL;

  if (token == NULL)
    add (check, "key", "fault", "ggtpmctl provision", "%s: there is no token '%s'", name, label);
  else if (key == NULL)
    add (check, "key", "fault", "ggtpmctl key list shows what there is",
         "%s: the token '%s' has no key '%s'", name, label,
         object->label != NULL ? object->label : "of that id");
  else if (object->is_certificate && key->certificate == NULL)
    add (check, "certificate", "fault", "ggtpmctl key install-cert",
         "%s: the key '%s' has no certificate in the token", name, key->label);
  else
    add (check, object->is_certificate ? "certificate" : "key", "ok", "",
         "%s: the %s '%s' is there", name, object->is_certificate ? "certificate of" : "key",
         key->label);
}

static void
check_object (Check *check, const char *name, const char *value)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (UriObject) object = uri_parse_object (value, &local_error);

  if (object == NULL)
    {
      add (check, "key", "fault", RENEW, "%s: %s", name, local_error->message);
      return;
    }
  check_key (check, name, object);
  if (object->pin != NULL)
    check_pin (check, object->pin);
  if (object->pin_source != NULL && g_utf8_validate (object->pin_source, -1, NULL))
    g_variant_builder_add (&check->files, "(ss)", "pin-source", object->pin_source);
}

static void
check_handle (Check *check, const char *value)
{
  g_autoptr (GError) local_error = NULL;
  guint32 handle = 0;
  gboolean exists = FALSE;

  if (!handle_key_parse (value, &handle))
    add (check, "key", "fault", RENEW, "'%s' is no handle of a persistent object", value);
  else if (!handle_key_exists (check->tpm, handle, &exists, &local_error))
    add (check, "key", "unknown", "", "%s", local_error->message);
  else if (!exists)
    add (check, "key", "fault", "ggtpmctl handle create", "the chip has no key at %s", value);
  else
    add (check, "key", "ok", "", "the chip has a key at %s", value);
}

static void
check_reference (Check *check, const Reference *reference)
{
  if (reference->value == NULL)
    {
      add (check, "parses", "fault", RENEW, "it has no %s", reference->name);
      return;
    }
  switch (reference->kind)
    {
    case REFERENCE_TOKEN:
      check_token (check, reference->value);
      break;
    case REFERENCE_SLOT:
      check_slot (check, reference->value);
      break;
    case REFERENCE_PIN:
      check_pin (check, reference->value);
      break;
    case REFERENCE_OBJECT:
      check_object (check, reference->name, reference->value);
      break;
    case REFERENCE_HANDLE:
      check_handle (check, reference->value);
      break;
    case REFERENCE_FILE:
    case REFERENCE_DIR:
    default:
      g_variant_builder_add (&check->files, "(ss)", reference->name, reference->value);
      break;
    }
}

gpointer
config_check_run (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  ConfigCheckArgs *args = data;
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GPtrArray) tokens = tokens_list (args->tokens, cancellable, error);
  g_autoptr (GPtrArray) references = NULL;
  Check check = { .args = args, .tpm = tpm, .tokens = tokens };

  if (tokens == NULL)
    return NULL;
  check.label = args->token != NULL ? args->token : RENDER_DEFAULT_TOKEN;
  g_variant_builder_init (&check.findings, G_VARIANT_TYPE ("a(ssss)"));
  g_variant_builder_init (&check.files, G_VARIANT_TYPE ("a(ss)"));
  references = reader_read (args->flavour, args->text, args->len, &local_error);
  if (references == NULL)
    add (&check, "parses", "fault", RENEW, "%s", local_error->message);
  else
    add (&check, "parses", "ok", "", "it parses");
  for (guint i = 0; references != NULL && i < references->len; i++)
    check_reference (&check, g_ptr_array_index (references, i));
  return g_variant_ref_sink (g_variant_new ("(a(ssss)a(ss))", &check.findings, &check.files));
}
