/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "broker/broker.h"

G_BEGIN_DECLS

/*
 * Logind: holds the system's sleep and its power-off (two delay locks of logind) until nothing of the broker's is left
 * in the chip, which forgets what is loaded; before the power goes the chip is told of it, too. Without logind it does
 * nothing. Main thread.
 */
typedef struct _Logind Logind;

/* @broker must outlive it. */
Logind *logind_new (GDBusConnection *connection, Broker *broker);
void logind_free (Logind *logind);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Logind, logind_free)

G_END_DECLS
