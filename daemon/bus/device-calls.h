/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"
#include "ggtpm-generated.h"

G_BEGIN_DECLS

/* Connects the methods of org.ggtpm1.Device that ask the chip and change nothing. */
void device_calls_connect (GgtpmDevice *skeleton, const Context *context);

G_END_DECLS
