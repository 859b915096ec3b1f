/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

#include "chip-link.h"
#include "loop.h"

G_BEGIN_DECLS

/*
 * A ChipLink to a TPM at the other end of a unix socket, with raw TPM framing: `ggtpm:path=SOCKET`, and
 * `swtpm:path=SOCKET`, where SOCKET.ctrl takes swtpm's control commands (swtpm_ioctls(3)) and sets the locality.
 *
 * Not by libtss2-tcti-swtpm, which has no poll handles, blocks in the middle of an answer whatever the timeout, and
 * connects anew for each command, so that a software TPM that was switched off and on passes for the same one. This one
 * stays connected, and the other end closing is the chip's power cut. swtpm serves one connection at a time: while the
 * link rests it is let go, and is known again by the process that listens.
 */
gboolean chip_socket_takes (const char *conf);
/* Starts opening. */
ChipLink *chip_socket_open (Loop *loop, const char *conf);

G_END_DECLS
