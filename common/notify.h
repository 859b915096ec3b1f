/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* sd_notify(): no-ops where NOTIFY_SOCKET is unset. Main thread. */
void notify_ready (const char *status);
void notify_status (const char *status);
void notify_stopping (void);

/* Pings systemd's watchdog from the main loop at half WATCHDOG_USEC, if that is set. */
void notify_start_watchdog (void);

/*
 * Descriptors passed by socket activation (LISTEN_FDS) whose name (FileDescriptorName=) is @name.
 * Returns the descriptor, close-on-exec, the caller's; -1 if there is none.
 */
int notify_take_listen_fd (const char *name);

G_END_DECLS
