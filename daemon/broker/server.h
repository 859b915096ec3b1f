/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <tss2/tss2_common.h>

#include "broker-types.h"
#include "common/config.h"
#include "common/latency.h"
#include "common/tally.h"
#include "directory.h"
#include "loop.h"

G_BEGIN_DECLS

/*
 * Server: what the broker's thread does, round by round: opens the chip, and again when it has failed; serves the
 * client whose turn it is; tidies the chip while nobody wants it. Broker thread, but for server_new() and
 * server_free(), which are called while there is none.
 */
typedef struct _Server Server;

/* On the broker thread; must not call the server. */
typedef struct
{
  /* As BrokerStateFunc, but that @reason may be NULL. */
  void (*state_changed) (BrokerState state,
                         BrokerFault fault,
                         const char *reason,
                         gboolean tpm_was_reset,
                         gpointer data);
  /* Nothing of ours is left in the chip, or there is none. */
  void (*quiet) (guint serial, gpointer data);
} ServerFuncs;

/* All borrowed, and outlive it. @loop: whoever watches it, too, may call the functions below from there. */
Server *server_new (Loop *loop,
                    const Config *config,
                    Directory *directory,
                    Latency *latency,
                    Tally *tally,
                    const ServerFuncs *funcs,
                    gpointer data);
void server_free (Server *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Server, server_free)

/* Until server_quit(). Then hangs up on all, flushes what they have left, and sends TPM2_Shutdown if it is to. */
void server_run (Server *server);

/* What the functions of the same names in broker.h ask for. They are called while server_run() runs the loop, also in
 * the middle of a command. @fd: taken, and @entry left when it hangs up. */
void server_add_client (Server *server, int fd, DirectoryEntry *entry);
void server_listen (Server *server, int fd, BrokerListener kind);
void server_release (Server *server);
TSS2_RC server_cancel (Server *server, guint64 id);
/* @quiet_serial: for ServerFuncs.quiet, which is called once for it, unless this is called again before; 0: nobody
 * waits */
void server_set_rest (Server *server, BrokerRest rest, guint quiet_serial);
/* A chip that keeps silent is not waited for as long as otherwise. */
void server_quit (Server *server);

G_END_DECLS
