/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "handle-map.h"
#include "resource-manager.h"

G_BEGIN_DECLS

/* For the files of the resource manager only. */

struct _ResourceManager
{
  ResourceManagerLimits limits;
  CommandTable *commands;
  ChipCommands *chip;
  ObjectTable *objects;
  SessionTable *sessions;
  Slots *slots;
  GPtrArray *spaces;
  gboolean started; /* the counters below are known */
  gboolean was_reset;
  gboolean has_seen_sessions; /* those that were in the chip before us are known */
  guint n_flushed;            /* that were nobody's */
  guint32 reset_count;
  guint32 restart_count;
  GHashTable *parms; /* parms.c: GBytes to TSS2_RC; NULL: none */
  gint64 retry_at;   /* in failure mode: not before then is the chip tried again */
  gint64 retry_delay;
};

struct _Space
{
  HandleMap *objects;
  uid_t uid;
  gboolean privileged;
  gboolean unlimited;
};

#define RESMGR_RC(rc) ((TSS2_RC)(TSS2_RESMGR_RC_LAYER | (rc)))

/* sync.c: makes the tables true by asking the chip what is in it. */
TSS2_RC resource_manager_reconcile (ResourceManager *rm);
/* The same, after a reset that may have gone unnoticed: compares the counters first. @just_started: by TPM2_Startup */
TSS2_RC resource_manager_resync (ResourceManager *rm, gboolean just_started);
/* After @command, one with TPMA_CC_EXTENSIVE: gives up what it has ended, in the chip and of the saved. */
void resource_manager_follow_extensive (ResourceManager *rm, const Command *command);
/* failure-mode.c: the chip has said TPM_RC_FAILURE. It still says why, and health has to ask. */
void resource_manager_enter_failure_mode (ResourceManager *rm);
/*
 * A TPM in failure mode says little, and only to commands without handles (Part 1, 12.4); the others are answered for
 * it. When a self-test passes, or by and by, it is tried whether it works again.
 * @command: NULL: one that could not be parsed
 * Returns as the commands below.
 */
TSS2_RC resource_manager_process_in_failure_mode (ResourceManager *rm,
                                                  const Command *command,
                                                  guint8 *response,
                                                  gsize *out_size);
/* The chip has been reset: nobody has anything any more. */
void resource_manager_forget_all (ResourceManager *rm);
/* spaces.c */

/* Takes @object out of its owner's map and frees it. */
void resource_manager_drop_object (ResourceManager *rm, Object *object);
Session *resource_manager_find_session (ResourceManager *rm, Space *space, guint32 handle);
/* A handle that the chip has just made for @space. Returns the one that the client is to see. */
guint32 resource_manager_adopt (ResourceManager *rm,
                                Space *space,
                                guint32 handle,
                                gboolean sequence,
                                Object **out_object);
gboolean resource_manager_object_quota (const ResourceManager *rm, const Space *space);
gboolean resource_manager_session_quota (const ResourceManager *rm, const Space *space);

/* plain-commands.c: commands that are nothing special. */
TSS2_RC resource_manager_process_any (ResourceManager *rm,
                                      Space *space,
                                      guint8 locality,
                                      Command *command,
                                      guint8 *response,
                                      gsize *out_size);

/* context-commands.c: return 0 with the response, or the code to answer. */
TSS2_RC resource_manager_flush_context (ResourceManager *rm,
                                        Space *space,
                                        Command *command,
                                        guint8 *response,
                                        gsize *out_size);
TSS2_RC resource_manager_save_context (ResourceManager *rm,
                                       Space *space,
                                       Command *command,
                                       guint8 *response,
                                       gsize *out_size);
TSS2_RC resource_manager_load_context (ResourceManager *rm,
                                       Space *space,
                                       Command *command,
                                       guint8 *response,
                                       gsize *out_size);

/* capability.c */
TSS2_RC resource_manager_virtual_capability (ResourceManager *rm,
                                             Space *space,
                                             Command *command,
                                             guint8 *response,
                                             gsize *out_size);

/* parms.c: answers that the chip has given are given again. */
TSS2_RC resource_manager_test_parms (ResourceManager *rm,
                                     Space *space,
                                     guint8 locality,
                                     Command *command,
                                     guint8 *response,
                                     gsize *out_size);
/* The chip may be another one, or have another set of algorithms. */
void resource_manager_forget_parms (ResourceManager *rm);

G_END_DECLS
