/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"
#include "health/monitor.h"

G_BEGIN_DECLS

/* DeviceObject: org.ggtpm1.Device on /org/ggtpm1/tpm0. */
typedef struct _DeviceObject DeviceObject;

/* @context and @monitor outlive it. */
DeviceObject *device_object_new (const Context *context, Monitor *monitor);
void device_object_free (DeviceObject *object);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DeviceObject, device_object_free)

/* Reads again what the chip can (Algorithms, Curves, PcrBanks ...); they change when it has been read. */
void device_object_refresh (DeviceObject *object);

/* To be exported by the service, beside the one of HealthObject. */
GDBusInterfaceSkeleton *device_object_get_skeleton (DeviceObject *object);

G_END_DECLS
