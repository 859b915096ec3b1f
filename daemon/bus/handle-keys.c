/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "handle-keys.h"

#include "bus/operation.h"
#include "token/handle-key.h"

typedef struct
{
  const Config *config;
  guint32 handle; /* 0: make one */
} HandleArgs;

typedef struct
{
  guint32 handle; /* that was made; 0: none */
  GArray *handles;
} HandleResult;

static void
handle_result_free (gpointer data)
{
  HandleResult *result = data;

  g_clear_pointer (&result->handles, g_array_unref);
  g_free (result);
}

/* au; NULL: none */
static GVariant *
describe (GArray *handles)
{
  return g_variant_ref_sink (
      g_variant_new_fixed_array (G_VARIANT_TYPE_UINT32, handles != NULL ? handles->data : NULL,
                                 handles != NULL ? handles->len : 0, sizeof (guint32)));
}

static gpointer
op_handle (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  HandleArgs *args = data;
  const char *state_dir = args->config->state_dir;
  guint32 handle = 0;
  GArray *handles;
  HandleResult *result;

  if (args->handle == 0 ? !handle_key_create (tpm, state_dir, &handle, error)
                        : !handle_key_remove (tpm, state_dir, args->handle, error))
    return NULL;
  handles = handle_key_list (state_dir, error);
  if (handles == NULL)
    return NULL;
  result = g_new0 (HandleResult, 1);
  result->handle = handle;
  result->handles = handles;
  return result;
}

static void
answer_handle (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer data)
{
  const HandleResult *result = data;
  g_autoptr (GVariant) handles = describe (result->handles);

  ggtpm_provisioning_set_handle_keys (skeleton, handles);
  if (result->handle != 0)
    ggtpm_provisioning_complete_create_handle_key (skeleton, invocation, result->handle);
  else
    ggtpm_provisioning_complete_remove_handle_key (skeleton, invocation);
}

static void
start_handle (const Context *context,
              GgtpmProvisioning *skeleton,
              GDBusMethodInvocation *invocation,
              guint32 handle,
              GVariant *options)
{
  static const OperationType type = { .run = op_handle,
                                      .args_free = g_free,
                                      .result_free = handle_result_free,
                                      .answer = answer_handle };
  HandleArgs *args = g_new0 (HandleArgs, 1);
  Operation *operation = operation_new (context, &type, skeleton, invocation, args);
  GError *error = NULL;

  args->config = context->config;
  args->handle = handle;
  if (!options_check_empty (options, &error))
    operation_refuse (operation, error);
  else
    operation_start (operation);
}

static gboolean
handle_create_handle_key (GgtpmProvisioning *skeleton,
                          GDBusMethodInvocation *invocation,
                          GVariant *options,
                          gpointer user_data)
{
  start_handle (user_data, skeleton, invocation, 0, options);
  return TRUE;
}

static gboolean
handle_remove_handle_key (GgtpmProvisioning *skeleton,
                          GDBusMethodInvocation *invocation,
                          guint handle,
                          GVariant *options,
                          gpointer user_data)
{
  /* 0 is no handle of ours, and here it would mean another thing */
  start_handle (user_data, skeleton, invocation, handle != 0 ? handle : 1, options);
  return TRUE;
}

void
handle_keys_connect (const Context *context, GgtpmProvisioning *skeleton)
{
  gpointer data = (gpointer)context;
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GArray) handles = handle_key_list (context->config->state_dir, &local_error);
  g_autoptr (GVariant) value = describe (handles);

  if (handles == NULL)
    g_warning ("%s", local_error->message);
  ggtpm_provisioning_set_handle_keys (skeleton, value);
  g_object_connect (skeleton, "signal::handle-create-handle-key", handle_create_handle_key, data,
                    "signal::handle-remove-handle-key", handle_remove_handle_key, data, NULL);
}
