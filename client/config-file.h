/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define CONFIG_FILE_MODE 0640

/*
 * Puts a rendered configuration at @path, atomically, 0640, with its stamp (daemon/greengrass/greengrass.h) beside it.
 * A file that is there and not ours by its stamp, or is no regular file, is left alone.
 * @gid: (gid_t) -1: leave
 * @force: also over a regular file that is not ours
 * @out_changed: FALSE if the file was already like that and nothing was written
 * Errors: GGTPM_ERROR_EXISTS, GGTPM_ERROR_FAILED.
 */
gboolean config_file_write (const char *path,
                            const char *text,
                            gsize len,
                            gid_t gid,
                            gboolean force,
                            gboolean *out_changed,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
