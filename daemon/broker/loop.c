/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH 64

struct _Loop
{
  int epoll_fd;
  struct epoll_event events[BATCH];
  int n_events;
};

Loop *
loop_new (void)
{
  Loop *loop = g_new0 (Loop, 1);

  loop->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  return loop;
}

void
loop_free (Loop *loop)
{
  if (loop->epoll_fd >= 0)
    close (loop->epoll_fd);
  g_free (loop);
}

gboolean
loop_add (Loop *loop, LoopWatch *watch, int fd, guint32 events)
{
  struct epoll_event event = { .events = events, .data.ptr = watch };

  if (epoll_ctl (loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
    {
      g_warning ("cannot watch a descriptor: %s", g_strerror (errno));
      return FALSE;
    }
  watch->fd = fd;
  return TRUE;
}

void
loop_modify (Loop *loop, LoopWatch *watch, guint32 events)
{
  struct epoll_event event = { .events = events, .data.ptr = watch };

  if (watch->fd >= 0)
    epoll_ctl (loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void
loop_remove (Loop *loop, LoopWatch *watch)
{
  if (watch->fd < 0)
    return;
  epoll_ctl (loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
  watch->fd = -1;
  for (int i = 0; i < loop->n_events; i++)
    if (loop->events[i].data.ptr == watch)
      loop->events[i].data.ptr = NULL;
}

static int
timeout_until (gint64 deadline)
{
  gint64 left;

  if (deadline < 0)
    return -1;
  left = deadline == 0 ? 0 : deadline - g_get_monotonic_time ();
  if (left <= 0)
    return 0;
  return (int)MIN ((left + 999) / 1000, G_MAXINT);
}

void
loop_run_once (Loop *loop, gint64 deadline)
{
  int n = epoll_wait (loop->epoll_fd, loop->events, BATCH, timeout_until (deadline));

  loop->n_events = MAX (n, 0);
  for (int i = 0; i < loop->n_events; i++)
    {
      LoopWatch *watch = loop->events[i].data.ptr;

      if (watch != NULL)
        watch->ready (watch, loop->events[i].events);
    }
  loop->n_events = 0;
}
