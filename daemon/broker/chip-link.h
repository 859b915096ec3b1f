/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <tss2/tss2_tcti.h>

#include "broker-types.h"
#include "command.h"
#include "loop.h"

G_BEGIN_DECLS

/*
 * ChipLink: one opened way to the chip, of one of two kinds: chip-socket, a unix socket that is read and written here,
 * and chip-tcti, any TCTI, with a thread that blocks for it where it must. Its descriptors are watched on the loop, and
 * none of its functions blocks. Broker thread.
 */
typedef struct _ChipLink ChipLink;

typedef struct
{
  /* Closes it, at the latest when the TCTI returns. */
  void (*drop) (ChipLink *link);
  /* Nothing else is under way. @command: not used after the call. */
  TSS2_RC (*transmit) (ChipLink *link, const guint8 *command, gsize size, guint8 locality);
  /* TRY_AGAIN: not all of it has come. @response: COMMAND_MAX_SIZE bytes, written on success. */
  TSS2_RC (*receive) (ChipLink *link, guint8 *response, gsize *out_size);
  /* A command is under way. Success: the chip is or will be asked to; the command's answer says what came of it. */
  TSS2_RC (*cancel) (ChipLink *link);
  /* Lets others have the chip until the next command; where can_rest. */
  void (*rest) (ChipLink *link);
} ChipLinkFuncs;

struct _ChipLink
{
  const ChipLinkFuncs *funcs;
  /* Set by the link: */
  gboolean opening;
  gboolean awake; /* there may be something to receive; its user clears it */
  gboolean can_rest;
  gboolean can_cancel;
  gboolean can_set_locality;
  gboolean
      refused_locality; /* the last command was not sent: no such locality, and the chip is well */
  BrokerFault fault;
  char *reason; /* NULL: it is well */
  /* Set by its user: */
  gboolean busy; /* a command is under way */
};

void chip_link_drop (ChipLink *link);

/* For the kinds of link. The first reason stays; @reason: taken. */
void chip_link_fail (ChipLink *link, BrokerFault fault, char *reason);
/* What the kernel says of the chip's file or socket. */
void chip_link_fail_errno (ChipLink *link, const char *path, int error);
void chip_link_fail_hangup (ChipLink *link);
/* As loop_add(), and the link fails where that does. */
void chip_link_watch (ChipLink *link, Loop *loop, LoopWatch *watch, int fd, guint32 events);
/* Closes @link's own part. */
void chip_link_clear (ChipLink *link);

G_END_DECLS
