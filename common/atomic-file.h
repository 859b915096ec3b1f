/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Puts @data at @path so that after a power cut at any point there is what was or what was asked for: a temporary file
 * in the same directory (0600, then @mode and @gid), fsync, rename, fsync of the directory. That file's name is always
 * the same: what a killed writer left there the next one removes; one that still writes is waited for. Any thread;
 * blocks.
 * @gid: (gid_t) -1: leave
 * Errors: G_IO_ERROR by errno, with the path in the text.
 */
gboolean atomic_file_write (const char *path,
                            const void *data,
                            gsize len,
                            mode_t mode,
                            gid_t gid,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Removes what a killed atomic_file_write() of @path left, for who has nothing to write there. Errors: as above. */
gboolean atomic_file_forget (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Removes from @dir what a killed atomic_file_write() left there. For directories that only one process writes to, when
 * it starts. Errors: as above.
 */
gboolean atomic_file_remove_leftovers (const char *dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* fsync of a directory, for a rename or unlink in it to last. */
gboolean atomic_file_sync_dir (const char *dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
