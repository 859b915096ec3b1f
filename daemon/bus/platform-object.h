/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"

G_BEGIN_DECLS

/* PlatformObject: org.ggtpm1.Platform. */
typedef struct _PlatformObject PlatformObject;

/* @context must outlive it. */
PlatformObject *platform_object_new (const Context *context);
void platform_object_free (PlatformObject *object);

/* Owned by the object. */
GDBusInterfaceSkeleton *platform_object_get_skeleton (PlatformObject *object);

G_END_DECLS
