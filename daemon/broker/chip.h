/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <tss2/tss2_common.h>

#include "broker-types.h"
#include "loop.h"

G_BEGIN_DECLS

/*
 * Chip: what is below, as one that is opened, asked, and closed. Never blocks: a command runs the loop until its answer
 * is there. Broker thread.
 */
typedef struct _Chip Chip;

typedef enum
{
  CHIP_CLOSED,
  CHIP_OPENING,
  CHIP_OPEN,
  CHIP_FAILED, /* what chip_get_fault() says; chip_close() it */
} ChipStatus;

/* @conf: a TCTI configuration; @timeout_s: longest wait for one answer, and for opening. @loop: runs while
 * chip_transact() waits. */
Chip *chip_new (Loop *loop, const char *conf, guint timeout_s);
void chip_free (Chip *chip);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Chip, chip_free)

/* Starts opening; the loop wakes when the status changes after that. */
void chip_open (Chip *chip);
void chip_close (Chip *chip);
ChipStatus chip_get_status (Chip *chip);
/* When chip_get_status() is to be asked at the latest (g_get_monotonic_time()); -1: it need not be. */
gint64 chip_get_deadline (const Chip *chip);
/* @out_reason: for people; borrowed, until the next call */
BrokerFault chip_get_fault (const Chip *chip, const char **out_reason);
/* What a response that is none does to the chip's status. */
void chip_set_fault (Chip *chip, BrokerFault fault, const char *reason);

/*
 * Sends a command and runs the loop until the response is there.
 * @response: COMMAND_MAX_SIZE bytes
 * A locality that the TCTI refuses: the response is TPM_RC_LOCALITY. More than chips take: TPM_RC_COMMAND_SIZE.
 * Returns a code of the TCTI layer; the status is CHIP_FAILED then.
 */
TSS2_RC chip_transact (Chip *chip,
                       const guint8 *command,
                       gsize size,
                       guint8 locality,
                       guint8 *response,
                       gsize *out_size);

/* While nobody needs it: where others could use the chip, they can until the next command. */
gboolean chip_can_rest (const Chip *chip);
void chip_rest (Chip *chip);

/* Has the command under way cancelled. Success: the TCTI can; whether the chip did, the command's answer says. */
TSS2_RC chip_cancel (Chip *chip);
gboolean chip_can_cancel (const Chip *chip);
/* From now on, also for the command under way: waits no longer than this for an answer, and has it cancelled. */
void chip_hurry (Chip *chip, guint timeout_s);
gboolean chip_can_set_locality (const Chip *chip);

G_END_DECLS
