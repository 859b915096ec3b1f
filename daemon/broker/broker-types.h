/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* What the broker's own files share with its users. */

typedef enum
{
  BROKER_STATE_STARTING,
  BROKER_STATE_READY,
  BROKER_STATE_UNAVAILABLE, /* no chip, or it is somebody else's; opened again with back-off */
  BROKER_STATE_FAILED,      /* there, and silent or no TPM 2.0; opened again with back-off */
} BrokerState;

typedef enum
{
  BROKER_FAULT_NONE,
  BROKER_FAULT_MISSING,  /* ENOENT, ENODEV, nobody listens */
  BROKER_FAULT_BUSY,     /* EBUSY */
  BROKER_FAULT_DENIED,   /* EACCES, EPERM */
  BROKER_FAULT_IO,       /* EIO, the TCTI's other errors */
  BROKER_FAULT_PROTOCOL, /* not a TPM 2.0 response */
  BROKER_FAULT_SILENT,   /* no response, or only a part of one, within ChipTimeoutSec */
} BrokerFault;

/* What the system is about to do. */
typedef enum
{
  BROKER_REST_NONE, /* it is awake, and stays so */
  BROKER_REST_SLEEP,
  BROKER_REST_POWER_OFF,
} BrokerRest;

/* Who is at the other end of a connection. */
typedef struct
{
  uid_t uid;
  pid_t pid;
} BrokerPeer;

typedef enum
{
  BROKER_LISTENER_PUBLIC, /* RUNTIME_DIR/tpm.sock: everybody that may open it */
  BROKER_LISTENER_INTERNAL, /* RUNTIME_DIR/internal.sock: the token helper; no limits; served before broker_release() */
} BrokerListener;

G_END_DECLS
