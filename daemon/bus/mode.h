/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "common/config.h"

G_BEGIN_DECLS

/*
 * Mode: once, at start, before anything is opened: turns Mode=auto into `alongside` (another process owns
 * com.intel.tss2.Tabrmd, or tpm2-abrmd.service is enabled or active, or the device is busy for MODE_BUSY_S) or
 * `replace`, and gives `alongside` a TCTI that reaches the other resource manager where the configuration names the
 * bare chip. Blocks for seconds at most.
 * Returns why, for the log; NULL where there was nothing to decide. Free with g_free().
 */
#define MODE_BUSY_S 5

char *mode_decide (Config *config, GDBusConnection *connection);

G_END_DECLS
