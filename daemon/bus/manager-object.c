/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "manager-object.h"

#include "build-config.h"
#include "dbus/names.h"
#include "ggtpm-generated.h"

struct _ManagerObject
{
  GgtpmManager *skeleton;
};

static const char *
state_to_string (BrokerState state)
{
  switch (state)
    {
    case BROKER_STATE_READY:
      return "ready";
    case BROKER_STATE_UNAVAILABLE:
      return "unavailable";
    case BROKER_STATE_FAILED:
      return "failed";
    case BROKER_STATE_STARTING:
    default:
      return "starting";
    }
}

GDBusInterfaceSkeleton *
manager_object_get_skeleton (ManagerObject *object)
{
  return G_DBUS_INTERFACE_SKELETON (object->skeleton);
}

void
manager_object_set_state (ManagerObject *object, BrokerState state, const char *reason)
{
  ggtpm_manager_set_state (object->skeleton, state_to_string (state));
  ggtpm_manager_set_state_reason (object->skeleton, reason != NULL ? reason : "");
}

ManagerObject *
manager_object_new (const Context *context)
{
  ManagerObject *object = g_new0 (ManagerObject, 1);

  object->skeleton = gate_new_skeleton (context->gate, GGTPM_TYPE_MANAGER_SKELETON);
  ggtpm_manager_set_version (object->skeleton, PACKAGE_VERSION);
  ggtpm_manager_set_api_version (object->skeleton, GGTPM_API_VERSION);
  ggtpm_manager_set_mode (object->skeleton, config_mode_to_string (context->config->mode));
  manager_object_set_state (object, BROKER_STATE_STARTING, "");
  return object;
}

void
manager_object_free (ManagerObject *object)
{
  g_object_unref (object->skeleton);
  g_free (object);
}
