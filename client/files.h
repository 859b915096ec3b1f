/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "commands.h"

G_BEGIN_DECLS

/* Files that the command line names; `-` is standard input or output. */

/* Whether @name is a file: neither NULL nor `-`. */
gboolean files_is_path (const char *name);

/* All of it. Errors: GGTPM_ERROR_FAILED; GGTPM_ERROR_INVALID_ARGS when it is longer than @max. */
GBytes *files_read (const char *name, gsize max, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The digest of all of it, of whatever length. Errors: GGTPM_ERROR_FAILED. */
GBytes *files_hash (const char *name, GChecksumType type, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Atomically, 0644: for what is public; into a pipe or device as it is. Errors: GGTPM_ERROR_FAILED. */
gboolean files_write (const char *path, const void *data, gsize len, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/*
 * Whether a file can be written at @path, before anything is done: its directory is there and may be written to, and
 * nothing but a regular file has that name. @mkdir: missing directories will be made. Errors: GGTPM_ERROR_FAILED.
 */
gboolean
files_check_target (const char *path, gboolean mkdir, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Puts @path into @object, as UTF-8. */
void files_describe (GVariantBuilder *object, const char *name, const char *path);

/* Errors: GGTPM_ERROR_INVALID_ARGS when both @name and a PIN are to come from standard input. */
gboolean files_check_standard_input (const Options *options,
                                     const char *name,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
