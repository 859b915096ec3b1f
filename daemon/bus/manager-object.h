/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "broker/broker.h"
#include "bus/operation.h"

G_BEGIN_DECLS

/* ManagerObject: org.ggtpm1.Manager on the root object. */
typedef struct _ManagerObject ManagerObject;

/* @context outlives it. */
ManagerObject *manager_object_new (const Context *context);
void manager_object_free (ManagerObject *object);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ManagerObject, manager_object_free)

/* To be exported by the service: the object manager cannot hold an object on its own path. */
GDBusInterfaceSkeleton *manager_object_get_skeleton (ManagerObject *object);
void manager_object_set_state (ManagerObject *object, BrokerState state, const char *reason);

G_END_DECLS
