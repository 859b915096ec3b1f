/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "chip.h"

#include "chip-link.h"
#include "chip-socket.h"
#include "chip-tcti.h"

/* What the kernel's driver and software TPMs take (TPM_BUFSIZE; libtpms' buffer). The former refuses more with an error
 * of the device, the latter answer the rest as if it were another command. */
#define MAX_COMMAND 4096

struct _Chip
{
  Loop *loop;
  char *conf;
  gint64 timeout_us;
  ChipStatus status;
  ChipLink *link;
  gint64 open_until;   /* CHIP_OPENING */
  gint64 answer_until; /* while a command is under way */
  BrokerFault fault;
  char *reason;
};

Chip *
chip_new (Loop *loop, const char *conf, guint timeout_s)
{
  Chip *chip = g_new0 (Chip, 1);

  chip->loop = loop;
  chip->conf = g_strdup (conf);
  chip->timeout_us = (gint64)timeout_s * G_USEC_PER_SEC;
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

void
chip_open (Chip *chip)
{
  chip_close (chip);
  g_clear_pointer (&chip->reason, g_free);
  chip->fault = BROKER_FAULT_NONE;
  chip->status = CHIP_OPENING;
  chip->open_until = g_get_monotonic_time () + chip->timeout_us;
  chip->link = chip_socket_takes (chip->conf) ? chip_socket_open (chip->loop, chip->conf)
                                              : chip_tcti_open (chip->loop, chip->conf);
}

static TSS2_RC
fail_timeout (Chip *chip)
{
  g_autofree char *reason =
      g_strdup_printf ("the TPM has not answered for %" G_GINT64_FORMAT
                       " s: if it keeps silent, the system must be switched off and on",
                       chip->timeout_us / G_USEC_PER_SEC);

  chip_set_fault (chip, BROKER_FAULT_SILENT, reason);
  return TSS2_TCTI_RC_IO_ERROR;
}

/* Takes over what the link has found. */
static void
update_status (Chip *chip)
{
  if (chip->status != CHIP_OPENING && chip->status != CHIP_OPEN)
    return;
  if (chip->link->reason != NULL)
    chip_set_fault (chip, chip->link->fault, chip->link->reason);
  else if (!chip->link->opening)
    chip->status = CHIP_OPEN;
  else if (g_get_monotonic_time () >= chip->open_until)
    fail_timeout (chip);
}

ChipStatus
chip_get_status (Chip *chip)
{
  update_status (chip);
  return chip->status;
}

gint64
chip_get_deadline (const Chip *chip)
{
  return chip->status == CHIP_OPENING ? chip->open_until : -1;
}

BrokerFault
chip_get_fault (const Chip *chip, const char **out_reason)
{
  *out_reason = chip->reason;
  return chip->fault;
}

static TSS2_RC
fail_protocol (Chip *chip)
{
  chip_set_fault (
      chip, BROKER_FAULT_PROTOCOL,
      "what answers is no TPM 2.0: check Tcti= in ggtpmd.conf, and the TPM's version in the "
      "firmware's set-up");
  return TSS2_TCTI_RC_MALFORMED_RESPONSE;
}

static TSS2_RC
fail_io (Chip *chip, TSS2_RC rc)
{
  g_autofree char *reason = g_strdup_printf (
      "talking to the TPM (TCTI \"%s\") failed (0x%08x): see the kernel's log for its driver",
      chip->conf, rc);

  chip_set_fault (chip, BROKER_FAULT_IO, reason);
  return (rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER ? rc : TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC
fail_rc (Chip *chip, TSS2_RC rc)
{
  switch (rc)
    {
    case TSS2_TCTI_RC_MALFORMED_RESPONSE:
    case TSS2_TCTI_RC_INSUFFICIENT_BUFFER:
      return fail_protocol (chip);
    case TSS2_TCTI_RC_NO_CONNECTION:
      chip_link_fail_hangup (chip->link);
      update_status (chip);
      return rc;
    default:
      return fail_io (chip, rc);
    }
}

/* Runs the loop until the link may have something. */
static gboolean
wait_for_link (Chip *chip)
{
  while (!chip->link->awake)
    {
      if (g_get_monotonic_time () >= chip->answer_until)
        return FALSE;
      loop_run_once (chip->loop, chip->answer_until);
    }
  chip->link->awake = FALSE;
  return TRUE;
}

static TSS2_RC
exchange (Chip *chip,
          const guint8 *command,
          gsize size,
          guint8 locality,
          guint8 *response,
          gsize *out_size)
{
  ChipLink *link = chip->link;
  TSS2_RC rc;

  chip->answer_until = g_get_monotonic_time () + chip->timeout_us;
  link->awake = FALSE;
  rc = link->funcs->transmit (link, command, size, locality);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  do
    {
      if (!wait_for_link (chip))
        return fail_timeout (chip);
      rc = link->funcs->receive (link, response, out_size);
    }
  while (rc == TSS2_TCTI_RC_TRY_AGAIN);
  return rc;
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
  if (size > MAX_COMMAND)
    {
      *out_size = command_response_put_error (response, TPM2_RC_COMMAND_SIZE);
      return TSS2_RC_SUCCESS;
    }
  chip->link->busy = TRUE;
  rc = exchange (chip, command, size, locality, response, out_size);
  chip->link->busy = FALSE;
  if (rc != TSS2_RC_SUCCESS && chip->link->refused_locality)
    {
      /* One client's wish, and no fault of the chip: answered as the chip would. */
      *out_size = command_response_put_error (response, TPM2_RC_LOCALITY);
      return TSS2_RC_SUCCESS;
    }
  if (rc != TSS2_RC_SUCCESS)
    return fail_rc (chip, rc);
  return command_response_is_valid (response, *out_size) ? rc : fail_protocol (chip);
}

gboolean
chip_can_rest (const Chip *chip)
{
  return chip->status == CHIP_OPEN && chip->link->can_rest;
}

void
chip_rest (Chip *chip)
{
  if (chip_can_rest (chip))
    chip->link->funcs->rest (chip->link);
}

TSS2_RC
chip_cancel (Chip *chip)
{
  return chip_get_status (chip) == CHIP_OPEN ? chip->link->funcs->cancel (chip->link)
                                             : TSS2_TCTI_RC_NO_CONNECTION;
}

gboolean
chip_can_cancel (const Chip *chip)
{
  return chip->status == CHIP_OPEN && chip->link->can_cancel;
}

void
chip_hurry (Chip *chip, guint timeout_s)
{
  chip->timeout_us = MIN (chip->timeout_us, (gint64)timeout_s * G_USEC_PER_SEC);
  chip->answer_until = MIN (chip->answer_until, g_get_monotonic_time () + chip->timeout_us);
  if (chip_can_cancel (chip) && chip->link->busy)
    (void)!chip_cancel (chip);
}

gboolean
chip_can_set_locality (const Chip *chip)
{
  return chip->status == CHIP_OPEN && chip->link->can_set_locality;
}
