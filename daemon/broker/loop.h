/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Loop: epoll, for the broker thread alone. A watch lives in the structure that it belongs to; loop_remove() it before
 * that is freed, and free nothing that may still be in the batch: only after loop_run_once() has returned.
 */
typedef struct _Loop Loop;
typedef struct _LoopWatch LoopWatch;

struct _LoopWatch
{
  void (*ready) (LoopWatch *watch, guint32 events); /* EPOLL*; must not run the loop */
  int fd;                                           /* -1: not watched */
};

Loop *loop_new (void);
void loop_free (Loop *loop);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Loop, loop_free)

/* @events: EPOLL* */
gboolean loop_add (Loop *loop, LoopWatch *watch, int fd, guint32 events);
/* Also tells again of what is ready already. */
void loop_modify (Loop *loop, LoopWatch *watch, guint32 events);
void loop_remove (Loop *loop, LoopWatch *watch);

/* Waits for events until @deadline (g_get_monotonic_time(); 0: not at all; -1: for ever) and hands them out. */
void loop_run_once (Loop *loop, gint64 deadline);

G_END_DECLS
