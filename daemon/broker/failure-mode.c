/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "resource-manager-private.h"

/* A TPM that has failed (Part 1, 12.4), until it works again. */

#define RETRY_MIN_US G_TIME_SPAN_SECOND
#define RETRY_MAX_US (60 * G_TIME_SPAN_SECOND)

void
resource_manager_enter_failure_mode (ResourceManager *rm)
{
  rm->retry_delay = CLAMP (rm->retry_delay * 2, RETRY_MIN_US, RETRY_MAX_US);
  rm->retry_at = g_get_monotonic_time () + rm->retry_delay;
  resource_manager_forget_all (rm);
  command_table_clear (rm->commands);
}

/* Whether the chip works again; it is asked no more often than the back-off says. */
static gboolean
leave_failure_mode (ResourceManager *rm)
{
  gboolean was_reset;

  if (resource_manager_start (rm, &was_reset) != TSS2_RC_SUCCESS ||
      command_table_size (rm->commands) == 0)
    return FALSE;
  /* While it did not work nobody could look at it: as after an opening. */
  rm->was_reset = TRUE;
  return TRUE;
}

/* The answer to a self-test, or to the question for its result: TPM2B_MAX_BUFFER, then TPM_RC. */
static gboolean
is_passed (const Command *command, const guint8 *response, gsize size)
{
  gsize result = COMMAND_HEADER_SIZE + 2;

  if (command_response_get_rc (response) != TPM2_RC_SUCCESS ||
      command->code == TPM2_CC_GetCapability)
    return FALSE;
  if (command->code != TPM2_CC_GetTestResult)
    return TRUE;
  if (size >= result)
    result += get_be16 (response + COMMAND_HEADER_SIZE);
  return size >= result + 4 && get_be32 (response + result) == TPM2_RC_SUCCESS;
}

TSS2_RC
resource_manager_process_in_failure_mode (ResourceManager *rm,
                                          const Command *command,
                                          guint8 *response,
                                          gsize *out_size)
{
  gboolean asks =
      command != NULL && command->tag == TPM2_ST_NO_SESSIONS &&
      (command->code == TPM2_CC_GetTestResult || command->code == TPM2_CC_GetCapability ||
       command->code == TPM2_CC_SelfTest || command->code == TPM2_CC_IncrementalSelfTest);
  TSS2_RC rc;

  if (!asks && g_get_monotonic_time () < rm->retry_at)
    return TPM2_RC_FAILURE;
  /* Its client sends it again, and waits until health has looked at the chip. */
  if (!asks)
    return leave_failure_mode (rm) ? TPM2_RC_RETRY : TPM2_RC_FAILURE;
  rc = chip_commands_transact (rm->chip, command->data, command->size, 0, response, out_size);
  if (rc == TSS2_RC_SUCCESS && is_passed (command, response, *out_size))
    leave_failure_mode (rm);
  return rc;
}
