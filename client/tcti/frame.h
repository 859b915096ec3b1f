/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Frames on RUNTIME_DIR/tpm.sock. A TPM command or response (TPM 2.0 Library Part 1, 18): tag u16, size u32 with these
 * ten bytes, code u32, big-endian; and control frames of the same form with the tag 0x6767, which only ggtpmd knows:
 * a request's code is one of FRAME_CONTROL_*, its answer's code is a TSS2_RC, each followed by what is said below.
 */
#define FRAME_HEADER_SIZE        10
#define FRAME_MAX_SIZE           8192
#define FRAME_CONTROL_TAG        0x6767
#define FRAME_CONNECTION_ID_SIZE 16

enum
{
  FRAME_CONTROL_GET_ID = 1,       /* answer: this connection's 128-bit id */
  FRAME_CONTROL_SET_LOCALITY = 2, /* request: u8; between commands only */
  /* Request: the 128-bit id of another connection of the same uid. Success: its command, if there is one, is cancelled,
   * or the chip is asked to; that command's answer says which. */
  FRAME_CONTROL_CANCEL = 3,
};

G_END_DECLS
