/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define PIN_READERS_USER  "user:"
#define PIN_READERS_GROUP "group:"

/*
 * Who may read a PIN file besides its owner, as its POSIX access control list (acl(5)): the owner of a file sets that
 * without any right. @readers: `user:NAME`, `group:NAME`, NULL-terminated; the file's own group is read by nobody else
 * unless it is among them. Blocks: names are looked up.
 */

/* Whether all of them are known. Errors: GGTPM_ERROR_INVALID_ARGS. */
gboolean pin_readers_check (char **readers, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Whether @path has other readers than @readers. Errors: GGTPM_ERROR_INVALID_ARGS: a name that is not known. */
gboolean pin_readers_differ (const char *path, char **readers, gboolean *out_differ, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
/* Errors: the same; GGTPM_ERROR_STORE: the file system has no such lists. */
gboolean
pin_readers_set (const char *path, char **readers, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Gives @to the list of @from, where both are and @from has one: for a file that replaces another. Errors: STORE. */
gboolean
pin_readers_copy (const char *from, const char *to, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
