/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Of files that may have a PIN in them, and of the others. */
#define CONFIG_FILE_MODE        0640
#define CONFIG_FILE_PUBLIC_MODE 0644

typedef enum
{
  CONFIG_FILE_NOBODY, /* there is no file */
  CONFIG_FILE_US,
  CONFIG_FILE_OTHERS, /* no stamp */
  CONFIG_FILE_EDITED, /* stamp of other content */
} ConfigFileOwner;

/*
 * Puts a rendered configuration at @path, atomically, with its stamp (daemon/greengrass/greengrass.h) beside it.
 * A file that is there and not ours by its stamp, or is no regular file, is left alone.
 * @gid: (gid_t) -1: leave
 * @force: also over a regular file that is not ours
 * @out_changed: FALSE if the file was already like that and nothing was written
 * Errors: GGTPM_ERROR_EXISTS, GGTPM_ERROR_FAILED.
 */
gboolean config_file_write (const char *path,
                            const char *text,
                            gsize len,
                            mode_t mode,
                            gid_t gid,
                            gboolean force,
                            gboolean *out_changed,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Replaces the text of a file that was edited, atomically. Its mode, owner and group stay; it stays edited, its stamp
 * is not touched. Errors: GGTPM_ERROR_FAILED.
 */
gboolean config_file_update (const char *path,
                             const char *text,
                             gsize len,
                             gboolean *out_changed,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * What config_file_write() would do, without doing it.
 * @text: NULL: not known yet
 * @out_current: whether the file has this text already
 * Errors: as config_file_write()'s.
 */
gboolean config_file_compare (const char *path,
                              const char *text,
                              gsize len,
                              gboolean *out_current,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Errors: GGTPM_ERROR_EXISTS (no regular file), GGTPM_ERROR_FAILED. */
gboolean config_file_get_owner (const char *path,
                                ConfigFileOwner *out_owner,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The file and its stamp, under the same conditions; that it is gone already is no error. Errors: the same. */
gboolean
config_file_remove (const char *path, gboolean force, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
