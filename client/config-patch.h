/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * A configuration that was written by ggtpmctl and edited since: values of ours are replaced in it, everything else,
 * comments and all, stays as it is. Ours are those that the token decides (slot, label, PIN, URIs of key and
 * certificate), and those that somebody states by an option of RenderConfig. A file in the place of a URI is somebody's
 * wish and stays, unless it is stated; so does in v1 another key of another principal than IoTCertificate.
 */

/* Whether that can be done for files of @flavour. */
gboolean config_patch_supports (const char *flavour);

/*
 * @fresh: what the daemon renders now
 * @stated: a{sv}, its options that count; NULL: only what the token decides
 * @text: the file
 * @changes: of char *, what was replaced, for people, is added: names of values, where they are no secrets with what
 * they were and are; NULL: not wanted
 * Returns the new text, the same one where all is current; it may have a PIN in it, and is wiped by the caller.
 * Errors: GGTPM_ERROR_INVALID_ARGS naming what @text lacks, or has in a form that cannot be replaced.
 */
char *config_patch_apply (const char *flavour,
                          const char *fresh,
                          GVariant *stated,
                          const char *text,
                          gsize len,
                          GPtrArray *changes,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Adds to @changes, as above, every value in which @text, a file that nobody has edited, differs from @fresh. */
void config_patch_compare (const char *flavour,
                           const char *fresh,
                           const char *text,
                           gsize len,
                           GPtrArray *changes);

G_END_DECLS
