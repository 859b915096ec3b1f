/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"
#include "ggtpm-generated.h"

G_BEGIN_DECLS

/* Serves Provisioning.Backup and Restore on @skeleton. @context must outlive it. */
void backup_call_connect (GgtpmProvisioning *skeleton, const Context *context);

G_END_DECLS
