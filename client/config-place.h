/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "client.h"

G_BEGIN_DECLS

/* Configurations that the daemon renders and ggtpmctl puts in their places. The client is connected. */

typedef struct
{
  const char *path; /* NULL: where the flavour looks for it; config_place_put() only */
  const char *
      group; /* NULL: that of the file there, else the daemon's where the caller can give files to it */
  gboolean mkdir; /* makes directories above it */
  gboolean force; /* also over a file that is not ours or was changed */
  gboolean
      keep; /* what was edited in it stays, whatever the arguments say, but for what the token decides */
  gboolean public; /* 0644 in place of 0640, and root's group */
} ConfigPlace;

/*
 * What the daemon renders. @flavour, @arguments: of Provisioning.RenderConfig; a floating @arguments is sunk
 * @out_text: may have a PIN in it: to be wiped; @out_path: where the flavour looks for it by default
 */
gboolean config_place_render (Client *client,
                              const char *flavour,
                              GVariant *arguments,
                              char **out_text,
                              gsize *out_len,
                              char **out_path,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether there is the group that @place names. Errors: GGTPM_ERROR_INVALID_ARGS. */
gboolean config_place_check (const ConfigPlace *place, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Whether config_place_put() would change nothing. @text: what the daemon renders; NULL: it cannot yet.
 * @changes: of char *: values that would change are added, for people, where there is a file and its flavour has some
 * Errors: those of config_file_compare().
 */
gboolean config_place_compare (const ConfigPlace *place,
                               const char *flavour,
                               GVariant *arguments,
                               const char *text,
                               gsize len,
                               GPtrArray *changes,
                               gboolean *out_current,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * All of it: renders, writes, and has the daemon remember it, so that `config write --all` keeps it current. For
 * `drop-in` and `p11-kit` it is public, with its directories. In a file that was edited only what the token decides and
 * @arguments state is replaced (config-patch.h), where its flavour allows that.
 * @arguments: not floating
 * @out_changed: FALSE: it was like that already
 * Errors: those of RenderConfig, RememberConfig and config_file_write(); GGTPM_ERROR_FAILED without the directory,
 * GGTPM_ERROR_INVALID_ARGS: there is no such group.
 */
gboolean config_place_put (Client *client,
                           const char *flavour,
                           GVariant *arguments,
                           const ConfigPlace *place,
                           char **out_path,
                           gboolean *out_changed,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* One of the daemon's property Configs, as it was rendered. Borrowed from @config, (ssa{ss}). */
void config_place_read (GVariant *config, const char **out_path, const char **out_flavour);
/* Its options, as arguments for RenderConfig; to be unreferenced. */
GVariant *config_place_get_arguments (GVariant *config);

/* Removes the file if it is ours, and has the daemon forget it. Errors: those of config_file_remove() and ForgetConfig.
 */
gboolean config_place_remove (Client *client, const char *path, gboolean force, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
