/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "commands.h"

G_BEGIN_DECLS

/*
 * Finds the command and parses its options. With --help or --version *out_command may be NULL (help for everything).
 * @argv: NULL-terminated, with the program's name
 * @out_noun: with --help behind a noun that has verbs: that noun
 * Errors: GGTPM_ERROR_INVALID_ARGS, naming what is unknown and what is nearest to it.
 */
gboolean command_line_parse (char **argv,
                             const Command **out_command,
                             const char **out_noun,
                             Options **out_options,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Help for everything (both NULL), a noun, or a command. Free with g_free(). */
char *command_line_get_help (const Command *command, const char *noun);

G_END_DECLS
