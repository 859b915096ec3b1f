/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "broker/broker.h"

G_BEGIN_DECLS

/*
 * Suspend: holds the system's sleep (logind's delay lock) until nothing of the broker's is left in the chip, which
 * forgets what is loaded. Without logind it does nothing. Main thread.
 */
typedef struct _Suspend Suspend;

/* @broker must outlive it. */
Suspend *suspend_new (GDBusConnection *connection, Broker *broker);
void suspend_free (Suspend *suspend);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Suspend, suspend_free)

G_END_DECLS
