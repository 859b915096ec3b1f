/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "greengrass/greengrass.h"
#include "token/tokens.h"

G_BEGIN_DECLS

/* ConfigCheck: Provisioning.CheckConfig's work: what a configuration points at, against the tokens that there are. */
typedef struct
{
  Tokens *tokens;
  GreengrassFlavour flavour;
  char *text; /* wiped */
  gsize len;
  char *token; /* that it is to be for; NULL: RENDER_DEFAULT_TOKEN */
} ConfigCheckArgs;

void config_check_args_free (gpointer args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ConfigCheckArgs, config_check_args_free)

/* An operation of the token lane: ConfigCheckArgs -> GVariant (a(ssss)a(ss)) as CheckConfig answers. */
gpointer config_check_run (Tpm *tpm, gpointer args, GCancellable *cancellable, GError **error);

G_END_DECLS
