/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "broker-types.h"
#include "common/config.h"
#include "common/latency.h"
#include "common/tally.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Broker: the thread that owns the chip, with the resource manager. The only code of the daemon that touches the TCTI.
 * All functions are for the main thread; none blocks.
 */
typedef struct _Broker Broker;

/*
 * Called on the main context that broker_new() was called on, whenever state or fault change.
 * @reason: what is wrong and what to do, for people; empty when READY
 * @tpm_was_reset: with READY: the chip has lost what was in it (first opening, power cut)
 */
typedef void (*BrokerStateFunc) (BrokerState state,
                                 BrokerFault fault,
                                 const char *reason,
                                 gboolean tpm_was_reset,
                                 gpointer user_data);

/* @config: must outlive the broker; its mode is decided (not `auto`). Starts the thread, which opens the chip. */
Broker *broker_new (const Config *config, BrokerStateFunc func, gpointer user_data);
/* Lets the command in the chip end (up to ChipTimeoutSec), sends TPM2_Shutdown(CLEAR) in mode replace (SendShutdown=),
 * ends the thread. Waits for that: the last thing that main() does. */
void broker_free (Broker *broker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Broker, broker_free)

/* How long the chip takes for each TPM_CC that it carries out, and what it refuses. The broker's; any thread. */
Latency *broker_get_latency (Broker *broker);
/* What has befallen the chip. As well. */
Tally *broker_get_tally (Broker *broker);

/* Until this call only the daemon's own and the token helper's commands are served: health resets the lockout counter
 * before any client's authorisation. Clients that have connected wait. A reset of the chip (@tpm_was_reset of a
 * BrokerStateFunc) takes it back: to be called again after each. */
void broker_release (Broker *broker);

/*
 * Before a rest whatever is in the chip is saved and put out, from then on after each command; before the power goes
 * off, and in mode replace, TPM2_Shutdown(CLEAR) is sent each time, too.
 * @quiet: called once, on the main context, when nothing of ours is left in the chip, or there is no chip; not after
 * the next call of this function; NULL: nobody waits
 */
void broker_set_rest (Broker *broker, BrokerRest rest, GSourceOnceFunc quiet, gpointer user_data);

/*
 * A connection of the daemon itself: no limits, served last, its handles as private as everybody's.
 * Returns a stream socket, the caller's; -1 with @error (NO_RESOURCES) on failure. Any thread.
 */
int broker_connect (Broker *broker, GError **error);

/*
 * A connection for @peer.
 * @out_id: names it in broker_cancel() and broker_set_locality()
 * Returns its client side, the caller's; -1 with GGTPM_ERROR_BUSY-like code when @peer or the daemon has too many:
 * the domain is G_IO_ERROR, code G_IO_ERROR_TOO_MANY_OPEN_FILES.
 */
int broker_connect_peer (Broker *broker, const BrokerPeer *peer, guint64 *out_id, GError **error);

/* Serves connections from a listening socket, which becomes the broker's. */
void broker_listen (Broker *broker, int fd, BrokerListener kind);

/*
 * How a broker_cancel() ended: a TSS2_RC of the resource manager's layer: 0; 0xb000c (unknown id); 0xb0002 (it does not
 * wait, and this TCTI cannot cancel in the chip: tpm2-abrmd's answer to each). Main thread, once; broker_free() calls
 * it for what is still open.
 */
typedef void (*BrokerCancelFunc) (guint32 rc, gpointer user_data);

/*
 * For the command that connection @id has sent: answered TPM_RC_CANCELED if it still waits; cancelled in the chip where
 * the TCTI can. @peer must be the connection's: same uid and pid. Main thread.
 */
void broker_cancel (Broker *broker,
                    guint64 id,
                    const BrokerPeer *peer,
                    BrokerCancelFunc func,
                    gpointer user_data);

/* Returns 0; 0xb000c: unknown @id, or a locality above 0 and not root; 0xb0002: this TCTI cannot. */
guint32 broker_set_locality (Broker *broker, guint64 id, guint8 locality, const BrokerPeer *peer);

G_END_DECLS
