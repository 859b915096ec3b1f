/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "broker/broker.h"
#include "bus/gate.h"
#include "bus/jobs.h"
#include "common/config.h"
#include "health/monitor.h"
#include "token/tokens.h"
#include "tpm/worker.h"

G_BEGIN_DECLS

/*
 * Service: the objects on the bus. Takes what main.c has made, exports everything, owns the name last.
 */
typedef struct _Service Service;

/* All borrowed, must outlive it. @token_lane: the one thread that may use @tokens. @lost: called when the name or the
 * connection is lost. */
Service *service_new (GDBusConnection *connection,
                      const Config *config,
                      Tokens *tokens,
                      Worker *token_lane,
                      Monitor *monitor,
                      GSourceFunc ready,
                      GSourceFunc lost,
                      gpointer user_data);
void service_free (Service *service);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Service, service_free)

/* Manager.State and StateReason. */
void service_set_broker_state (Service *service, BrokerState state, const char *reason);

/* The only way a method ends in an error: converts it (ggtpm_error_convert()), logs it once, answers, frees @error. */
void service_return_error (GDBusMethodInvocation *invocation, GError *error);

G_END_DECLS
