/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"
#include "health/monitor.h"

G_BEGIN_DECLS

/* HealthObject: org.ggtpm1.Health on /org/ggtpm1/tpm0. */
typedef struct _HealthObject HealthObject;

/* @context and @monitor outlive it. */
HealthObject *health_object_new (const Context *context, Monitor *monitor);
void health_object_free (HealthObject *object);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HealthObject, health_object_free)

/* To be exported by the service, beside the one of DeviceObject. */
GDBusInterfaceSkeleton *health_object_get_skeleton (HealthObject *object);

G_END_DECLS
