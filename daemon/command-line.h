/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "common/config.h"

G_BEGIN_DECLS

/* CommandLine: what ggtpmd was started with. */
typedef struct
{
  char *config;
  char *tcti;
  char *mode;
  char *state_dir;
  char *runtime_dir;
  char *bus_address;
  char *tabrmd_name;
  gboolean no_tabrmd;
  gboolean verbose;
  gboolean version;
} CommandLine;

void command_line_clear (CommandLine *line);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CommandLine, command_line_clear)

/* Into @line, which is all zeros. Ends the process after --help. Errors: G_OPTION_ERROR. */
gboolean command_line_parse (CommandLine *line, int *argc, char ***argv, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* The configuration file with @line over it. Errors: config_load()'s, GGTPM_ERROR_INVALID_ARGS. */
Config *command_line_load_config (CommandLine *line, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
