/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * A configuration that was written by ggtpmctl and edited since: what the token decides is put into it, everything
 * else, comments and all, stays as it is. For v2 that is slot and PIN of the PKCS#11 provider and the URIs of key and
 * certificate, for lite the two URIs. A file in the place of a URI is somebody's wish and stays.
 */

/* Whether that can be done for files of @flavour. */
gboolean config_patch_supports (const char *flavour);

/*
 * @fresh: what the daemon renders now
 * @text: the file
 * Returns the new text, the same one where all is current; it may have a PIN in it, and is wiped by the caller.
 * Errors: GGTPM_ERROR_INVALID_ARGS naming what @text lacks, or has in a form that cannot be replaced.
 */
char *config_patch_apply (const char *flavour,
                          const char *fresh,
                          const char *text,
                          gsize len,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
