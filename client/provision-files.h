/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "client/commands.h"

G_BEGIN_DECLS

/* What came of it, for people but for @placed. */
typedef struct
{
  GPtrArray *missing;  /* of char *: what would be done */
  GPtrArray *placed;   /* of a{sv}: `what`, `path`, `changed` of each file */
  GPtrArray *waiting;  /* of char *: files that have not come yet */
  GPtrArray *problems; /* of char *: why something is not done; all else is, in spite of it */
} ProvisionReport;

/* @result: a{sv}, of a job of Provision: what is missing of its part */
ProvisionReport *provision_report_new (GVariant *result);
void provision_report_free (ProvisionReport *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ProvisionReport, provision_report_free)

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
 * Whether all of it can be done, without doing any: directories and files, and whether what is there is ours. Into
 * @report goes what would be done, what is waited for, and which certificates could not be installed. Where nothing is
 * missing of the daemon's part, what cannot be done is among @report's problems, and no error.
 */
gboolean provision_files_compare (ProvisionFiles *files,
                                  ProvisionReport *report,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Does it, where the daemon's part is done. What cannot be done keeps nothing else from it: it is among @report's
 * problems, and decides the client's exit code.
 */
void provision_files_place (ProvisionFiles *files, const Options *options, ProvisionReport *report);

G_END_DECLS
