/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Memory files that nobody can change any more: how text with secrets in it crosses the bus, and why reading it cannot
 * block.
 */

/* Returns a descriptor at offset 0. @name: for /proc. Errors: GGTPM_ERROR_FAILED. */
int sealed_file_new (const char *name, const void *data, gsize len, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/*
 * All of it, wherever its offset is, with a NUL behind it; the caller's, who wipes it if it has secrets.
 * @what: for the error's text. Errors: GGTPM_ERROR_INVALID_ARGS: longer than @max, or not sealed against writing and
 * shrinking.
 */
char *sealed_file_read (int fd, const char *what, gsize max, gsize *out_len, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
