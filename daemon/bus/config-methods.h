/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"
#include "ggtpm-generated.h"

G_BEGIN_DECLS

/* Those methods of org.ggtpm1.Provisioning that are about configurations, and its property Configs. Both outlive the
 * skeleton's signals. Main thread. */
void config_methods_connect (const Context *context, GgtpmProvisioning *skeleton);

G_END_DECLS
