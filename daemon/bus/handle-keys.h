/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"
#include "ggtpm-generated.h"

G_BEGIN_DECLS

/* Provisioning.CreateHandleKey, RemoveHandleKey and the property HandleKeys. Both outlive the skeleton's signals. Main
 * thread. */
void handle_keys_connect (const Context *context, GgtpmProvisioning *skeleton);

G_END_DECLS
