/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "client/commands.h"

G_BEGIN_DECLS

/*
 * ProvisionFiles: what provision.conf leaves to the client: CSRs and configurations that are put in their places, and
 * certificates that are taken from theirs. The daemon has read the file and says in the job's result what there is to
 * do; this compares, and does what is missing.
 */
typedef struct _ProvisionFiles ProvisionFiles;

/* @result: a{sv}, of a job of Provision */
ProvisionFiles *provision_files_new (Client *client, GVariant *result);
void provision_files_free (ProvisionFiles *files);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ProvisionFiles, provision_files_free)

/*
 * Whether all of it can be done, without doing any: directories and files, and whether what is there is ours.
 * @missing: what would be done is added, for people; @waiting: files that have not come yet
 */
gboolean provision_files_compare (ProvisionFiles *files,
                                  GPtrArray *missing,
                                  GPtrArray *waiting,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Does it, where the daemon's part is done. @placed: of a{sv}: `what`, `path`, `changed` of each file; @waiting: as
 * above */
gboolean provision_files_place (ProvisionFiles *files,
                                const Options *options,
                                GPtrArray *placed,
                                GPtrArray *waiting,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
