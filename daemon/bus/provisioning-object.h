/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"

G_BEGIN_DECLS

/* ProvisioningObject: org.ggtpm1.Provisioning on the root object. */
typedef struct _ProvisioningObject ProvisioningObject;

/* @context outlives it. */
ProvisioningObject *provisioning_object_new (const Context *context);
void provisioning_object_free (ProvisioningObject *object);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ProvisioningObject, provisioning_object_free)

/* To be exported by the service: the object manager cannot hold an object on its own path. */
GDBusInterfaceSkeleton *provisioning_object_get_skeleton (ProvisioningObject *object);
/* As in the interface's State. */
void provisioning_object_set_state (ProvisioningObject *object, const char *state);

G_END_DECLS
