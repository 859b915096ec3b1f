/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "broker.h"

G_BEGIN_DECLS

/*
 * TabrmdFrontend: com.intel.tss2.TctiTabrmd on a bus name of its own, for stock libtss2-tcti-tabrmd clients. Main
 * thread. Losing or not getting the name is logged and not fatal: the socket still serves.
 */
typedef struct _TabrmdFrontend TabrmdFrontend;

/* @broker must outlive it. @name: `com.intel.tss2.Tabrmd`, or another for tests. */
TabrmdFrontend *tabrmd_frontend_new (Broker *broker, GDBusConnection *connection, const char *name);
void tabrmd_frontend_free (TabrmdFrontend *frontend);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TabrmdFrontend, tabrmd_frontend_free)

G_END_DECLS
