/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "common/config.h"
#include "greengrass/greengrass.h"
#include "token/tokens.h"

G_BEGIN_DECLS

/* Where the caller does not say. */
#define RENDER_DEFAULT_TOKEN "greengrass"
#define RENDER_DEFAULT_KEY   "greenkey"

/* Render: Provisioning.RenderConfig's work: what the token knows, put together with what the caller said. */
typedef struct
{
  const Config *config;
  Tokens *tokens;
  GreengrassFlavour flavour;
  GreengrassParams *params; /* what the caller said */
} RenderArgs;

typedef struct
{
  int fd;     /* a sealed memfd, at offset 0 */
  char *path; /* where the flavour looks for it */
} Rendered;

RenderArgs *render_args_new (const Config *config, Tokens *tokens);
void render_args_free (gpointer args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RenderArgs, render_args_free)
void rendered_free (Rendered *rendered);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Rendered, rendered_free)

/* An operation of the token lane: RenderArgs -> Rendered. Errors: GGTPM_ERROR_NOT_FOUND, GGTPM_ERROR_AUTH_REQUIRED when
 * the file needs a PIN that the daemon does not have. */
gpointer render_run (Tpm *tpm, gpointer args, GCancellable *cancellable, GError **error);

G_END_DECLS
