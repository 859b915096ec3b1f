/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "notify.h"

#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

void
notify_ready (const char *status)
{
  sd_notifyf (0, "READY=1\nSTATUS=%s", status);
}

void
notify_status (const char *status)
{
  sd_notifyf (0, "STATUS=%s", status);
}

void
notify_stopping (void)
{
  sd_notify (0, "STOPPING=1");
}

static gboolean
on_watchdog (gpointer user_data)
{
  sd_notify (0, "WATCHDOG=1");
  return G_SOURCE_CONTINUE;
}

void
notify_start_watchdog (void)
{
  uint64_t usec = 0;

  if (sd_watchdog_enabled (0, &usec) > 0)
    g_timeout_add (MAX (1, (guint)(usec / 2000)), on_watchdog, NULL);
}

int
notify_take_listen_fd (const char *name)
{
  char **names = NULL;
  int n = sd_listen_fds_with_names (0, &names);
  int fd = -1;

  for (int i = 0; i < n; i++)
    {
      if (fd < 0 && g_str_equal (names[i], name))
        fd = SD_LISTEN_FDS_START + i;
      free (names[i]);
    }
  free (names);
  return fd;
}
