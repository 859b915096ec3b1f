/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "provisioning-object.h"

#include "bus/backup-call.h"
#include "bus/config-methods.h"
#include "bus/handle-keys.h"
#include "bus/options.h"
#include "bus/provisioning-result.h"
#include "bus/reply.h"
#include "bus/token-removal.h"
#include "common/sealed-file.h"
#include "dbus/error.h"
#include "ggtpm-generated.h"
#include "provision/steps.h"

/* Of a provision.conf that comes with the call. */
#define PLAN_MAX_BYTES (64 * 1024)

struct _ProvisioningObject
{
  const Context *context;
  GgtpmProvisioning *skeleton;
};

/* ---- Provision ---- */

typedef struct
{
  const Config *config;
  Tokens *tokens;
  Job *job;
  Plan *plan; /* NULL: that of the file, or all defaults where there is none */
  gboolean dry_run;
} ProvisionArgs;

static void
provision_args_free (gpointer data)
{
  ProvisionArgs *args = data;

  g_clear_pointer (&args->job, job_unref);
  g_clear_pointer (&args->plan, plan_free);
  g_free (args);
}

static void
on_progress (const char *step, double progress, gpointer user_data)
{
  job_report (user_data, step, progress);
}

static Plan *
load_plan (const Config *config, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  Plan *plan = plan_load (config->provision_conf, &local_error);

  if (plan == NULL && g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    return plan_new ();
  if (plan == NULL)
    g_propagate_error (error, g_steal_pointer (&local_error));
  return plan;
}

static gpointer
op_provision (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  ProvisionArgs *args = data;
  StepsResult *steps;

  job_report (args->job, "looking at what is there", 0.0);
  if (args->plan == NULL && (args->plan = load_plan (args->config, error)) == NULL)
    return NULL;
  args->plan->dry_run = args->dry_run;
  if (!plan_check (args->plan, error))
    return NULL;
  steps = steps_run (args->tokens, tpm, args->config, args->plan, on_progress, args->job,
                     cancellable, error);
  return steps != NULL ? provisioning_result_new (g_steal_pointer (&args->plan), steps) : NULL;
}

/* What the file would say is not to be said a second time. */
static gboolean
read_config (GVariant *options, int fd, Plan *plan, GError **error)
{
  static const char *const said[] = { "token",     "key",       "algorithm",    "subject",
                                      "alt-names", "key-usage", "ext-key-usage" };
  g_autofree char *text = NULL;
  gsize len = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (said); i++)
    {
      g_autoptr (GVariant) value = g_variant_lookup_value (options, said[i], NULL);

      if (value == NULL)
        continue;
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "%s cannot be with config, which says it", said[i]);
      return FALSE;
    }
  text = sealed_file_read (fd, "config", PLAN_MAX_BYTES, &len, error);
  return text != NULL && plan_read (plan, text, len, error);
}

static gboolean
handle_provision (GgtpmProvisioning *skeleton,
                  GDBusMethodInvocation *invocation,
                  GUnixFDList *fds,
                  GVariant *options,
                  gpointer user_data)
{
  static const OperationType type = { .run = op_provision,
                                      .args_free = provision_args_free,
                                      .result_free = provisioning_result_free,
                                      .changes_store = TRUE,
                                      .job = "provision",
                                      .job_result = provisioning_result_to_variant };
  ProvisioningObject *object = user_data;
  ProvisionArgs *args = g_new0 (ProvisionArgs, 1);
  Operation *operation = operation_new (object->context, &type, skeleton, invocation, args);
  g_autoptr (Plan) plan = plan_new ();
  GError *error = NULL;
  int config_fd = -1;
  PlanKey *key = plan->keys->pdata[0];
  const Option table[] = {
    { "token", "s", &plan->token },
    { "key", "s", &key->label },
    { "algorithm", "s", &key->algorithm },
    { "subject", "s", &key->subject },
    { "alt-names", "as", &key->extensions.alt_names },
    { "key-usage", "as", &key->extensions.key_usage },
    { "ext-key-usage", "as", &key->extensions.ext_key_usage },
    { "exclusive", "b", &plan->exclusive },
    operation_pin_option (operation, "pin", &plan->pin),
    operation_pin_option (operation, "so-pin", &plan->so_pin),
    { "config", "h", &config_fd },
    { "dry-run", "b", &args->dry_run },
    { NULL, NULL, NULL },
  };
  g_autoptr (GVariant) dry_run = g_variant_lookup_value (options, "dry-run", NULL);

  args->config = object->context->config;
  args->tokens = object->context->tokens;
  if (!options_parse (options, fds, table, &error) ||
      (config_fd >= 0 && !read_config (options, config_fd, plan, &error)) ||
      !plan_check (plan, &error))
    {
      operation_refuse (operation, error);
      return TRUE;
    }
  if (g_variant_n_children (options) > (dry_run != NULL ? 1 : 0))
    args->plan = g_steal_pointer (&plan);
  operation_start_job (operation, &args->job);
  return TRUE;
}

/* ---- the object ---- */

GDBusInterfaceSkeleton *
provisioning_object_get_skeleton (ProvisioningObject *object)
{
  return G_DBUS_INTERFACE_SKELETON (object->skeleton);
}

void
provisioning_object_set_state (ProvisioningObject *object, const char *state)
{
  ggtpm_provisioning_set_state (object->skeleton, state);
}

ProvisioningObject *
provisioning_object_new (const Context *context)
{
  ProvisioningObject *object = g_new0 (ProvisioningObject, 1);

  object->context = context;
  object->skeleton = gate_new_skeleton (context->gate, GGTPM_TYPE_PROVISIONING_SKELETON);
  ggtpm_provisioning_set_state (object->skeleton, "unknown");
  g_signal_connect (object->skeleton, "handle-provision", G_CALLBACK (handle_provision), object);
  token_removal_connect (object->skeleton, context);
  backup_call_connect (object->skeleton, context);
  config_methods_connect (context, object->skeleton);
  handle_keys_connect (context, object->skeleton);
  return object;
}

void
provisioning_object_free (ProvisioningObject *object)
{
  g_object_unref (object->skeleton);
  g_free (object);
}
