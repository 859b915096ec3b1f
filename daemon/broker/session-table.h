/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

#include "eviction.h"

G_BEGIN_DECLS

/*
 * SessionTable: every session that the broker knows of, of all connections. Sessions keep the TPM's own handles, which
 * are part of what an HMAC covers.
 *
 * A client that saves a session (TPM2_ContextSave) gets a blob that stays the same for the session's life and that any
 * connection may load: it takes the session with it. What the chip is given is @context, which is new at each save.
 */
typedef struct
{
  guint32 handle;
  gpointer owner;         /* a connection; NULL: abandoned, only its blob leads to it, or dead */
  gboolean dead;          /* its owner has gone without saving it: to be flushed */
  gboolean loaded;        /* in the chip; else @context holds it */
  gboolean client_saved;  /* its owner has saved it and may not use it before loading it */
  guint64 pin;            /* the last command that uses it, see slots_begin() */
  GBytes *context;        /* TPMS_CONTEXT; NULL while loaded */
  GBytes *client_context; /* what the client was given; NULL: never saved by one */
  guint64 save_order;     /* while not loaded: the smallest is the oldest in the chip's count */
  EvictionEntry use;
} Session;

typedef struct _SessionTable SessionTable;

SessionTable *session_table_new (void);
void session_table_free (SessionTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SessionTable, session_table_free)

/* A new loaded session of @owner. An entry of the same handle is replaced: the TPM has just given the handle out. */
Session *session_table_add (SessionTable *table, guint32 handle, gpointer owner);
Session *session_table_lookup (const SessionTable *table, guint32 handle);
/* Frees @session. */
void session_table_remove (SessionTable *table, Session *session);
void session_table_clear (SessionTable *table);

/* The client-saved session whose blob this is; NULL: none. */
Session *session_table_lookup_context (const SessionTable *table, const guint8 *blob, gsize size);

/* @context: TPMS_CONTEXT as the chip gave it. */
void
session_table_set_saved (SessionTable *table, Session *session, const guint8 *blob, gsize size);
void session_table_set_loaded (SessionTable *table, Session *session);

/* The owner has gone for good. */
void session_table_kill (SessionTable *table, Session *session);
/* NULL: none. */
Session *session_table_first_dead (const SessionTable *table);
/* The owner has gone, and may come back with the blob: @session joins the end of the queue of the abandoned. */
void session_table_abandon (SessionTable *table, Session *session);
void session_table_claim (SessionTable *table, Session *session, gpointer owner);
guint session_table_n_abandoned (const SessionTable *table);
/* NULL: none. */
Session *session_table_oldest_abandoned (const SessionTable *table);

/*
 * Saved sessions that were in the chip before us: left by a daemon that has crashed, or of a user of /dev/tpmrm0, which
 * cannot be told. Kept apart, so that they can be given up where the chip has no other to give up.
 * @handles: guint32, as the chip lists them
 */
void session_table_set_strays (SessionTable *table, const GArray *handles);
/* One that is not known to be anybody's, and is no stray after that; 0: none. */
guint32 session_table_take_stray (SessionTable *table);

guint session_table_n_loaded (const SessionTable *table);
guint session_table_count_owned (const SessionTable *table, gconstpointer owner);

/* Sessions in the order of their 24-bit number; the array is the caller's, the sessions are not. */
GPtrArray *session_table_list (const SessionTable *table);

G_END_DECLS
