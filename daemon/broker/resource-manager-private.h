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
  SessionTable *sessions;
  Slots *slots;
  GPtrArray *spaces;
  gboolean started; /* the counters below are known */
  gboolean was_reset;
  guint32 reset_count;
  guint32 restart_count;
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
/* The chip has been reset: nobody has anything any more. */
void resource_manager_forget_all (ResourceManager *rm);
/* TPM2_GetCapability; the capability data follow moreData and capability at the returned offset of @response. */
TSS2_RC resource_manager_get_capability (ResourceManager *rm,
                                         guint32 capability,
                                         guint32 property,
                                         guint32 count,
                                         guint8 *response,
                                         gsize *out_size);

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

/* resource-manager.c: commands that are nothing special. */
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

G_END_DECLS
