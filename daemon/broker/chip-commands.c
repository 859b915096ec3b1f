/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "chip-commands.h"

#include <string.h>

#define PAGE      127
#define MAX_PAGES 64

struct _ChipCommands
{
  ChipBelow below;
  gboolean lost;
};

ChipCommands *
chip_commands_new (const ChipBelow *below)
{
  ChipCommands *chip = g_new0 (ChipCommands, 1);

  chip->below = *below;
  return chip;
}

void
chip_commands_free (ChipCommands *chip)
{
  g_free (chip);
}

gboolean
chip_commands_is_lost (const ChipCommands *chip)
{
  return chip->lost;
}

void
chip_commands_reset_lost (ChipCommands *chip)
{
  chip->lost = FALSE;
}

TSS2_RC
chip_commands_transact (ChipCommands *chip,
                        const guint8 *command,
                        gsize size,
                        guint8 locality,
                        guint8 *response,
                        gsize *out_size)
{
  TSS2_RC rc;

  if (chip->lost)
    return TSS2_TCTI_RC_NO_CONNECTION;
  rc = chip->below.transact (chip->below.data, command, size, locality, response, out_size);
  if (rc != TSS2_RC_SUCCESS)
    chip->lost = TRUE;
  return rc;
}

/* One of ours. Returns the TCTI's error, the response's code, or that it is shorter than @min_size. */
static TSS2_RC
send_own (ChipCommands *chip,
          const guint8 *command,
          gsize size,
          guint8 *response,
          gsize min_size,
          gsize *out_size)
{
  TSS2_RC rc = chip_commands_transact (chip, command, size, 0, response, out_size);

  if (rc == TSS2_RC_SUCCESS)
    rc = command_response_get_rc (response);
  if (rc == TSS2_RC_SUCCESS && *out_size < min_size)
    rc = TSS2_TCTI_RC_MALFORMED_RESPONSE;
  return rc;
}

/* Contexts */

TSS2_RC
chip_commands_save_context (ChipCommands *chip,
                            guint32 handle,
                            guint8 *response,
                            const guint8 **out_blob,
                            gsize *out_size)
{
  guint8 command[COMMAND_HEADER_SIZE + 4];
  gsize size;
  TSS2_RC rc;

  command_put_handle_only (command, TPM2_CC_ContextSave, handle);
  rc = send_own (chip, command, sizeof command, response, COMMAND_HEADER_SIZE, &size);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  *out_blob = response + COMMAND_HEADER_SIZE;
  *out_size = size - COMMAND_HEADER_SIZE;
  return TSS2_RC_SUCCESS;
}

TSS2_RC
chip_commands_load_context (ChipCommands *chip, GBytes *context, guint32 *out_handle)
{
  guint8 command[COMMAND_MAX_SIZE];
  guint8 response[COMMAND_MAX_SIZE];
  gsize blob_size, size;
  const guint8 *blob = g_bytes_get_data (context, &blob_size);
  TSS2_RC rc;

  size = command_put_header (command, COMMAND_HEADER_SIZE + blob_size, TPM2_CC_ContextLoad);
  memcpy (command + COMMAND_HEADER_SIZE, blob, blob_size);
  rc = send_own (chip, command, size, response, COMMAND_HEADER_SIZE + 4, &size);
  if (rc == TSS2_RC_SUCCESS)
    *out_handle = get_be32 (response + COMMAND_HEADER_SIZE);
  return rc;
}

/* TPM2_FlushContext's TPM_RC_HANDLE, whatever parameter it names. */
static gboolean
is_no_such_handle (TSS2_RC rc)
{
  return (rc & ~(TSS2_RC)(TPM2_RC_P | TPM2_RC_N_MASK)) == TPM2_RC_HANDLE;
}

TSS2_RC
chip_commands_flush (ChipCommands *chip, guint32 handle)
{
  guint8 command[COMMAND_HEADER_SIZE + 4];
  guint8 response[COMMAND_MAX_SIZE];
  gsize size;
  TSS2_RC rc;

  command_put_handle_only (command, TPM2_CC_FlushContext, handle);
  rc = send_own (chip, command, sizeof command, response, COMMAND_HEADER_SIZE, &size);
  /* Not there is what was wanted. */
  return is_no_such_handle (rc) ? TSS2_RC_SUCCESS : rc;
}

/* Start and end */

static TSS2_RC
send_startup (ChipCommands *chip, guint32 code)
{
  guint8 command[COMMAND_HEADER_SIZE + 2];
  guint8 response[COMMAND_MAX_SIZE];
  gsize size = command_put_header (command, sizeof command, code);

  put_be16 (command + COMMAND_HEADER_SIZE, TPM2_SU_CLEAR);
  return send_own (chip, command, size, response, COMMAND_HEADER_SIZE, &size);
}

TSS2_RC
chip_commands_startup (ChipCommands *chip)
{
  return send_startup (chip, TPM2_CC_Startup);
}

TSS2_RC
chip_commands_shut_down (ChipCommands *chip)
{
  return send_startup (chip, TPM2_CC_Shutdown);
}

/* TPM2_ReadClock: TPMS_TIME_INFO is time u64, clock u64, resetCount u32, restartCount u32, safe u8. */
TSS2_RC
chip_commands_read_counters (ChipCommands *chip, guint32 *out_reset, guint32 *out_restart)
{
  guint8 command[COMMAND_HEADER_SIZE];
  guint8 response[COMMAND_MAX_SIZE];
  gsize size = command_put_header (command, sizeof command, TPM2_CC_ReadClock);
  TSS2_RC rc = send_own (chip, command, size, response, COMMAND_HEADER_SIZE + 24, &size);

  if (rc != TSS2_RC_SUCCESS)
    return rc;
  *out_reset = get_be32 (response + COMMAND_HEADER_SIZE + 16);
  *out_restart = get_be32 (response + COMMAND_HEADER_SIZE + 20);
  return TSS2_RC_SUCCESS;
}

/* TPM2_GetCapability */

static TSS2_RC
get_capability (ChipCommands *chip,
                guint32 capability,
                guint32 property,
                guint32 count,
                guint8 *response,
                gsize *out_size)
{
  guint8 command[COMMAND_HEADER_SIZE + 12];
  gsize size = command_put_header (command, sizeof command, TPM2_CC_GetCapability);

  put_be32 (command + 10, capability);
  put_be32 (command + 14, property);
  put_be32 (command + 18, count);
  return send_own (chip, command, size, response, COMMAND_CAPABILITY_LIST, out_size);
}

TSS2_RC
chip_commands_read_list (ChipCommands *chip,
                         guint32 capability,
                         guint32 first,
                         guint32 mask,
                         GArray *out_values)
{
  guint8 response[COMMAND_MAX_SIZE];
  guint32 property = first;
  gboolean more = TRUE;

  for (guint page = 0; more && page < MAX_PAGES; page++)
    {
      gsize size;
      guint32 n;
      TSS2_RC rc = get_capability (chip, capability, property, PAGE, response, &size);

      if (rc != TSS2_RC_SUCCESS)
        return rc;
      n = (guint32)MIN (get_be32 (response + COMMAND_CAPABILITY_COUNT),
                        (size - COMMAND_CAPABILITY_LIST) / 4);
      for (guint32 i = 0; i < n; i++)
        {
          guint32 value = get_be32 (response + COMMAND_CAPABILITY_LIST + 4 * (gsize)i);

          g_array_append_val (out_values, value);
          property = (first & ~mask) | ((value & mask) + 1);
        }
      more = response[COMMAND_HEADER_SIZE] != 0 && n > 0;
    }
  return TSS2_RC_SUCCESS;
}

gboolean
chip_commands_read_property (ChipCommands *chip, guint32 property, guint32 *out_value)
{
  guint8 response[COMMAND_MAX_SIZE];
  const guint8 *entry = response + COMMAND_CAPABILITY_LIST;
  gsize size;

  if (get_capability (chip, TPM2_CAP_TPM_PROPERTIES, property, 1, response, &size) !=
          TSS2_RC_SUCCESS ||
      size < COMMAND_CAPABILITY_LIST + 8 || get_be32 (entry) != property)
    return FALSE;
  *out_value = get_be32 (entry + 4);
  return TRUE;
}
