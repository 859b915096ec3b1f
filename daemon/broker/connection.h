/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

#include "command.h"
#include "directory.h"
#include "loop.h"

G_BEGIN_DECLS

/*
 * Connection: one stream socket and the command on it. Takes one frame and, until that is answered, not the next, of
 * which a few bytes may have been read. Never blocks. Broker thread.
 */
typedef struct _Connection Connection;

typedef struct
{
  /* A complete frame is there: answer it with connection_answer(), now or later. */
  void (*received) (Connection *connection, gpointer data);
  /* Hung up, or spoke nonsense. Not called twice; the connection waits for connection_free(). */
  void (*closed) (Connection *connection, gpointer data);
} ConnectionFuncs;

/* @fd: becomes the connection's, also on failure. @entry: borrowed.
 * NULL: the kernel will not watch one more descriptor. */
Connection *connection_new (Loop *loop,
                            int fd,
                            DirectoryEntry *entry,
                            const ConnectionFuncs *funcs,
                            gpointer data);
void connection_free (Connection *connection);

DirectoryEntry *connection_get_entry (const Connection *connection);

/* Reads what has come and no event has told of yet. */
void connection_poll (Connection *connection);
/* The frame that waits for its answer. */
guint8 *connection_get_frame (Connection *connection, gsize *out_size);
/* Copies what cannot be sent at once. May call received() or closed(). */
void connection_answer (Connection *connection, const guint8 *response, gsize size);

/* 128 random bits, for cancelling from another connection. */
const guint8 *connection_get_public_id (Connection *connection);
gboolean connection_has_public_id (const Connection *connection, const guint8 *id);

/* For its user. */
void connection_set_user_data (Connection *connection, gpointer user_data);
gpointer connection_get_user_data (const Connection *connection);

G_END_DECLS
