/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "device-object.h"

#include "bus/options.h"
#include "bus/reply.h"
#include "ggtpm-generated.h"
#include "tpm/vendor.h"

struct _DeviceObject
{
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

typedef struct
{
  GgtpmDevice *skeleton;
  GDBusMethodInvocation *invocation;
} Refresh;

static void
refresh_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Refresh *refresh = user_data;
  GError *error = NULL;

  if (!monitor_check_finish (result, &error))
    reply_error (refresh->invocation, error);
  else
    ggtpm_device_complete_refresh (refresh->skeleton, refresh->invocation);
  g_object_unref (refresh->skeleton);
}

static gboolean
handle_refresh (GgtpmDevice *skeleton,
                GDBusMethodInvocation *invocation,
                GVariant *options,
                gpointer user_data)
{
  DeviceObject *object = user_data;
  GError *error = NULL;
  Refresh *refresh;

  if (!options_check_empty (options, &error))
    {
      reply_error (invocation, error);
      return TRUE;
    }
  refresh = g_new0 (Refresh, 1);
  refresh->skeleton = g_object_ref (skeleton);
  refresh->invocation = invocation;
  monitor_check_async (object->monitor, NULL, refresh_done, refresh);
  return TRUE;
}

GDBusInterfaceSkeleton *
device_object_get_skeleton (DeviceObject *object)
{
  return G_DBUS_INTERFACE_SKELETON (object->skeleton);
}

DeviceObject *
device_object_new (const Context *context, Monitor *monitor)
{
  DeviceObject *object = g_new0 (DeviceObject, 1);

  object->monitor = monitor;
  object->skeleton = gate_new_skeleton (context->gate, GGTPM_TYPE_DEVICE_SKELETON);
  ggtpm_device_set_node (object->skeleton, get_node (context->config->tcti));
  ggtpm_device_set_tcti (object->skeleton, context->config->tcti);
  show (object);
  g_signal_connect_swapped (monitor, "changed", G_CALLBACK (show), object);
  g_signal_connect (object->skeleton, "handle-refresh", G_CALLBACK (handle_refresh), object);
  return object;
}

void
device_object_free (DeviceObject *object)
{
  g_signal_handlers_disconnect_by_data (object->monitor, object);
  g_object_unref (object->skeleton);
  g_free (object);
}
