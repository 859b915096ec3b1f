/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "greengrass.h"

G_BEGIN_DECLS

/* A configuration that somebody has placed: what it takes to render it again. No secrets in it. */
typedef struct
{
  char *path;
  GreengrassFlavour flavour;
  GreengrassParams *params; /* what greengrass_params_get_names() has */
} Record;

void record_free (Record *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Record, record_free)

/* More than anybody has. */
#define RECORDS_MAX 64

/*
 * Records: STATE_DIR/configs.json. Written whole, atomically. The token lane's alone; the main thread reads it once, at
 * the start. Ordered by path.
 */

/* Of Record; empty where there is no file. Errors: GGTPM_ERROR_STORE. */
GPtrArray *records_load (const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Errors: GGTPM_ERROR_STORE. */
gboolean
records_save (GPtrArray *records, const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Borrowed; NULL: there is none. */
Record *records_find (GPtrArray *records, const char *path);
/* Takes @record, in the place of one of the same path. Errors: GGTPM_ERROR_INVALID_ARGS: RECORDS_MAX. */
gboolean records_put (GPtrArray *records, Record *record, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Whether there was one. */
gboolean records_remove (GPtrArray *records, const char *path);

G_END_DECLS
