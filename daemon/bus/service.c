/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "service.h"

#include "build-config.h"
#include "bus/catalog.h"
#include "bus/device-object.h"
#include "bus/gate.h"
#include "bus/health-object.h"
#include "bus/jobs.h"
#include "bus/manager-object.h"
#include "bus/operation.h"
#include "bus/ownership-object.h"
#include "bus/platform-object.h"
#include "bus/provisioning-object.h"
#include "dbus/names.h"
#include "ggtpm-generated.h"

struct _Service
{
  GDBusConnection *connection;
  Context context;
  GDBusObjectManagerServer *objects;
  Gate *gate;
  Jobs *jobs;
  ManagerObject *manager;
  ProvisioningObject *provisioning;
  DeviceObject *device;
  HealthObject *health;
  OwnershipObject *ownership;
  PlatformObject *platform;
  Catalog *catalog;
  GSourceFunc ready;
  GSourceFunc lost;
  gpointer user_data;
  BrokerState state;
  guint name_id;
  guint wait_id;
};

/* ---- the name ---- */

static void
on_name_acquired (GDBusConnection *connection, const char *name, gpointer user_data)
{
  Service *service = user_data;
  GSourceFunc ready = g_steal_pointer (&service->ready);

  if (ready != NULL)
    ready (service->user_data);
}

static void
on_name_lost (GDBusConnection *connection, const char *name, gpointer user_data)
{
  Service *service = user_data;

  service->lost (service->user_data);
}

static void
own_name (Service *service)
{
  g_clear_handle_id (&service->wait_id, g_source_remove);
  if (service->name_id == 0)
    service->name_id = g_bus_own_name_on_connection (service->connection, GGTPM_BUS_NAME,
                                                     G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE,
                                                     on_name_acquired, on_name_lost, service, NULL);
}

static gboolean
on_waited (gpointer user_data)
{
  Service *service = user_data;

  service->wait_id = 0;
  own_name (service);
  return G_SOURCE_REMOVE;
}

/* ---- what changes ---- */

static void
on_listed (const char *provisioning_state, gpointer user_data)
{
  Service *service = user_data;

  if (provisioning_state != NULL)
    provisioning_object_set_state (service->provisioning, provisioning_state);
  own_name (service);
}

static void
set_unavailable (Service *service, BrokerState state, const char *reason)
{
  g_clear_pointer (&service->context.unavailable, g_free);
  if (state != BROKER_STATE_READY)
    service->context.unavailable =
        g_strdup (state == BROKER_STATE_STARTING ? "it is being opened: try again" : reason);
}

void
service_set_broker_state (Service *service, BrokerState state, const char *reason)
{
  gboolean became_ready = state == BROKER_STATE_READY && service->state != BROKER_STATE_READY;

  service->state = state;
  set_unavailable (service, state, reason);
  manager_object_set_state (service->manager, state, reason);
  if (became_ready)
    {
      catalog_refresh (service->catalog);
      device_object_refresh (service->device);
      ownership_object_refresh (service->ownership);
    }
  else if (state == BROKER_STATE_UNAVAILABLE || state == BROKER_STATE_FAILED)
    own_name (service);
}

/* ---- the objects ---- */

static void
export_interface (Service *service, GDBusInterfaceSkeleton *skeleton)
{
  g_autoptr (GError) local_error = NULL;

  if (!g_dbus_interface_skeleton_export (skeleton, service->connection, GGTPM_ROOT_PATH,
                                         &local_error))
    g_critical ("cannot export %s: %s", g_dbus_interface_skeleton_get_info (skeleton)->name,
                local_error->message);
}

static void
export_device (Service *service)
{
  g_autoptr (GDBusObjectSkeleton) object = g_dbus_object_skeleton_new (GGTPM_DEVICE_PATH);

  g_dbus_object_skeleton_add_interface (object, device_object_get_skeleton (service->device));
  g_dbus_object_skeleton_add_interface (object, health_object_get_skeleton (service->health));
  g_dbus_object_skeleton_add_interface (object, ownership_object_get_skeleton (service->ownership));
  g_dbus_object_skeleton_add_interface (object, platform_object_get_skeleton (service->platform));
  g_dbus_object_manager_server_export (service->objects, object);
}

static void
on_checked (Monitor *monitor, gpointer user_data)
{
  Service *service = user_data;
  const HealthFacts *facts = monitor_get_facts (monitor);
  g_autofree char *reason =
      advisories_explain_refusal (facts->advisories, facts->have_fixed, &facts->fixed);

  tokens_refuse_rsa (service->context.tokens, reason);
}

static void
make_objects (Service *service, Monitor *monitor)
{
  const Context *context = &service->context;

  service->manager = manager_object_new (context);
  service->provisioning = provisioning_object_new (context);
  service->device = device_object_new (context, monitor);
  service->health = health_object_new (context, monitor);
  service->ownership = ownership_object_new (context);
  service->platform = platform_object_new (context);
  service->catalog = catalog_new (context, on_listed, service);
  service->context.list = catalog_list;
  service->context.list_free = catalog_list_free;
  service->context.show = catalog_show;
  service->context.show_data = service->catalog;
  export_device (service);
  export_interface (service, manager_object_get_skeleton (service->manager));
  export_interface (service, provisioning_object_get_skeleton (service->provisioning));
}

Service *
service_new (GDBusConnection *connection,
             const Config *config,
             Tokens *tokens,
             Worker *token_lane,
             Worker *chip,
             Monitor *monitor,
             GSourceFunc ready,
             GSourceFunc lost,
             gpointer user_data)
{
  Service *service = g_new0 (Service, 1);

  service->connection = g_object_ref (connection);
  service->ready = ready;
  service->lost = lost;
  service->user_data = user_data;
  service->objects = g_dbus_object_manager_server_new (GGTPM_ROOT_PATH);
  service->gate = gate_new (connection, GGTPM_GROUP);
  service->jobs = jobs_new (service->objects, service->gate);
  service->context.config = config;
  set_unavailable (service, BROKER_STATE_STARTING, NULL);
  service->context.objects = service->objects;
  service->context.gate = service->gate;
  service->context.jobs = service->jobs;
  service->context.tokens = tokens;
  service->context.signer = signer_new ();
  service->context.lane = token_lane;
  service->context.monitor = monitor;
  service->context.chip = chip;
  make_objects (service, monitor);
  g_signal_connect (monitor, "checked", G_CALLBACK (on_checked), service);
  g_dbus_object_manager_server_set_connection (service->objects, connection);
  service->wait_id = g_timeout_add_seconds (SERVICE_NAME_WAIT_S, on_waited, service);
  return service;
}

void
service_free (Service *service)
{
  g_signal_handlers_disconnect_by_data (service->context.monitor, service);
  g_clear_handle_id (&service->wait_id, g_source_remove);
  if (service->name_id != 0)
    g_bus_unown_name (service->name_id);
  g_dbus_interface_skeleton_unexport (manager_object_get_skeleton (service->manager));
  g_dbus_interface_skeleton_unexport (provisioning_object_get_skeleton (service->provisioning));
  g_dbus_object_manager_server_unexport (service->objects, GGTPM_DEVICE_PATH);
  signer_free (service->context.signer);
  catalog_free (service->catalog);
  jobs_free (service->jobs);
  ownership_object_free (service->ownership);
  platform_object_free (service->platform);
  health_object_free (service->health);
  device_object_free (service->device);
  provisioning_object_free (service->provisioning);
  manager_object_free (service->manager);
  gate_free (service->gate);
  g_dbus_object_manager_server_set_connection (service->objects, NULL);
  g_object_unref (service->objects);
  g_object_unref (service->connection);
  g_free (service->context.unavailable);
  g_free (service);
}
