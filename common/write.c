/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "write.h"

#include <errno.h>
#include <unistd.h>

gboolean
write_all (int fd, const void *data, gsize len)
{
  const guint8 *left = data;

  while (len > 0)
    {
      ssize_t n = write (fd, left, len);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return FALSE;
      left += n;
      len -= (gsize)n;
    }
  return TRUE;
}
