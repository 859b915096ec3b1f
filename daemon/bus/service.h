/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "broker/broker.h"
#include "common/config.h"
#include "health/monitor.h"
#include "token/tokens.h"
#include "tpm/worker.h"

G_BEGIN_DECLS

/*
 * Service: the objects on the bus. Takes what main.c has made, exports everything, owns the name last: when the chip's
 * state is known and the tokens are listed, or there is no chip, or SERVICE_NAME_WAIT_S have passed.
 */
#define SERVICE_NAME_WAIT_S 10

typedef struct _Service Service;

/*
 * All borrowed, must outlive it. @token_lane: the one thread that may use @tokens. @chip: for
 * what needs none. @ready: called once, when the name
 * is owned. @lost: called when the name is somebody else's, or it or the connection is lost.
 */
Service *service_new (GDBusConnection *connection,
                      const Config *config,
                      Tokens *tokens,
                      Worker *token_lane,
                      Worker *chip,
                      Monitor *monitor,
                      GSourceFunc ready,
                      GSourceFunc lost,
                      gpointer user_data);
void service_free (Service *service);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Service, service_free)

/* Manager.State and StateReason. */
void service_set_broker_state (Service *service, BrokerState state, const char *reason);

G_END_DECLS
