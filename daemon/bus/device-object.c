/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "device-object.h"

#include "bus/device-calls.h"
#include "bus/options.h"
#include "bus/reply.h"
#include "ggtpm-generated.h"
#include "tpm/abilities.h"
#include "tpm/vendor.h"

struct _DeviceObject
{
  const Context *context;
  Monitor *monitor;
  GgtpmDevice *skeleton;
};

/* `device:/dev/tpm0` -> `/dev/tpm0`; the other TCTIs have no node. */
static const char *
get_node (const char *tcti)
{
  if (g_str_has_prefix (tcti, "device:"))
    return tcti + strlen ("device:");
  return g_str_equal (tcti, "device") ? "/dev/tpm0" : "";
}

static void
show_memory (GgtpmDevice *skeleton, TPMA_MEMORY memory)
{
  const char *words[4] = { NULL };
  guint n = 0;

  if (memory & TPMA_MEMORY_SHAREDRAM)
    words[n++] = "shared-ram";
  if (memory & TPMA_MEMORY_SHAREDNV)
    words[n++] = "shared-nv";
  if (memory & TPMA_MEMORY_OBJECTCOPIEDTORAM)
    words[n++] = "object-copied-to-ram";
  ggtpm_device_set_memory (skeleton, words);
}

static void
show (DeviceObject *object)
{
  GgtpmDevice *skeleton = object->skeleton;
  const FixedProperties *fixed = &monitor_get_facts (object->monitor)->fixed;
  g_autofree char *model = vendor_get_model (fixed);
  g_autofree char *firmware =
      vendor_format_firmware (fixed->manufacturer_id, fixed->firmware_1, fixed->firmware_2);

  /* without a chip read there is nothing to be decoded: zeros would look like a version */
  if (fixed->manufacturer_id == 0)
    *firmware = '\0';
  ggtpm_device_set_family (skeleton, fixed->family);
  ggtpm_device_set_level (skeleton, fixed->level);
  ggtpm_device_set_revision (skeleton, fixed->revision);
  ggtpm_device_set_spec_date (skeleton, g_variant_new ("(uu)", fixed->year, fixed->day_of_year));
  ggtpm_device_set_manufacturer (skeleton, fixed->manufacturer);
  ggtpm_device_set_manufacturer_id (skeleton, fixed->manufacturer_id);
  ggtpm_device_set_vendor_string (skeleton, fixed->vendor_string);
  ggtpm_device_set_model (skeleton, model);
  ggtpm_device_set_tpm_type (skeleton, fixed->tpm_type);
  ggtpm_device_set_firmware_version (skeleton, firmware);
  ggtpm_device_set_firmware_raw (skeleton,
                                 g_variant_new ("(uu)", fixed->firmware_1, fixed->firmware_2));
  show_memory (skeleton, fixed->memory);
}

/* ---- what the chip can ---- */

/* What the chip can, and how its machine uses it. */
typedef struct
{
  Abilities *abilities;
  PlatformFacts *platform;
} Nature;

static void
nature_free (gpointer data)
{
  Nature *nature = data;

  g_clear_pointer (&nature->abilities, abilities_free);
  g_clear_pointer (&nature->platform, platform_facts_free);
  g_free (nature);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Nature, nature_free)

/* @args: path of the firmware's log; NULL: there can be none */
static gpointer
op_read_nature (Tpm *tpm, gpointer args, GCancellable *cancellable, GError **error)
{
  g_autoptr (Nature) nature = g_new0 (Nature, 1);

  nature->abilities = abilities_read (tpm, error);
  if (nature->abilities == NULL)
    return NULL;
  nature->platform = platform_facts_read (tpm, nature->abilities, args, error);
  return nature->platform != NULL ? g_steal_pointer (&nature) : NULL;
}

static void
show_abilities (GgtpmDevice *skeleton, const Abilities *abilities)
{
  ggtpm_device_set_algorithms (skeleton, (const char *const *)abilities->algorithms);
  ggtpm_device_set_curves (skeleton, (const char *const *)abilities->curves);
  ggtpm_device_set_pcr_banks (skeleton, (const char *const *)abilities->pcr_banks);
  ggtpm_device_set_max_command (skeleton, abilities->max_command);
  ggtpm_device_set_max_response (skeleton, abilities->max_response);
  ggtpm_device_set_update_mode (skeleton, abilities->update_mode);
  ggtpm_device_set_updates_remaining (skeleton, abilities->updates_remaining);
}

/* For an answer that may come when the service is gone. */
typedef struct
{
  GgtpmDevice *skeleton;
  Monitor *monitor;
} Refreshed;

static void
refreshed_free (Refreshed *refreshed)
{
  g_object_unref (refreshed->skeleton);
  g_object_unref (refreshed->monitor);
  g_free (refreshed);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Refreshed, refreshed_free)

static void
read_nature_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Refreshed) refreshed = user_data;
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Nature) nature = worker_run_finish (result, &local_error);

  if (nature == NULL)
    {
      /* what is wrong with the chip, the monitor has noticed and says */
      g_debug ("reading what the chip can: %s", local_error->message);
      return;
    }
  show_abilities (refreshed->skeleton, nature->abilities);
  monitor_set_platform (refreshed->monitor, g_steal_pointer (&nature->platform));
}

/* Where Linux gives out what the firmware has logged for this chip; NULL: it has no node, so the firmware has none. */
static char *
get_event_log (const char *node)
{
  g_autofree char *base = g_path_get_basename (node);
  const char *number = base + strlen ("tpm");

  if (!g_str_has_prefix (base, "tpm"))
    return NULL;
  if (g_str_has_prefix (base, "tpmrm"))
    number += strlen ("rm");
  return g_strdup_printf ("/sys/kernel/security/tpm%s/binary_bios_measurements", number);
}

void
device_object_refresh (DeviceObject *object)
{
  Refreshed *refreshed = g_new0 (Refreshed, 1);

  refreshed->skeleton = g_object_ref (object->skeleton);
  refreshed->monitor = g_object_ref (object->monitor);
  worker_run_async (object->context->chip, op_read_nature,
                    get_event_log (ggtpm_device_get_node (object->skeleton)), g_free, nature_free,
                    NULL, read_nature_done, refreshed);
}

/* ---- methods ---- */

static void
refresh_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GDBusMethodInvocation *invocation = user_data;
  GError *error = NULL;

  if (!monitor_check_finish (result, &error))
    reply_error (invocation, error);
  else
    ggtpm_device_complete_refresh (NULL, invocation);
}

static gboolean
handle_refresh (GgtpmDevice *skeleton,
                GDBusMethodInvocation *invocation,
                GVariant *options,
                gpointer user_data)
{
  DeviceObject *object = user_data;
  GError *error = NULL;

  if (!options_check_empty (options, &error))
    {
      reply_error (invocation, error);
      return TRUE;
    }
  device_object_refresh (object);
  monitor_check_async (object->monitor, NULL, refresh_done, invocation);
  return TRUE;
}

/* ---- the object ---- */

GDBusInterfaceSkeleton *
device_object_get_skeleton (DeviceObject *object)
{
  return G_DBUS_INTERFACE_SKELETON (object->skeleton);
}

DeviceObject *
device_object_new (const Context *context, Monitor *monitor)
{
  DeviceObject *object = g_new0 (DeviceObject, 1);

  object->context = context;
  object->monitor = monitor;
  object->skeleton = gate_new_skeleton (context->gate, GGTPM_TYPE_DEVICE_SKELETON);
  ggtpm_device_set_node (object->skeleton, get_node (context->config->tcti));
  ggtpm_device_set_tcti (object->skeleton, context->config->tcti);
  ggtpm_device_set_updates_remaining (object->skeleton, ABILITIES_UPDATES_UNKNOWN);
  show (object);
  g_signal_connect_swapped (monitor, "changed", G_CALLBACK (show), object);
  g_signal_connect (object->skeleton, "handle-refresh", G_CALLBACK (handle_refresh), object);
  device_calls_connect (object->skeleton, context);
  return object;
}

void
device_object_free (DeviceObject *object)
{
  g_signal_handlers_disconnect_by_data (object->monitor, object);
  g_object_unref (object->skeleton);
  g_free (object);
}
