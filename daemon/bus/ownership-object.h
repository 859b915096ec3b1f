/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "operation.h"

G_BEGIN_DECLS

/* OwnershipObject: org.ggtpm1.Ownership. */
typedef struct _OwnershipObject OwnershipObject;

OwnershipObject *ownership_object_new (const Context *context);
void ownership_object_free (OwnershipObject *object);
GDBusInterfaceSkeleton *ownership_object_get_skeleton (OwnershipObject *object);

/* The chip was opened: completes what was cut off. */
void ownership_object_refresh (OwnershipObject *object);

G_END_DECLS
