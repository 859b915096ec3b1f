/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/*
 * Scheduler: whose command is next. Round robin by user, then by connection (each has one command at most). The
 * daemon's own and the token helper's wait for the clients', but not for more than a few of them.
 */
typedef struct _Scheduler Scheduler;

Scheduler *scheduler_new (void);
void scheduler_free (Scheduler *scheduler);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scheduler, scheduler_free)

void scheduler_push (Scheduler *scheduler, gboolean is_client, uid_t uid, gpointer item);
/* @clients: FALSE: only the daemon's own. NULL: nobody. */
gpointer scheduler_pop (Scheduler *scheduler, gboolean clients);
gboolean scheduler_remove (Scheduler *scheduler, gconstpointer item);
gboolean scheduler_is_empty (const Scheduler *scheduler, gboolean clients);

G_END_DECLS
