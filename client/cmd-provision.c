/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/files.h"
#include "client/key-call.h"
#include "client/objects.h"
#include "client/output.h"
#include "client/pin.h"
#include "client/progress.h"
#include "client/provision-files.h"
#include "common/sealed-file.h"
#include "dbus/error.h"
#include "dbus/names.h"

#include <gio/gunixfdlist.h>

#include <unistd.h>

#define CONFIG_MAX_BYTES (64 * 1024)

typedef struct
{
  gboolean wait;
  gboolean quiet; /* it only looks: no progress to show */
  GBytes *config; /* --config; NULL: none */
  const char *config_name;
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

/* What is wrong in the file is told with its name, which the daemon does not know. */
static void
name_config (const ProvisionCall *call, GError **error)
{
  if (call->config == NULL || error == NULL ||
      (!g_error_matches (*error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS) &&
       !g_error_matches (*error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED)))
    return;
  g_dbus_error_strip_remote_error (*error);
  g_prefix_error (error, "%s: ", call->config_name);
}

/* PinCall */
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
    {
      name_config (call, error);
      return FALSE;
    }
  if (!call->wait)
    return TRUE;
  call->result = progress_wait (
      client, call->job,
      call->quiet ? NULL : "`ggtpmctl status` shows it, `ggtpmctl provision` again completes it",
      error);
  if (call->result == NULL && error != NULL &&
      g_error_matches (*error, GGTPM_ERROR, GGTPM_ERROR_EXISTS))
    {
      g_autofree char *message = g_strdup_printf ("%s (--add)", (*error)->message);

      g_free ((*error)->message);
      (*error)->message = g_steal_pointer (&message);
    }
  return call->result != NULL;
}

/* @only_look: makes nothing, finds out what is missing */
static GVariant *
make_arguments (const Options *options, gboolean only_look)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (options->token != NULL)
    output_add (&dict, "token", "s", options->token);
  if (options->key != NULL)
    output_add (&dict, "key", "s", options->key);
  if (options->algorithm != NULL)
    output_add (&dict, "algorithm", "s", options->algorithm);
  key_call_add_request (options, &dict);
  if (options->add)
    output_add (&dict, "exclusive", "b", FALSE);
  if (only_look)
    output_add (&dict, "dry-run", "b", TRUE);
  return g_variant_ref_sink (g_variant_builder_end (&dict));
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

static void
add_strings (GVariantBuilder *dict, const char *name, GPtrArray *texts)
{
  g_variant_builder_add (dict, "{sv}", name,
                         g_variant_new_strv ((const char *const *)texts->pdata, texts->len));
}

static void
add_warnings (GVariantBuilder *dict, GVariant *result)
{
  g_autoptr (GVariant) warnings =
      g_variant_lookup_value (result, "warnings", G_VARIANT_TYPE_STRING_ARRAY);

  if (warnings == NULL)
    warnings = g_variant_ref_sink (g_variant_new_strv (NULL, 0));
  g_variant_builder_add (dict, "{sv}", "warnings", warnings);
}

/* On standard error; in JSON they are members. */
static void
warn (GVariant *result, const ProvisionReport *report)
{
  g_autofree const char **warnings = NULL;

  if (g_variant_lookup (result, "warnings", "^a&s", &warnings))
    for (gsize i = 0; warnings[i] != NULL; i++)
      g_printerr ("ggtpmctl: warning: %s\n", warnings[i]);
  for (guint i = 0; i < report->problems->len; i++)
    {
      g_autofree char *clean = output_clean (report->problems->pdata[i]);

      g_printerr ("ggtpmctl: error: %s\n", clean);
    }
}

/* ---- --plan ---- */

static void
print_texts (const char *title, GPtrArray *texts)
{
  if (texts->len > 0)
    output_text ("%s\n", title);
  for (guint i = 0; i < texts->len; i++)
    {
      g_autofree char *clean = output_clean (texts->pdata[i]);

      output_text ("  %s\n", clean);
    }
}

static void
print_plan (Client *client, GVariant *result, const ProvisionReport *report)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (client->json)
    {
      add_strings (&dict, "missing", report->missing);
      add_strings (&dict, "waiting", report->waiting);
      add_strings (&dict, "problems", report->problems);
      add_warnings (&dict, result);
      output_json (g_variant_builder_end (&dict));
      return;
    }
  if (report->missing->len == 0 && report->problems->len == 0)
    output_text ("Nothing is missing.\n");
  print_texts ("To be made:", report->missing);
  print_texts ("Waited for:", report->waiting);
  warn (result, report);
}

static gboolean
plan (Client *client, const Options *options, ProvisionCall *call, GError **error)
{
  g_autoptr (ProvisionFiles) files = NULL;
  g_autoptr (ProvisionReport) report = NULL;
  g_autoptr (GVariant) arguments = make_arguments (options, TRUE);

  call->quiet = TRUE;
  if (!pin_call (client, options, options->token, arguments, call_provision, call, error))
    return FALSE;
  files = provision_files_new (client, call->result);
  report = provision_report_new (call->result);
  if (!provision_files_compare (files, report, error))
    return FALSE;
  print_plan (client, call->result, report);
  return TRUE;
}

/* ---- the result ---- */

/* As the object has it, since the daemon may have taken it from its file; the path where there is none. */
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

static GVariant *
make_array (GPtrArray *dictionaries)
{
  GVariantBuilder array = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));

  for (guint i = 0; i < dictionaries->len; i++)
    g_variant_builder_add_value (&array, dictionaries->pdata[i]);
  return g_variant_builder_end (&array);
}

/* Of the daemon's work or ours. */
static gboolean
is_changed (GVariant *result, GPtrArray *placed)
{
  gboolean changed = FALSE;

  g_variant_lookup (result, "changed", "b", &changed);
  for (guint i = 0; i < placed->len && !changed; i++)
    g_variant_lookup (placed->pdata[i], "changed", "b", &changed);
  return changed;
}

static void
print_key (const Options *options, GVariant *key)
{
  g_autofree char *label = output_clean (lookup (key, "label", "&s"));

  output_text ("Key    %s\nURI    %s\n", label, lookup (key, "uri", "&s"));
  if (!files_is_path (options->csr_out) && *lookup (key, "csr-path", "&s") == '\0')
    output_text ("%s", lookup (key, "csr", "&s"));
}

static void
print_text (const Options *options,
            const char *token,
            GVariant *result,
            const ProvisionReport *report)
{
  g_autoptr (GVariant) keys = g_variant_lookup_value (result, "keys", G_VARIANT_TYPE ("aa{sv}"));
  GPtrArray *placed = report->placed;

  if (!is_changed (result, placed) && report->problems->len == 0)
    output_text ("Nothing was missing.\n");
  output_text ("Token  %s\n", token);
  for (gsize i = 0; keys != NULL && i < g_variant_n_children (keys); i++)
    {
      g_autoptr (GVariant) key = g_variant_get_child_value (keys, i);

      print_key (options, key);
    }
  if (files_is_path (options->csr_out))
    output_text ("CSR    %s\n", options->csr_out);
  for (guint i = 0; i < placed->len; i++)
    {
      const char *what = lookup (placed->pdata[i], "what", "&s");
      g_autofree char *path = output_clean (lookup (placed->pdata[i], "path", "&s"));

      output_text ("%-6s %s\n", g_str_equal (what, "csr") ? "CSR" : what, path);
    }
  print_texts ("Waited for:", report->waiting);
  warn (result, report);
}

static void
print_json (const Options *options,
            const char *token,
            GVariant *result,
            const ProvisionReport *report)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GVariant) keys = g_variant_lookup_value (result, "keys", G_VARIANT_TYPE ("aa{sv}"));
  g_autoptr (GVariant) first = g_variant_get_child_value (keys, 0);

  output_add (&dict, "token", "s", token);
  output_add (&dict, "key", "s", lookup (first, "label", "&s"));
  output_add (&dict, "uri", "s", lookup (first, "uri", "&s"));
  output_add (&dict, "csr", "s", lookup (first, "csr", "&s"));
  output_add (&dict, "changed", "b", is_changed (result, report->placed));
  if (files_is_path (options->csr_out))
    files_describe (&dict, "csr_out", options->csr_out);
  g_variant_builder_add (&dict, "{sv}", "keys", keys);
  g_variant_builder_add (&dict, "{sv}", "files", make_array (report->placed));
  add_strings (&dict, "waiting", report->waiting);
  add_strings (&dict, "problems", report->problems);
  add_warnings (&dict, result);
  output_json (g_variant_builder_end (&dict));
}

/* ---- the whole run ---- */

/* Whether the daemon reads a file, which alone may leave something to us. */
static gboolean
uses_file (const Options *options)
{
  return options->config != NULL ||
         (options->token == NULL && options->key == NULL && options->algorithm == NULL &&
          options->subject == NULL && options->alt_names == NULL && options->key_usage == NULL &&
          options->ext_key_usage == NULL && !options->add && options->pin_file == NULL &&
          options->so_pin_file == NULL);
}

/*
 * Before anything is changed: what is missing, and whether our part can be done. @out_needed: whether the daemon has
 * something to do.
 */
static gboolean
look (Client *client,
      const Options *options,
      ProvisionCall *call,
      gboolean *out_needed,
      GError **error)
{
  g_autoptr (GVariant) arguments = make_arguments (options, TRUE);
  g_autoptr (GUnixFDList) descriptors = g_unix_fd_list_new ();
  g_autoptr (ProvisionFiles) files = NULL;
  g_autoptr (ProvisionReport) report = NULL;
  g_autoptr (GError) local_error = NULL;

  *out_needed = TRUE;
  call->quiet = TRUE;
  if (!call_provision (client, arguments, descriptors, call, &local_error))
    {
      client_convert_error (&local_error);
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  call->quiet = FALSE;
  files = provision_files_new (client, call->result);
  report = provision_report_new (call->result);
  *out_needed =
      report->missing->len > 0 || options->pin_file != NULL || options->so_pin_file != NULL;
  if (!provision_files_compare (files, report, error))
    return FALSE;
  /* its problems are those of the real run, if that has them */
  client->exit_code = 0;
  return TRUE;
}

/* What is there may be a pipe or a device. */
static gboolean
check_csr_out (const Options *options, GError **error)
{
  const char *path = options->csr_out;

  return !files_is_path (path) ||
         (g_file_test (path, G_FILE_TEST_EXISTS) &&
          !g_file_test (path, G_FILE_TEST_IS_REGULAR | G_FILE_TEST_IS_DIR)) ||
         files_check_target (path, FALSE, error);
}

static gboolean
place_and_print (Client *client, const Options *options, GVariant *result, GError **error)
{
  const char *csr = lookup (result, "csr", "&s");
  g_autoptr (ProvisionFiles) files = provision_files_new (client, result);
  g_autoptr (ProvisionReport) report = provision_report_new (result);
  g_autofree char *token = NULL;
  g_autofree char *clean_token = NULL;

  if (files_is_path (options->csr_out) && !files_write (options->csr_out, csr, strlen (csr), error))
    return FALSE;
  provision_files_place (files, options, report);
  token = get_token_label (client, lookup (result, "token", "&o"));
  clean_token = output_clean (token);
  (client->json ? print_json : print_text) (options, clean_token, result, report);
  return TRUE;
}

static gboolean
run (Client *client, const Options *options, ProvisionCall *call, GError **error)
{
  g_autoptr (GVariant) arguments = make_arguments (options, FALSE);
  gboolean needed = TRUE;

  if (!check_csr_out (options, error) ||
      (uses_file (options) && !look (client, options, call, &needed, error)))
    return FALSE;
  if (needed)
    {
      call->quiet = FALSE;
      g_clear_pointer (&call->result, g_variant_unref);
      if (!pin_call (client, options, options->token, arguments, call_provision, call, error))
        return FALSE;
    }
  return place_and_print (client, options, call->result, error);
}

/* Of the daemon's part; our files are another run's. */
static gboolean
start (Client *client, const Options *options, ProvisionCall *call, GError **error)
{
  g_autoptr (GVariant) arguments = make_arguments (options, FALSE);
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (!pin_call (client, options, options->token, arguments, call_provision, call, error))
    return FALSE;
  if (!client->json)
    {
      output_text ("%s\n", call->job);
      return TRUE;
    }
  output_add (&dict, "job", "s", call->job);
  output_json (g_variant_builder_end (&dict));
  return TRUE;
}

gboolean
cmd_provision (Client *client, const Options *options, GError **error)
{
  g_auto (ProvisionCall) call = { .wait = !options->no_wait };

  if (!check_options (options, error))
    return FALSE;
  call.config_name = options->config;
  if (options->config != NULL &&
      (call.config = files_read (options->config, CONFIG_MAX_BYTES, error)) == NULL)
    return FALSE;
  if (!client_connect (client, TRUE, error))
    return FALSE;
  if (options->no_wait)
    return start (client, options, &call, error);
  return (options->plan ? plan : run) (client, options, &call, error);
}
