/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Configuration that people write, as a GKeyFile, which by itself takes a group or key that is there twice for one,
 * with the last of the values. Errors: GGTPM_ERROR_INVALID_ARGS with the line: twice, not UTF-8, a byte order mark;
 * those of GKeyFile.
 */
GKeyFile *key_file_parse (const char *text, gsize len, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Errors: also G_FILE_ERROR. */
GKeyFile *key_file_load (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
