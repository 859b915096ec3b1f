/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "client.h"

G_BEGIN_DECLS

typedef struct
{
  char *
      check; /* `current`, `parses`, `token`, `slot`, `pin`, `key`, `certificate`, `file`, `access`, `unit` */
  char *verdict; /* `ok`, `fault`, `unknown` */
  char *text;
  char *remedy; /* may be empty */
} ConfigFinding;

void config_finding_free (ConfigFinding *finding);

/*
 * What is true of one of the daemon's property Configs: (ssa{ss}), of ConfigFinding. Reads the file: who may not, gets
 * `unknown`. That the daemon cannot be asked is an error, all else a finding.
 */
GPtrArray *
config_check_run (Client *client, GVariant *config, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether one of @findings is a fault. */
gboolean config_check_has_fault (GPtrArray *findings);

G_END_DECLS
