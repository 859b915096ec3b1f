/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <tss2/tss2_common.h>

#include "command.h"

G_BEGIN_DECLS

/*
 * ChipCommands: the chip as the resource manager sees it, and the commands that it sends by itself. Broker thread.
 *
 * Results are TSS2_RCs: those of the chip, or of the TCTI layer, after which the chip counts as lost: nothing reaches
 * it before chip_commands_reset_lost().
 */
typedef struct _ChipCommands ChipCommands;

/* What is below, or what tests have in its place. */
typedef struct
{
  /*
   * One command and its response, which has been checked with command_response_is_valid().
   * @response: COMMAND_MAX_SIZE bytes; not @command
   * Returns a code of the TCTI layer; then there is no response.
   */
  TSS2_RC (*transact)
  (gpointer data,
   const guint8 *command,
   gsize size,
   guint8 locality,
   guint8 *response,
   gsize *out_size);
  gpointer data;
} ChipBelow;

ChipCommands *chip_commands_new (const ChipBelow *below);
void chip_commands_free (ChipCommands *chip);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChipCommands, chip_commands_free)

/* A TCTI error has been seen since the last chip_commands_reset_lost(). */
gboolean chip_commands_is_lost (const ChipCommands *chip);
void chip_commands_reset_lost (ChipCommands *chip);

/* A command as it is. As ChipBelow's: the chip's own word is in @response. */
TSS2_RC chip_commands_transact (ChipCommands *chip,
                                const guint8 *command,
                                gsize size,
                                guint8 locality,
                                guint8 *response,
                                gsize *out_size);

/* @response: COMMAND_MAX_SIZE bytes, of which @out_blob, a TPMS_CONTEXT, is a part */
TSS2_RC chip_commands_save_context (ChipCommands *chip,
                                    guint32 handle,
                                    guint8 *response,
                                    const guint8 **out_blob,
                                    gsize *out_size);
TSS2_RC chip_commands_load_context (ChipCommands *chip, GBytes *context, guint32 *out_handle);
/* Also of an active session that is not loaded. Success also where there was nothing to flush. */
TSS2_RC chip_commands_flush (ChipCommands *chip, guint32 handle);

TSS2_RC chip_commands_startup (ChipCommands *chip);
TSS2_RC chip_commands_shut_down (ChipCommands *chip);
/* Which TPM reset and which restart since then this is. */
TSS2_RC chip_commands_read_counters (ChipCommands *chip, guint32 *out_reset, guint32 *out_restart);

/*
 * A whole list of TPM2_GetCapability, page by page: handles, or attributes of commands.
 * @mask: the bits of an entry that the next page is asked by
 * @out_values: guint32, added to
 */
TSS2_RC chip_commands_read_list (ChipCommands *chip,
                                 guint32 capability,
                                 guint32 first,
                                 guint32 mask,
                                 GArray *out_values);
/* FALSE: the chip has no such TPM2_PT. */
gboolean chip_commands_read_property (ChipCommands *chip, guint32 property, guint32 *out_value);

G_END_DECLS
