/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <sys/types.h>
#include <tss2/tss2_common.h>

#include "slots.h"

G_BEGIN_DECLS

/*
 * ResourceManager: gives each connection a TPM of its own. Sequential code over ChipBelow; knows nothing of sockets.
 * Broker thread; while it waits for the chip, connections may come and go, but resource_manager_process() is not called
 * a second time and no space is closed.
 */
typedef struct _ResourceManager ResourceManager;
/* What one connection has in the chip. */
typedef struct _Space Space;

typedef struct
{
  guint max_objects;            /* of a connection */
  guint max_sessions;           /* of a connection */
  guint max_objects_per_uid;    /* of a user's connections together; 0: no such limit */
  guint max_sessions_per_uid;   /* as well */
  guint max_abandoned_sessions; /* in all */
  guint open_commands;          /* ConfigOpenFlags */
  guint reserve_slots;
  gboolean
      alongside; /* another resource manager is below: no Startup, no Shutdown, hands off what is not ours */
  gboolean sends_shutdown; /* unless alongside */
  gboolean keeps_leaked;   /* hands off what is nobody's also where no other resource manager is */
  guint chip_objects;      /* what that one allows us; 0: no such limit */
  guint chip_sessions;
} ResourceManagerLimits;

ResourceManager *resource_manager_new (const ResourceManagerLimits *limits, const ChipBelow *chip);
/* All spaces must be closed. */
void resource_manager_free (ResourceManager *rm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ResourceManager, resource_manager_free)

/* Before the first start: as limits.alongside and so on, found out later. */
void resource_manager_set_alongside (ResourceManager *rm, guint chip_objects, guint chip_sessions);

/*
 * After the chip has been opened, the first time or again: starts it, reads what it can, makes the tables true.
 * @out_was_reset: it has lost what was in it
 * Returns 0, a TCTI error, or the code with which it refuses to be a TPM 2.0.
 */
TSS2_RC resource_manager_start (ResourceManager *rm, gboolean *out_was_reset);
/* TPM2_Shutdown(CLEAR), if the limits say so and the chip is there: its dictionary-attack counter does not rise when
 * the power goes (TPM 2.0 Library Part 1, 19.8.6). Returns whether the chip has carried it out. */
gboolean resource_manager_shut_down (ResourceManager *rm);
/* All spaces are closed: flushes what they have left, then as resource_manager_shut_down(). */
gboolean resource_manager_stop (ResourceManager *rm);

/* A command has shown that the chip was reset behind our back; reading this clears it. */
gboolean resource_manager_take_was_reset (ResourceManager *rm);
/* Objects and sessions that were found in the chip, were nobody's, and were flushed; reading this clears it. */
guint resource_manager_take_flushed (ResourceManager *rm);

/*
 * @privileged: may send what privilege.h keeps from others
 * @unlimited: no quota
 */
Space *resource_manager_open_space (ResourceManager *rm,
                                    uid_t uid,
                                    gboolean privileged,
                                    gboolean unlimited);
/* What it has is given up; nothing is sent now: see resource_manager_sweep(). */
void resource_manager_close_space (ResourceManager *rm, Space *space);

/*
 * @data: a framed command; is overwritten
 * @response: COMMAND_MAX_SIZE bytes
 * Returns the response's size.
 */
gsize resource_manager_process (ResourceManager *rm,
                                Space *space,
                                guint8 locality,
                                guint8 *data,
                                gsize size,
                                guint8 *response);

/* One command's worth of clearing up after closed connections; FALSE: clean. */
gboolean resource_manager_sweep (ResourceManager *rm);
/* Puts one thing out of the chip, because it idles; FALSE: nothing of ours is left in it. */
gboolean resource_manager_idle_step (ResourceManager *rm);
gboolean resource_manager_has_loaded (const ResourceManager *rm);

G_END_DECLS
