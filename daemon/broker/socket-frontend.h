/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "broker.h"

G_BEGIN_DECLS

/*
 * SocketFrontend: the sockets of the broker, RUNTIME_DIR/tpm.sock (0660, @group; passed by systemd if it is
 * socket-activated; in mode alongside its clients are hung up on) and RUNTIME_DIR/internal.sock (0600). Main thread.
 */
typedef struct _SocketFrontend SocketFrontend;

/*
 * @broker: takes the sockets over, also on failure
 * @group: group of tpm.sock by name; where it does not exist the socket keeps ours, which is logged
 * Errors: G_IO_ERROR by errno, with the path.
 */
SocketFrontend *socket_frontend_new (Broker *broker,
                                     const Config *config,
                                     const char *group,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Removes the files that were made here, unless another process has put its own in their place. */
void socket_frontend_free (SocketFrontend *frontend);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SocketFrontend, socket_frontend_free)

G_END_DECLS
