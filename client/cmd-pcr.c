/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/objects.h"
#include "client/output.h"
#include "dbus/error.h"

#define PCR_MAX 23

static GgtpmPlatform *
connect_platform (Client *client, GError **error)
{
  GgtpmPlatform *platform = NULL;

  if (!client_connect (client, TRUE, error))
    return NULL;
  platform = objects_get_platform (client);
  if (platform == NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE, "ggtpmd shows no TPM");
  return platform;
}

static gboolean
finish (gboolean ok, GError **error)
{
  if (!ok)
    client_convert_error (error);
  return ok;
}

static gboolean
parse_pcr (const char *text, guint32 *out, GError **error)
{
  guint64 number = 0;

  if (g_ascii_string_to_unsigned (text, 10, 0, PCR_MAX, &number, NULL))
    {
      *out = (guint32)number;
      return TRUE;
    }
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "'%s': not the number of a PCR (0 to %d, decimal)", text, PCR_MAX);
  return FALSE;
}

static GVariant *
make_hex (GVariant *bytes)
{
  GString *text = g_string_new (NULL);
  gsize len = 0;
  const guint8 *data = g_variant_get_fixed_array (bytes, &len, 1);

  for (gsize i = 0; i < len; i++)
    g_string_append_printf (text, "%02x", data[i]);
  return g_variant_new_take_string (g_string_free (text, FALSE));
}

/* ---- read ---- */

/* NULL: @error */
static GVariant *
make_numbers (char **arguments, GError **error)
{
  g_auto (GVariantBuilder) numbers = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("au"));

  for (guint i = 0; arguments[i] != NULL; i++)
    {
      guint32 pcr = 0;

      if (!parse_pcr (arguments[i], &pcr, error))
        return NULL;
      g_variant_builder_add (&numbers, "u", pcr);
    }
  return g_variant_ref_sink (g_variant_builder_end (&numbers));
}

static void
print_values (Client *client, const char *bank, GVariant *values)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  GVariantBuilder object = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  for (gsize i = 0; i < g_variant_n_children (values); i++)
    {
      g_autoptr (GVariant) bytes = NULL;
      g_autoptr (GVariant) hex = NULL;
      g_autofree char *name = NULL;
      guint32 pcr = 0;

      g_variant_get_child (values, i, "{u@ay}", &pcr, &bytes);
      hex = g_variant_ref_sink (make_hex (bytes));
      name = g_strdup_printf ("%u", pcr);
      g_variant_builder_add (&object, "{sv}", name, hex);
      if (!client->json)
        output_text ("%s:%-2u  %s\n", bank, pcr, g_variant_get_string (hex, NULL));
    }
  output_add (&dict, "bank", "s", bank);
  g_variant_builder_add (&dict, "{sv}", "pcrs", g_variant_builder_end (&object));
  if (client->json)
    output_json (g_variant_builder_end (&dict));
  else
    g_variant_builder_clear (&dict);
}

gboolean
cmd_pcr_read (Client *client, const Options *options, GError **error)
{
  const char *bank = options->bank != NULL ? options->bank : "sha256";
  g_autoptr (GVariant) numbers = make_numbers (options->arguments, error);
  g_autoptr (GVariant) values = NULL;
  GgtpmPlatform *platform = NULL;

  if (numbers == NULL)
    return FALSE;
  platform = connect_platform (client, error);
  if (platform == NULL)
    return FALSE;
  if (!finish (
          ggtpm_platform_call_read_pcrs_sync (platform, bank, numbers, client_get_flags (client),
                                              client_get_timeout_ms (client), &values, NULL, error),
          error))
    return FALSE;
  print_values (client, bank, values);
  return TRUE;
}

/* ---- extend ---- */

/* NULL: it is not hexadecimal. */
static GVariant *
parse_hex (const char *text)
{
  gsize len = strlen (text);
  g_autofree guint8 *bytes = g_malloc (len / 2 + 1);

  if (len == 0 || len % 2 != 0)
    return NULL;
  for (gsize i = 0; i < len; i++)
    {
      if (!g_ascii_isxdigit (text[i]))
        return NULL;
      bytes[i / 2] = (guint8)(bytes[i / 2] << 4 | g_ascii_xdigit_value (text[i]));
    }
  return g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, bytes, len / 2, 1);
}

/* NULL: @error */
static GVariant *
make_digests (char **arguments, GError **error)
{
  g_auto (GVariantBuilder) digests = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{say}"));

  for (guint i = 0; arguments[i] != NULL; i++)
    {
      const char *colon = strchr (arguments[i], ':');
      g_autofree char *bank =
          colon != NULL ? g_strndup (arguments[i], (gsize)(colon - arguments[i])) : NULL;
      GVariant *bytes =
          colon != NULL && g_utf8_validate (bank, -1, NULL) ? parse_hex (colon + 1) : NULL;

      if (bytes == NULL)
        {
          g_autofree char *clean = output_clean (arguments[i]);

          g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                       "'%s': not a bank and a digest in hexadecimal, as in sha256:00ff...", clean);
          return NULL;
        }
      g_variant_builder_add (&digests, "{s@ay}", bank, bytes);
    }
  return g_variant_ref_sink (g_variant_builder_end (&digests));
}

static void
print_done (Client *client, const char *member, guint32 pcr)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  output_add (&dict, "pcr", "u", pcr);
  output_add (&dict, member, "b", TRUE);
  if (client->json)
    output_json (g_variant_builder_end (&dict));
  else
    g_variant_builder_clear (&dict);
}

gboolean
cmd_pcr_extend (Client *client, const Options *options, GError **error)
{
  g_autoptr (GVariant) digests = NULL;
  GgtpmPlatform *platform = NULL;
  guint32 pcr = 0;

  if (!parse_pcr (options->arguments[0], &pcr, error))
    return FALSE;
  digests = make_digests (options->arguments + 1, error);
  if (digests == NULL)
    return FALSE;
  platform = connect_platform (client, error);
  if (platform == NULL)
    return FALSE;
  if (!finish (ggtpm_platform_call_extend_pcr_sync (
                   platform, pcr, digests, g_variant_new ("a{sv}", NULL), client_get_flags (client),
                   client_get_timeout_ms (client), NULL, error),
               error))
    return FALSE;
  print_done (client, "extended", pcr);
  return TRUE;
}

gboolean
cmd_pcr_reset (Client *client, const Options *options, GError **error)
{
  GgtpmPlatform *platform = NULL;
  guint32 pcr = 0;

  if (!parse_pcr (options->arguments[0], &pcr, error))
    return FALSE;
  platform = connect_platform (client, error);
  if (platform == NULL)
    return FALSE;
  if (!finish (ggtpm_platform_call_reset_pcr_sync (platform, pcr, g_variant_new ("a{sv}", NULL),
                                                   client_get_flags (client),
                                                   client_get_timeout_ms (client), NULL, error),
               error))
    return FALSE;
  print_done (client, "reset", pcr);
  return TRUE;
}

/* ---- allocate ---- */

gboolean
cmd_pcr_allocate (Client *client, const Options *options, GError **error)
{
  GgtpmPlatform *platform = connect_platform (client, error);
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *list = NULL;
  guint32 needed = 0;
  guint32 available = 0;

  if (platform == NULL)
    return FALSE;
  if (!finish (ggtpm_platform_call_allocate_pcrs_sync (
                   platform, (const char *const *)options->arguments, g_variant_new ("a{sv}", NULL),
                   client_get_flags (client), client_get_timeout_ms (client), &needed, &available,
                   NULL, error),
               error))
    return FALSE;
  if (client->json)
    {
      output_add (&dict, "banks", "^as", options->arguments);
      output_add (&dict, "needed", "u", needed);
      output_add (&dict, "available", "u", available);
      output_json (g_variant_builder_end (&dict));
      return TRUE;
    }
  list = g_strjoinv (", ", options->arguments);
  output_text ("PCR banks from the next TPM reset on: %s (%u of %u bytes)\n", list, needed,
               available);
  output_text ("Restart the device for it to hold\n");
  return TRUE;
}
