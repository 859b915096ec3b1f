/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "broker.h"

G_BEGIN_DECLS

/*
 * Makes the sockets of the broker: RUNTIME_DIR/tpm.sock (0660, @group; passed by systemd if it is socket-activated;
 * mode replace only) and RUNTIME_DIR/internal.sock (0600).
 * @group: group of tpm.sock by name; where it does not exist the socket keeps ours, which is logged
 * Errors: G_IO_ERROR by errno, with the path.
 */
gboolean socket_frontend_listen (Broker *broker,
                                 const Config *config,
                                 const char *group,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
