/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "config-methods.h"

#include "bus/config-check.h"
#include "bus/options.h"
#include "bus/render.h"
#include "bus/reply.h"
#include "common/sealed-file.h"
#include "dbus/error.h"
#include "greengrass/records.h"

#include <string.h>

#define CONFIG_MAX_BYTES (1024 * 1024)
#define MAX_PARAMS       24

static gboolean
parse_params (GVariant *options, GreengrassParams *params, GError **error)
{
  const char *const *names = greengrass_params_get_names ();
  Option table[MAX_PARAMS + 1] = { 0 };

  for (gsize i = 0; names[i] != NULL && i < MAX_PARAMS; i++)
    table[i] = (Option){ names[i], "s", greengrass_params_find (params, names[i]) };
  return options_parse (options, NULL, table, error);
}

/* ---- RenderConfig ---- */

static void
answer_render_config (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer data)
{
  Rendered *rendered = data;
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  GError *error = NULL;
  int handle = g_unix_fd_list_append (fds, rendered->fd, &error);

  if (handle < 0)
    reply_error (invocation, error);
  else
    ggtpm_provisioning_complete_render_config (skeleton, invocation, fds,
                                               g_variant_new_handle (handle), rendered->path);
}

static gboolean
handle_render_config (GgtpmProvisioning *skeleton,
                      GDBusMethodInvocation *invocation,
                      GUnixFDList *fds,
                      const char *flavour,
                      GVariant *options,
                      gpointer user_data)
{
  static const OperationType type = { .run = render_run,
                                      .args_free = render_args_free,
                                      .result_free = (GDestroyNotify)rendered_free,
                                      .answer = answer_render_config };
  const Context *context = user_data;
  RenderArgs *args = render_args_new (context->config, context->tokens);
  Operation *operation = operation_new (context, &type, skeleton, invocation, args);
  GError *error = NULL;

  if (!greengrass_flavour_from_string (flavour, &args->flavour, &error) ||
      !parse_params (options, args->params, &error))
    operation_refuse (operation, error);
  else
    operation_start (operation);
  return TRUE;
}

/* ---- RememberConfig, ForgetConfig ---- */

typedef struct
{
  const Config *config;
  char *path;
  Record *record; /* NULL: forget it */
} RecordArgs;

static void
record_args_free (gpointer data)
{
  RecordArgs *args = data;

  g_free (args->path);
  record_free (args->record);
  g_free (args);
}

/* a(ssa{ss}) */
static GVariant *
describe (GPtrArray *records)
{
  const char *const *names = greengrass_params_get_names ();
  GVariantBuilder configs = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(ssa{ss})"));

  for (guint i = 0; i < records->len; i++)
    {
      const Record *record = g_ptr_array_index (records, i);

      g_variant_builder_open (&configs, G_VARIANT_TYPE ("(ssa{ss})"));
      g_variant_builder_add (&configs, "s", record->path);
      g_variant_builder_add (&configs, "s", greengrass_flavour_to_string (record->flavour));
      g_variant_builder_open (&configs, G_VARIANT_TYPE ("a{ss}"));
      for (guint j = 0; names[j] != NULL; j++)
        if (*greengrass_params_find (record->params, names[j]) != NULL)
          g_variant_builder_add (&configs, "{ss}", names[j],
                                 *greengrass_params_find (record->params, names[j]));
      g_variant_builder_close (&configs);
      g_variant_builder_close (&configs);
    }
  return g_variant_ref_sink (g_variant_builder_end (&configs));
}

static gpointer
op_record (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  RecordArgs *args = data;
  g_autoptr (GPtrArray) records = records_load (args->config->state_dir, error);
  g_autoptr (GVariant) before = records != NULL ? describe (records) : NULL;
  g_autoptr (GVariant) after = NULL;

  if (records == NULL)
    return NULL;
  if (args->record == NULL && !records_remove (records, args->path))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND, "'%s' is none of ours", args->path);
      return NULL;
    }
  if (args->record != NULL && !records_put (records, g_steal_pointer (&args->record), error))
    return NULL;
  after = describe (records);
  if (!g_variant_equal (before, after) && !records_save (records, args->config->state_dir, error))
    return NULL;
  return g_steal_pointer (&after);
}

/* Both methods have no results: their answers are the same message. */
static void
answer_record (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer configs)
{
  ggtpm_provisioning_set_configs (skeleton, configs);
  g_dbus_method_invocation_return_value (invocation, NULL);
}

/* Takes @record, which may be NULL. */
static void
start_record (const Context *context,
              GgtpmProvisioning *skeleton,
              GDBusMethodInvocation *invocation,
              const char *path,
              Record *record)
{
  static const OperationType type = { .run = op_record,
                                      .args_free = record_args_free,
                                      .result_free = (GDestroyNotify)g_variant_unref,
                                      .answer = answer_record };
  RecordArgs *args = g_new0 (RecordArgs, 1);

  args->config = context->config;
  args->path = g_strdup (path);
  args->record = record;
  operation_start (operation_new (context, &type, skeleton, invocation, args));
}

static gboolean
check_path (const char *path, GError **error)
{
  g_autofree char *canonical = g_canonicalize_filename (path, "/");

  if (g_str_equal (path, canonical) && strlen (path) <= OPTIONS_STRING_MAX)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "the path is not absolute, not in its shortest form, or longer than %d bytes",
               OPTIONS_STRING_MAX);
  return FALSE;
}

static gboolean
handle_remember_config (GgtpmProvisioning *skeleton,
                        GDBusMethodInvocation *invocation,
                        const char *path,
                        const char *flavour,
                        GVariant *options,
                        gpointer user_data)
{
  g_autoptr (Record) record = g_new0 (Record, 1);
  GError *error = NULL;

  record->path = g_strdup (path);
  record->params = g_new0 (GreengrassParams, 1);
  if (!check_path (path, &error) ||
      !greengrass_flavour_from_string (flavour, &record->flavour, &error) ||
      !parse_params (options, record->params, &error))
    reply_error (invocation, error);
  else
    start_record (user_data, skeleton, invocation, path, g_steal_pointer (&record));
  return TRUE;
}

static gboolean
handle_forget_config (GgtpmProvisioning *skeleton,
                      GDBusMethodInvocation *invocation,
                      const char *path,
                      GVariant *options,
                      gpointer user_data)
{
  GError *error = NULL;

  if (!check_path (path, &error) || !options_check_empty (options, &error))
    reply_error (invocation, error);
  else
    start_record (user_data, skeleton, invocation, path, NULL);
  return TRUE;
}

/* ---- CheckConfig ---- */

static void
answer_check_config (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  g_dbus_method_invocation_return_value (invocation, result);
}

static gboolean
handle_check_config (GgtpmProvisioning *skeleton,
                     GDBusMethodInvocation *invocation,
                     GUnixFDList *fds,
                     const char *flavour,
                     GVariant *options,
                     gpointer user_data)
{
  static const OperationType type = { .run = config_check_run,
                                      .args_free = config_check_args_free,
                                      .result_free = (GDestroyNotify)g_variant_unref,
                                      .answer = answer_check_config };
  const Context *context = user_data;
  ConfigCheckArgs *args = g_new0 (ConfigCheckArgs, 1);
  Operation *operation = operation_new (context, &type, skeleton, invocation, args);
  GError *error = NULL;
  int fd = -1;
  const Option table[] = { { "config", "h", &fd },
                           { "token", "s", &args->token },
                           { NULL, NULL, NULL } };

  args->tokens = context->tokens;
  if (!greengrass_flavour_from_string (flavour, &args->flavour, &error) ||
      !options_parse (options, fds, table, &error) ||
      (args->text = sealed_file_read (fd, "config", CONFIG_MAX_BYTES, &args->len, &error)) == NULL)
    operation_refuse (operation, error);
  else
    operation_start (operation);
  return TRUE;
}

void
config_methods_connect (const Context *context, GgtpmProvisioning *skeleton)
{
  gpointer data = (gpointer)context;
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GPtrArray) records = records_load (context->config->state_dir, &local_error);
  g_autoptr (GVariant) configs = NULL;

  if (records == NULL)
    {
      g_warning ("%s", local_error->message);
      records = g_ptr_array_new ();
    }
  configs = describe (records);
  ggtpm_provisioning_set_configs (skeleton, configs);
  g_object_connect (skeleton, "signal::handle-render-config", handle_render_config, data,
                    "signal::handle-remember-config", handle_remember_config, data,
                    "signal::handle-forget-config", handle_forget_config, data,
                    "signal::handle-check-config", handle_check_config, data, NULL);
}
