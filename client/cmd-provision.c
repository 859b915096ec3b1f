/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/files.h"
#include "client/objects.h"
#include "client/output.h"
#include "client/pin.h"
#include "client/progress.h"
#include "common/sealed-file.h"
#include "dbus/error.h"
#include "dbus/names.h"

#include <gio/gunixfdlist.h>

#include <unistd.h>

#define CONFIG_MAX_BYTES (64 * 1024)

typedef struct
{
  gboolean wait;
  GBytes *config;   /* --config; NULL: none */
  char *job;        /* out */
  GVariant *result; /* out: the job's, a{sv} */
} ProvisionCall;

static void
provision_call_clear (ProvisionCall *call)
{
  g_clear_pointer (&call->config, g_bytes_unref);
  g_free (call->job);
  g_clear_pointer (&call->result, g_variant_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ProvisionCall, provision_call_clear)

/* @arguments with the file as a sealed memory file. */
static GVariant *
add_config (GVariant *arguments, GBytes *config, GUnixFDList *descriptors, GError **error)
{
  g_autoptr (GVariantDict) dict = g_variant_dict_new (arguments);
  gsize len = 0;
  const char *text = g_bytes_get_data (config, &len);
  int fd = sealed_file_new ("provision.conf", text, len, error);
  int index = fd >= 0 ? g_unix_fd_list_append (descriptors, fd, error) : -1;

  if (fd >= 0)
    close (fd);
  if (index < 0)
    return NULL;
  g_variant_dict_insert (dict, "config", "h", index);
  return g_variant_ref_sink (g_variant_dict_end (dict));
}

static gboolean
call_provision (Client *client,
                GVariant *arguments,
                GUnixFDList *descriptors,
                gpointer user_data,
                GError **error)
{
  ProvisionCall *call = user_data;
  g_autoptr (GVariant) complete = NULL;

  complete = call->config != NULL ? add_config (arguments, call->config, descriptors, error)
                                  : g_variant_ref (arguments);
  if (complete == NULL)
    return FALSE;
  g_clear_pointer (&call->job, g_free);
  if (!ggtpm_provisioning_call_provision_sync (
          client->provisioning, complete, client_get_flags (client), client_get_timeout_ms (client),
          descriptors, &call->job, NULL, NULL, error))
    return FALSE;
  if (!call->wait)
    return TRUE;
  call->result =
      progress_wait (client, call->job,
                     "`ggtpmctl status` shows it, `ggtpmctl provision` again completes it", error);
  if (call->result == NULL && error != NULL &&
      g_error_matches (*error, GGTPM_ERROR, GGTPM_ERROR_EXISTS))
    {
      g_autofree char *message = g_strdup_printf ("%s (--add)", (*error)->message);

      g_free ((*error)->message);
      (*error)->message = g_steal_pointer (&message);
    }
  return call->result != NULL;
}

static GVariant *
make_arguments (const Options *options)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (options->token != NULL)
    output_add (&dict, "token", "s", options->token);
  if (options->key != NULL)
    output_add (&dict, "key", "s", options->key);
  if (options->algorithm != NULL)
    output_add (&dict, "algorithm", "s", options->algorithm);
  if (options->subject != NULL)
    output_add (&dict, "subject", "s", options->subject);
  if (options->add)
    output_add (&dict, "exclusive", "b", FALSE);
  if (options->plan)
    output_add (&dict, "dry-run", "b", TRUE);
  return g_variant_builder_end (&dict);
}

static void
print_missing (Client *client, const char *const *missing)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (client->json)
    {
      output_add (&dict, "missing", "^as", missing);
      output_json (g_variant_builder_end (&dict));
      return;
    }
  output_text (missing[0] != NULL ? "To be made:\n" : "Nothing is missing.\n");
  for (gsize i = 0; missing[i] != NULL; i++)
    {
      g_autofree char *clean = output_clean (missing[i]);

      output_text ("  %s\n", clean);
    }
}

static gboolean
check_options (const Options *options, GError **error)
{
  if (options->no_wait && options->csr_out != NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "--csr-out cannot be with --no-wait: `ggtpmctl key csr` makes a request later");
  else if (options->plan && (options->no_wait || options->csr_out != NULL))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "--plan makes nothing: it cannot be with --no-wait or --csr-out");
  else
    return options->config == NULL || files_check_standard_input (options, options->config, error);
  return FALSE;
}

static const char *
lookup (GVariant *result, const char *name, const char *format)
{
  const char *value = NULL;

  return g_variant_lookup (result, name, format, &value) ? value : "";
}

/* Labels as the objects have them, since the daemon may have taken them from its file; the path where there is none. */
static char *
get_key_label (Client *client, const char *path)
{
  g_autoptr (GgtpmKey) key = NULL;

  key = ggtpm_key_proxy_new_sync (client->connection, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START,
                                  GGTPM_BUS_NAME, path, NULL, NULL);
  return g_strdup (key != NULL && ggtpm_key_get_label (key) != NULL ? ggtpm_key_get_label (key)
                                                                    : path);
}

static char *
get_token_label (Client *client, const char *path)
{
  g_autoptr (GgtpmToken) token = NULL;

  token = ggtpm_token_proxy_new_sync (client->connection, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START,
                                      GGTPM_BUS_NAME, path, NULL, NULL);
  return g_strdup (token != NULL && ggtpm_token_get_label (token) != NULL
                       ? ggtpm_token_get_label (token)
                       : path);
}

static void
print_result (Client *client, const Options *options, GVariant *result)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  const char *csr = lookup (result, "csr", "&s");
  const char *uri = lookup (result, "uri", "&s");
  g_autofree char *token = get_token_label (client, lookup (result, "token", "&o"));
  g_autofree char *key = get_key_label (client, lookup (result, "key", "&o"));
  g_autofree char *clean_token = output_clean (token);
  g_autofree char *clean_key = output_clean (key);
  gboolean changed = TRUE;

  g_variant_lookup (result, "changed", "b", &changed);
  if (client->json)
    {
      output_add (&dict, "token", "s", clean_token);
      output_add (&dict, "key", "s", clean_key);
      output_add (&dict, "uri", "s", uri);
      output_add (&dict, "csr", "s", csr);
      output_add (&dict, "changed", "b", changed);
      if (files_is_path (options->csr_out))
        files_describe (&dict, "csr_out", options->csr_out);
      output_json (g_variant_builder_end (&dict));
      return;
    }
  if (!changed)
    output_text ("Nothing was missing.\n");
  output_text ("Token  %s\nKey    %s\nURI    %s\n", clean_token, clean_key, uri);
  if (files_is_path (options->csr_out))
    output_text ("CSR    %s\n", options->csr_out);
  else
    output_text ("%s", csr);
}

gboolean
cmd_provision (Client *client, const Options *options, GError **error)
{
  g_auto (ProvisionCall) call = { .wait = !options->no_wait };
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  g_autofree const char **missing = NULL;

  if (!check_options (options, error))
    return FALSE;
  if (options->config != NULL &&
      (call.config = files_read (options->config, CONFIG_MAX_BYTES, error)) == NULL)
    return FALSE;
  if (!client_connect (client, TRUE, error) ||
      !pin_call (client, options, options->token, make_arguments (options), call_provision, &call,
                 error))
    return FALSE;

  if (call.result != NULL && g_variant_lookup (call.result, "missing", "^a&s", &missing))
    print_missing (client, missing);
  else if (call.result != NULL)
    {
      const char *csr = lookup (call.result, "csr", "&s");

      if (files_is_path (options->csr_out) &&
          !files_write (options->csr_out, csr, strlen (csr), error))
        return FALSE;
      print_result (client, options, call.result);
    }
  else if (client->json)
    {
      output_add (&dict, "job", "s", call.job);
      output_json (g_variant_builder_end (&dict));
    }
  else
    output_text ("%s\n", call.job);
  return TRUE;
}
