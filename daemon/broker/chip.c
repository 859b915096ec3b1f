/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "chip.h"

#include "chip-link.h"

#include <sys/epoll.h>

struct _Chip
{
  Loop *loop;
  char *conf;
  gint64 timeout_us;
  ChipStatus status;
  ChipLink *link;
  LoopWatch event; /* of the link's thread */
  LoopWatch poll;  /* of the TCTI itself */
  gboolean busy;   /* a command is under way */
  gboolean answered;
  BrokerFault fault;
  char *reason;
};

static void
on_event (LoopWatch *watch, guint32 events)
{
  Chip *chip = (Chip *)(gpointer)((char *)watch - G_STRUCT_OFFSET (Chip, event));

  if (chip_link_poll (chip->link))
    chip->answered = TRUE;
}

static void
on_poll (LoopWatch *watch, guint32 events)
{
  Chip *chip = (Chip *)(gpointer)((char *)watch - G_STRUCT_OFFSET (Chip, poll));

  chip->answered = TRUE;
  if (!chip->busy && (events & (EPOLLHUP | EPOLLERR)) != 0)
    chip_set_fault (chip, BROKER_FAULT_MISSING,
                    "the TPM has gone: what is below its TCTI has closed the connection");
}

Chip *
chip_new (Loop *loop, const char *conf, guint timeout_s)
{
  Chip *chip = g_new0 (Chip, 1);

  chip->loop = loop;
  chip->conf = g_strdup (conf);
  chip->timeout_us = (gint64)timeout_s * G_USEC_PER_SEC;
  chip->event = (LoopWatch){ .ready = on_event, .fd = -1 };
  chip->poll = (LoopWatch){ .ready = on_poll, .fd = -1 };
  return chip;
}

void
chip_free (Chip *chip)
{
  chip_close (chip);
  g_free (chip->conf);
  g_free (chip->reason);
  g_free (chip);
}

void
chip_close (Chip *chip)
{
  loop_remove (chip->loop, &chip->event);
  loop_remove (chip->loop, &chip->poll);
  g_clear_pointer (&chip->link, chip_link_drop);
  chip->status = CHIP_CLOSED;
}

void
chip_set_fault (Chip *chip, BrokerFault fault, const char *reason)
{
  if (chip->status == CHIP_FAILED)
    return;
  chip->status = CHIP_FAILED;
  chip->fault = fault;
  g_free (chip->reason);
  chip->reason = g_strdup (reason);
}

static void
watch (Chip *chip, LoopWatch *event, int fd, guint32 events)
{
  if (!loop_add (chip->loop, event, fd, events))
    chip_set_fault (chip, BROKER_FAULT_IO,
                    "no descriptor is left to wait for the TPM with: raise LimitNOFILE= of "
                    "ggtpmd.service, or lower MaxConnections=");
}

void
chip_open (Chip *chip)
{
  chip_close (chip);
  g_clear_pointer (&chip->reason, g_free);
  chip->fault = BROKER_FAULT_NONE;
  chip->answered = FALSE;
  chip->link = chip_link_new (chip->conf);
  chip->status = CHIP_OPENING;
  watch (chip, &chip->event, chip_link_get_event_fd (chip->link), EPOLLIN);
}

/* The link's thread is done with opening. */
static void
finish_opening (Chip *chip)
{
  const char *reason;
  BrokerFault fault = chip_link_get_fault (chip->link, &reason);
  int fd = chip_link_get_poll_fd (chip->link);

  if (reason != NULL)
    {
      chip_set_fault (chip, fault, reason);
      return;
    }
  chip->status = CHIP_OPEN;
  /* Edge-triggered: a peer that has hung up must not spin the loop. */
  if (fd >= 0)
    watch (chip, &chip->poll, fd, EPOLLIN | EPOLLET);
}

ChipStatus
chip_get_status (const Chip *chip)
{
  if (chip->status == CHIP_OPENING && chip->answered)
    finish_opening ((Chip *)chip);
  return chip->status;
}

BrokerFault
chip_get_fault (const Chip *chip, const char **out_reason)
{
  *out_reason = chip->reason;
  return chip->fault;
}

static TSS2_RC
fail_io (Chip *chip, const char *what, TSS2_RC rc)
{
  g_autofree char *reason = NULL;

  if (chip_link_has_refused_locality (chip->link))
    return rc;
  reason = g_strdup_printf (
      "%s the TPM (TCTI \"%s\") failed (0x%08x): see the kernel's log for its driver", what,
      chip->conf, rc);

  chip_set_fault (chip, BROKER_FAULT_IO, reason);
  return (rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER ? rc : TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC
fail_timeout (Chip *chip)
{
  g_autofree char *reason =
      g_strdup_printf ("the TPM has not answered for %" G_GINT64_FORMAT
                       " s: if it keeps silent, the system must be switched off and on",
                       chip->timeout_us / G_USEC_PER_SEC);

  chip_set_fault (chip, BROKER_FAULT_IO, reason);
  return TSS2_TCTI_RC_IO_ERROR;
}

/* Runs the loop until the TCTI may have something. */
static gboolean
wait_for_answer (Chip *chip, gint64 deadline)
{
  while (!chip->answered)
    {
      if (g_get_monotonic_time () >= deadline)
        return FALSE;
      loop_run_once (chip->loop, deadline);
    }
  chip->answered = FALSE;
  return TRUE;
}

static TSS2_RC
transact_polled (Chip *chip,
                 const guint8 *command,
                 gsize size,
                 guint8 locality,
                 guint8 *response,
                 gsize *out_size)
{
  gint64 deadline = g_get_monotonic_time () + chip->timeout_us;
  TSS2_RC rc;

  chip->answered = FALSE;
  rc = chip_link_transmit (chip->link, command, size, locality);
  if (rc != TSS2_RC_SUCCESS)
    return fail_io (chip, "sending to", rc);
  do
    {
      if (!wait_for_answer (chip, deadline))
        return fail_timeout (chip);
      rc = chip_link_receive (chip->link, response, out_size);
    }
  while (rc == TSS2_TCTI_RC_TRY_AGAIN);
  return rc != TSS2_RC_SUCCESS ? fail_io (chip, "receiving from", rc) : rc;
}

static TSS2_RC
transact_threaded (Chip *chip,
                   const guint8 *command,
                   gsize size,
                   guint8 locality,
                   guint8 *response,
                   gsize *out_size)
{
  gint64 deadline = g_get_monotonic_time () + chip->timeout_us;
  TSS2_RC rc;

  chip->answered = FALSE;
  chip_link_start (chip->link, command, size, locality);
  if (!wait_for_answer (chip, deadline))
    return fail_timeout (chip);
  rc = chip_link_finish (chip->link, response, out_size);
  return rc != TSS2_RC_SUCCESS ? fail_io (chip, "talking to", rc) : rc;
}

TSS2_RC
chip_transact (Chip *chip,
               const guint8 *command,
               gsize size,
               guint8 locality,
               guint8 *response,
               gsize *out_size)
{
  TSS2_RC rc;

  if (chip_get_status (chip) != CHIP_OPEN)
    return TSS2_TCTI_RC_NO_CONNECTION;
  chip->busy = TRUE;
  if (chip_link_get_poll_fd (chip->link) >= 0)
    rc = transact_polled (chip, command, size, locality, response, out_size);
  else
    rc = transact_threaded (chip, command, size, locality, response, out_size);
  chip->busy = FALSE;
  if (rc != TSS2_RC_SUCCESS && chip->status == CHIP_OPEN)
    {
      /* One client's wish, and no fault of the chip: answered as the chip would. */
      *out_size = command_response_put_error (response, TPM2_RC_LOCALITY);
      return TSS2_RC_SUCCESS;
    }
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  if (!command_response_is_valid (response, *out_size))
    {
      chip_set_fault (
          chip, BROKER_FAULT_PROTOCOL,
          "what answers is no TPM 2.0: check Tcti= in ggtpmd.conf, and the TPM's version in the "
          "firmware's set-up");
      return TSS2_TCTI_RC_MALFORMED_RESPONSE;
    }
  return TSS2_RC_SUCCESS;
}

TSS2_RC
chip_cancel (Chip *chip)
{
  return chip_get_status (chip) == CHIP_OPEN ? chip_link_cancel (chip->link)
                                             : TSS2_TCTI_RC_NO_CONNECTION;
}

gboolean
chip_can_cancel (const Chip *chip)
{
  return chip->status == CHIP_OPEN && chip_link_can_cancel (chip->link);
}

gboolean
chip_can_set_locality (const Chip *chip)
{
  return chip->status == CHIP_OPEN && chip_link_can_set_locality (chip->link);
}
