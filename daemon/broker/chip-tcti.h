/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

#include "chip-link.h"
#include "loop.h"

G_BEGIN_DECLS

/*
 * A ChipLink through any TCTI. A thread opens it, since that may block. libtss2-tcti-device and libtss2-tcti-tabrmd
 * have poll handles and a receive that keeps to its timeout: they are then used without the thread. The others block in
 * the middle of an answer, with poll handles (mssim, cmd) or without, and stay with the thread; it is let go, not
 * joined, so that a TCTI that never returns costs a thread and nothing else.
 */
ChipLink *chip_tcti_open (Loop *loop, const char *conf);

G_END_DECLS
