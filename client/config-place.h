/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "client.h"

G_BEGIN_DECLS

/* ConfigPlace: where a rendered configuration goes; for `config write` and for `provision`. */
typedef struct
{
  const char *path;
  const char *group; /* NULL: the daemon's, where it exists and the caller can give files to it */
  gboolean mkdir;    /* make missing directories */
  gboolean force;    /* also over a file that is not ours */
} ConfigPlace;

/*
 * What the daemon renders. @arguments: RenderConfig's options, floating is sunk
 * @out_text: with the PIN in it: to be wiped; @out_path: where the flavour looks for it by default
 * Errors: GGTPM_ERROR.
 */
gboolean config_place_render (Client *client,
                              const char *flavour,
                              GVariant *arguments,
                              char **out_text,
                              gsize *out_len,
                              char **out_path,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @out_changed: FALSE if it was there already. Errors: those of config_file_write(); INVALID_ARGS: no such group. */
gboolean config_place_write (const ConfigPlace *place,
                             const char *text,
                             gsize len,
                             gboolean *out_changed,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
