/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

#include "chip.h"
#include "connection.h"
#include "directory.h"
#include "loop.h"
#include "resource-manager.h"

G_BEGIN_DECLS

/*
 * Clients: all connections and listening sockets, the commands that wait, and the control frames, which are answered
 * here. Broker thread.
 */
typedef struct _Clients Clients;

/* All borrowed, and outlive it. */
Clients *clients_new (Loop *loop, Directory *directory, ResourceManager *rm, Chip *chip);
/* Closes everything. */
void clients_free (Clients *clients);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Clients, clients_free)

/* Take over @fd. */
void clients_add (Clients *clients, int fd, DirectoryEntry *entry);
void clients_listen (Clients *clients, int fd, BrokerListener kind);

/* Accepting pauses where the process has no more descriptors; -1: it does not. */
gint64 clients_get_resume_time (const Clients *clients);
void clients_resume (Clients *clients, gint64 now);

/* @with_public: FALSE: only the daemon's own and the token helper's. */
gboolean clients_have_command (const Clients *clients, gboolean with_public);
/* Whose command is next, NULL: nobody's. Until clients_finish() it is the one in the chip. */
Connection *clients_begin (Clients *clients, gboolean with_public);
void clients_finish (Clients *clients, Connection *connection, const guint8 *response, gsize size);

/* See BrokerCancelFunc. */
TSS2_RC clients_cancel (Clients *clients, guint64 id);

/* Frees what has hung up since; not while a command is under way. Returns whether there was anything. */
gboolean clients_free_closed (Clients *clients);

G_END_DECLS
