/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "chip-link.h"

#include <errno.h>

void
chip_link_drop (ChipLink *link)
{
  link->funcs->drop (link);
}

void
chip_link_clear (ChipLink *link)
{
  g_clear_pointer (&link->reason, g_free);
}

void
chip_link_fail (ChipLink *link, BrokerFault fault, char *reason)
{
  g_autofree char *taken = reason;

  link->opening = FALSE;
  link->awake = TRUE;
  if (link->reason != NULL)
    return;
  link->fault = fault;
  link->reason = g_steal_pointer (&taken);
}

static BrokerFault
fault_from_errno (int error)
{
  switch (error)
    {
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ENOTDIR:
    case ECONNREFUSED:
      return BROKER_FAULT_MISSING;
    case EBUSY:
    case EAGAIN:
      return BROKER_FAULT_BUSY;
    case EACCES:
    case EPERM:
      return BROKER_FAULT_DENIED;
    default:
      return BROKER_FAULT_IO;
    }
}

static char *
describe_fault (BrokerFault fault, const char *path, int error)
{
  switch (fault)
    {
    case BROKER_FAULT_MISSING:
      return g_strdup_printf (
          "no TPM at %s (%s): enable it in the firmware's set-up, load its driver, or name "
          "another one with Tcti= in ggtpmd.conf",
          path, g_strerror (error));
    case BROKER_FAULT_BUSY:
      return g_strdup_printf (
          "%s is in use by another program: stop that program (tpm2-abrmd?), or set "
          "Mode=alongside in ggtpmd.conf",
          path);
    case BROKER_FAULT_DENIED:
      return g_strdup_printf (
          "no permission to open %s (%s): its owner must be the user that ggtpmd runs as; "
          "check the udev rules",
          path, g_strerror (error));
    case BROKER_FAULT_NONE:
    case BROKER_FAULT_IO:
    case BROKER_FAULT_PROTOCOL:
    case BROKER_FAULT_SILENT:
    default:
      return g_strdup_printf ("cannot open %s: %s", path, g_strerror (error));
    }
}

void
chip_link_fail_errno (ChipLink *link, const char *path, int error)
{
  BrokerFault fault = fault_from_errno (error);

  chip_link_fail (link, fault, describe_fault (fault, path, error));
}

void
chip_link_fail_hangup (ChipLink *link)
{
  chip_link_fail (link, BROKER_FAULT_MISSING,
                  g_strdup ("the TPM has gone: what is below its TCTI has closed the connection"));
}

void
chip_link_watch (ChipLink *link, Loop *loop, LoopWatch *watch, int fd, guint32 events)
{
  if (!loop_add (loop, watch, fd, events))
    chip_link_fail (link, BROKER_FAULT_IO,
                    g_strdup ("no descriptor is left to wait for the TPM with: raise LimitNOFILE= "
                              "of ggtpmd.service, or lower MaxConnections="));
}
