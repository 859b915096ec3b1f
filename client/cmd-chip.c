/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/files.h"
#include "client/objects.h"
#include "client/output.h"
#include "dbus/error.h"
#include "dbus/names.h"

#define RC_PASSED  0x000u
#define RC_FAILURE 0x101u
#define RC_NEEDS   0x153u
#define RC_TESTING 0x90au

#define MS_PER_S   1000u
#define S_PER_MIN  60u
#define S_PER_HOUR (60u * S_PER_MIN)
#define S_PER_DAY  (24u * S_PER_HOUR)

static gboolean
fail_absent (GError **error)
{
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE, "ggtpmd shows no TPM");
  return FALSE;
}

/* Connects; NULL: @error */
static GgtpmDevice *
connect_device (Client *client, GError **error)
{
  GgtpmDevice *device = NULL;

  if (!client_connect (client, TRUE, error))
    return NULL;
  device = objects_get_device (client);
  return device != NULL || fail_absent (error) ? device : NULL;
}

static char *
format_hex (GVariant *bytes)
{
  GString *text = g_string_new (NULL);
  gsize len = 0;
  const guint8 *data = g_variant_get_fixed_array (bytes, &len, 1);

  for (gsize i = 0; i < len; i++)
    g_string_append_printf (text, "%02x", data[i]);
  return g_string_free (text, FALSE);
}

/* ---- clock ---- */

static char *
format_duration (guint64 ms)
{
  guint64 s = ms / MS_PER_S;

  return g_strdup_printf ("%" G_GUINT64_FORMAT " d %02u:%02u:%02u.%03u", s / S_PER_DAY,
                          (guint)(s % S_PER_DAY / S_PER_HOUR), (guint)(s % S_PER_HOUR / S_PER_MIN),
                          (guint)(s % S_PER_MIN), (guint)(ms % MS_PER_S));
}

gboolean
cmd_clock (Client *client, const Options *options, GError **error)
{
  GgtpmDevice *device = connect_device (client, error);
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  guint64 time_ms = 0;
  guint64 clock_ms = 0;
  guint resets = 0;
  guint restarts = 0;
  gboolean safe = FALSE;
  g_autofree char *time = NULL;
  g_autofree char *clock = NULL;

  if (device == NULL)
    return FALSE;
  if (!ggtpm_device_call_read_clock_sync (device, client_get_flags (client),
                                          client_get_timeout_ms (client), &time_ms, &clock_ms,
                                          &resets, &restarts, &safe, NULL, error))
    {
      client_convert_error (error);
      return FALSE;
    }
  if (client->json)
    {
      output_add (&dict, "time_ms", "t", time_ms);
      output_add (&dict, "clock_ms", "t", clock_ms);
      output_add (&dict, "reset_count", "u", resets);
      output_add (&dict, "restart_count", "u", restarts);
      output_add (&dict, "safe", "b", safe);
      output_json (g_variant_builder_end (&dict));
      return TRUE;
    }
  time = format_duration (time_ms);
  clock = format_duration (clock_ms);
  output_text ("Powered since                    %s\n", time);
  output_text ("Powered in all since TPM2_Clear  %s\n", clock);
  output_text ("TPM resets since TPM2_Clear      %u\n", resets);
  output_text ("TPM restarts since the reset     %u\n", restarts);
  output_text ("Clock is safe                    %s\n", safe ? "yes" : "no");
  return TRUE;
}

/* ---- random ---- */

static gboolean
parse_count (const char *text, guint *out, GError **error)
{
  guint64 n = 0;

  if (g_ascii_string_to_unsigned (text, 10, 1, GGTPM_RANDOM_MAX_BYTES, &n, NULL))
    {
      *out = (guint)n;
      return TRUE;
    }
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "'%s': not a number from 1 to %d",
               text, GGTPM_RANDOM_MAX_BYTES);
  return FALSE;
}

gboolean
cmd_random (Client *client, const Options *options, GError **error)
{
  GgtpmDevice *device = NULL;
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GVariant) bytes = NULL;
  g_autofree char *hex = NULL;
  guint n = 0;

  if (!parse_count (options->arguments[0], &n, error))
    return FALSE;
  device = connect_device (client, error);
  if (device == NULL)
    return FALSE;
  if (!ggtpm_device_call_get_random_sync (device, n, client_get_flags (client),
                                          client_get_timeout_ms (client), &bytes, NULL, error))
    {
      client_convert_error (error);
      return FALSE;
    }
  if (files_is_path (options->out) &&
      !files_write (options->out, g_variant_get_data (bytes), g_variant_get_size (bytes), error))
    return FALSE;
  hex = format_hex (bytes);
  if (client->json)
    {
      if (files_is_path (options->out))
        files_describe (&dict, "out", options->out);
      else
        output_add (&dict, "bytes", "s", hex);
      output_json (g_variant_builder_end (&dict));
    }
  else if (options->out != NULL && !files_is_path (options->out))
    output_bytes (g_variant_get_data (bytes), g_variant_get_size (bytes));
  else if (options->out == NULL)
    output_text ("%s\n", hex);
  return TRUE;
}

/* ---- hash ---- */

gboolean
cmd_hash (Client *client, const Options *options, GError **error)
{
  const char *hash = options->hash != NULL ? options->hash : "sha256";
  GgtpmDevice *device = connect_device (client, error);
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GBytes) data = NULL;
  g_autoptr (GVariant) digest = NULL;
  g_autofree char *hex = NULL;

  if (device == NULL)
    return FALSE;
  data = files_read (options->in != NULL ? options->in : "-", GGTPM_HASH_MAX_BYTES, error);
  if (data == NULL)
    return FALSE;
  if (!ggtpm_device_call_hash_sync (
          device, hash, g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, data, TRUE),
          client_get_flags (client), client_get_timeout_ms (client), &digest, NULL, error))
    {
      client_convert_error (error);
      return FALSE;
    }
  hex = format_hex (digest);
  if (client->json)
    {
      output_add (&dict, "hash", "s", hash);
      output_add (&dict, "digest", "s", hex);
      output_json (g_variant_builder_end (&dict));
    }
  else
    output_text ("%s\n", hex);
  return TRUE;
}

/* ---- selftest ---- */

typedef struct
{
  guint result;
  char *text;
  char **pending;
  char *data; /* in hexadecimal */
} Verdict;

static void
verdict_clear (Verdict *verdict)
{
  g_free (verdict->text);
  g_strfreev (verdict->pending);
  g_free (verdict->data);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Verdict, verdict_clear)

static const char *
describe_result (const Verdict *verdict)
{
  switch (verdict->result)
    {
    case RC_PASSED:
      return "passed";
    case RC_NEEDS:
      return "not finished: the chip tests each function when it is first used";
    case RC_TESTING:
      return "under way: ask again with --result in some seconds";
    case RC_FAILURE:
      return "failed: the chip is in failure mode; switch the device off and on again";
    default:
      return verdict->text != NULL ? verdict->text : "not passed";
    }
}

static gboolean
ask_result (Client *client, GgtpmHealth *health, Verdict *verdict, GError **error)
{
  g_autoptr (GVariant) data = NULL;

  if (!ggtpm_health_call_get_test_result_sync (health, client_get_flags (client),
                                               client_get_timeout_ms (client), &verdict->result,
                                               &verdict->text, &data, NULL, error))
    return FALSE;
  verdict->data = format_hex (data);
  return TRUE;
}

static gboolean
ask (Client *client, const Options *options, GgtpmHealth *health, Verdict *verdict, GError **error)
{
  const char *mode = options->full ? "full" : options->incremental ? "incremental" : "pending";
  GVariant *none = g_variant_new ("a{sv}", NULL);

  if (options->result)
    {
      g_variant_unref (g_variant_ref_sink (none));
      return ask_result (client, health, verdict, error);
    }
  return ggtpm_health_call_self_test_sync (health, mode, none, client_get_flags (client),
                                           client_get_timeout_ms (client), &verdict->result,
                                           &verdict->pending, NULL, error);
}

static void
print_verdict (Client *client, const Verdict *verdict)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *text = output_clean (describe_result (verdict));
  g_autofree char *pending = NULL;

  if (client->json)
    {
      output_add (&dict, "result", "u", verdict->result);
      output_add (&dict, "text", "s", text);
      if (verdict->pending != NULL)
        output_add (&dict, "pending", "^as", verdict->pending);
      if (verdict->data != NULL)
        output_add (&dict, "data", "s", verdict->data);
      output_json (g_variant_builder_end (&dict));
      return;
    }
  output_text ("Self-test %s (0x%03x)\n", text, verdict->result);
  if (verdict->pending != NULL && verdict->pending[0] != NULL)
    {
      pending = g_strjoinv (", ", verdict->pending);
      output_text ("  still to be tested: %s\n", pending);
    }
  if (verdict->data != NULL && verdict->data[0] != '\0')
    output_text ("  the vendor's data: %s\n", verdict->data);
}

gboolean
cmd_selftest (Client *client, const Options *options, GError **error)
{
  g_auto (Verdict) verdict = { 0 };
  GgtpmHealth *health = NULL;

  if (options->full + options->incremental + options->result > 1)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "of --full, --incremental and --result only one can be given");
      return FALSE;
    }
  if (!client_connect (client, TRUE, error))
    return FALSE;
  health = objects_get_health (client);
  if (health == NULL)
    return fail_absent (error);
  if (!ask (client, options, health, &verdict, error))
    {
      client_convert_error (error);
      return FALSE;
    }
  print_verdict (client, &verdict);
  if (verdict.result != RC_PASSED && verdict.result != RC_NEEDS && verdict.result != RC_TESTING)
    client->exit_code = 1;
  return TRUE;
}
