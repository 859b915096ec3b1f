/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "resource-manager.h"

#include "privilege.h"
#include "resource-manager-private.h"

ResourceManager *
resource_manager_new (const ResourceManagerLimits *limits, const ChipBelow *chip)
{
  ResourceManager *rm = g_new0 (ResourceManager, 1);

  rm->limits = *limits;
  rm->commands = command_table_new ();
  rm->chip = chip_commands_new (chip);
  rm->objects = object_table_new ();
  rm->sessions = session_table_new ();
  rm->slots = slots_new (rm->chip, rm->objects, rm->sessions);
  slots_set_limits (rm->slots, limits->chip_objects, limits->chip_sessions, limits->reserve_slots);
  rm->spaces = g_ptr_array_new ();
  return rm;
}

void
resource_manager_free (ResourceManager *rm)
{
  g_assert (rm->spaces->len == 0);
  resource_manager_forget_parms (rm);
  g_ptr_array_unref (rm->spaces);
  slots_free (rm->slots);
  session_table_free (rm->sessions);
  object_table_free (rm->objects);
  chip_commands_free (rm->chip);
  command_table_free (rm->commands);
  g_free (rm);
}

void
resource_manager_set_alongside (ResourceManager *rm, guint chip_objects, guint chip_sessions)
{
  rm->limits.alongside = TRUE;
  slots_set_limits (rm->slots, chip_objects, chip_sessions, rm->limits.reserve_slots);
}

gboolean
resource_manager_take_was_reset (ResourceManager *rm)
{
  gboolean was_reset = rm->was_reset;

  rm->was_reset = FALSE;
  return was_reset;
}

guint
resource_manager_take_flushed (ResourceManager *rm)
{
  guint n_flushed = rm->n_flushed;

  rm->n_flushed = 0;
  return n_flushed;
}

static TSS2_RC
process_startup (ResourceManager *rm,
                 Space *space,
                 guint8 locality,
                 Command *command,
                 guint8 *response,
                 gsize *out_size)
{
  TSS2_RC rc;

  if (!space->privileged)
    return TPM2_RC_INITIALIZE;
  rc = slots_forward (rm->slots, command, locality, FALSE, FALSE, response, out_size);
  if (rc == TSS2_RC_SUCCESS && command_response_get_rc (response) == TSS2_RC_SUCCESS)
    (void)!resource_manager_resync (rm, TRUE);
  return rc;
}

static TSS2_RC
process (ResourceManager *rm,
         Space *space,
         guint8 locality,
         guint8 *data,
         gsize size,
         guint8 *response,
         gsize *out_size)
{
  Command command;
  guint32 attributes = 0;
  gboolean known = command_table_lookup (rm->commands, command_peek_code (data), &attributes);
  TSS2_RC rc = command_parse (&command, data, size, attributes);

  if (command.code == TPM2_CC_FlushContext && size < COMMAND_HEADER_SIZE + 4)
    return RESMGR_RC (TPM2_RC_INSUFFICIENT);
  /* Without the table authorisations are not found, and need not be. */
  if (command_table_size (rm->commands) == 0)
    return resource_manager_process_in_failure_mode (rm, rc == TSS2_RC_SUCCESS ? &command : NULL,
                                                     response, out_size);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  if (!known)
    return TPM2_RC_COMMAND_CODE;
  if (!space->privileged && privilege_is_needed (command.code, rm->limits.open_commands))
    return RESMGR_RC (TSS2_BASE_RC_NOT_PERMITTED);
  switch (command.code)
    {
    case TPM2_CC_FlushContext:
      return resource_manager_flush_context (rm, space, &command, response, out_size);
    case TPM2_CC_ContextSave:
      return resource_manager_save_context (rm, space, &command, response, out_size);
    case TPM2_CC_ContextLoad:
      return resource_manager_load_context (rm, space, &command, response, out_size);
    case TPM2_CC_GetCapability:
      return resource_manager_virtual_capability (rm, space, &command, response, out_size);
    case TPM2_CC_Startup:
      return process_startup (rm, space, locality, &command, response, out_size);
    case TPM2_CC_TestParms:
      return resource_manager_test_parms (rm, space, locality, &command, response, out_size);
    case TPM2_CC_SetAlgorithmSet:
      resource_manager_forget_parms (rm);
      return resource_manager_process_any (rm, space, locality, &command, response, out_size);
    default:
      return resource_manager_process_any (rm, space, locality, &command, response, out_size);
    }
}

/* The chip has been reset without our knowing, and waits for its Startup. */
static void
restart (ResourceManager *rm)
{
  gboolean was_reset = FALSE;

  if (rm->limits.alongside || resource_manager_start (rm, &was_reset) != TSS2_RC_SUCCESS)
    return;
  rm->was_reset |= was_reset;
}

gsize
resource_manager_process (ResourceManager *rm,
                          Space *space,
                          guint8 locality,
                          guint8 *data,
                          gsize size,
                          guint8 *response)
{
  gsize response_size = 0;
  guint32 code = command_peek_code (data);
  TSS2_RC rc;

  slots_begin (rm->slots);
  rc = process (rm, space, locality, data, size, response, &response_size);
  if (rc != TSS2_RC_SUCCESS)
    return command_response_put_error (response, rc);
  if (command_response_get_rc (response) == TPM2_RC_INITIALIZE && code != TPM2_CC_Startup)
    restart (rm);
  return response_size;
}

/* Clearing up */

gboolean
resource_manager_sweep (ResourceManager *rm)
{
  return slots_sweep_one (rm->slots);
}

gboolean
resource_manager_has_loaded (const ResourceManager *rm)
{
  return object_table_get_loaded (rm->objects)->len > 0 ||
         session_table_n_loaded (rm->sessions) > 0;
}

gboolean
resource_manager_idle_step (ResourceManager *rm)
{
  slots_begin (rm->slots);
  if (slots_evict_one (rm->slots))
    return TRUE;
  slots_relax (rm->slots);
  return FALSE;
}

gboolean
resource_manager_shut_down (ResourceManager *rm)
{
  return rm->started && !chip_commands_is_lost (rm->chip) && !rm->limits.alongside &&
         rm->limits.sends_shutdown && chip_commands_shut_down (rm->chip) == TSS2_RC_SUCCESS;
}

gboolean
resource_manager_stop (ResourceManager *rm)
{
  if (!rm->started || chip_commands_is_lost (rm->chip))
    return FALSE;
  while (session_table_oldest_abandoned (rm->sessions) != NULL)
    session_table_kill (rm->sessions, session_table_oldest_abandoned (rm->sessions));
  while (slots_sweep_one (rm->slots))
    ;
  return resource_manager_shut_down (rm);
}
