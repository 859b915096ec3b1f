/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <tss2/tss2_tcti.h>

#include "broker-types.h"
#include "command.h"

G_BEGIN_DECLS

/*
 * ChipLink: one opened TCTI and the thread that blocks for it. It is let go, not joined: a TCTI that never returns
 * costs a thread and nothing else.
 */
typedef struct _ChipLink ChipLink;

/* Starts opening @conf; the descriptor of chip_link_get_event_fd() becomes readable at every end of something. */
ChipLink *chip_link_new (const char *conf);
/* Closes the TCTI, now or as soon as it returns. */
void chip_link_drop (ChipLink *link);

int chip_link_get_event_fd (const ChipLink *link);

/* TRUE: no more under way; takes the event. */
gboolean chip_link_poll (ChipLink *link);

/* After opening: NULL reason if it worked. */
BrokerFault chip_link_get_fault (const ChipLink *link, const char **out_reason);
/* -1: the TCTI has none, use chip_link_start(). */
int chip_link_get_poll_fd (const ChipLink *link);
gboolean chip_link_can_cancel (const ChipLink *link);
gboolean chip_link_can_set_locality (const ChipLink *link);

/* For a TCTI with a poll descriptor. */
TSS2_RC chip_link_transmit (ChipLink *link, const guint8 *command, gsize size, guint8 locality);
TSS2_RC chip_link_receive (ChipLink *link, guint8 *response, gsize *out_size);

/* For one without: starts, and after chip_link_poll() takes the result. */
void chip_link_start (ChipLink *link, const guint8 *command, gsize size, guint8 locality);
TSS2_RC chip_link_finish (ChipLink *link, guint8 *response, gsize *out_size);

/* Whether the last command failed since the TCTI does not know its locality: it was not sent, and the TCTI is well. */
gboolean chip_link_has_refused_locality (const ChipLink *link);

TSS2_RC chip_link_cancel (ChipLink *link);

G_END_DECLS
