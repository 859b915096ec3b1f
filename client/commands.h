/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "client.h"

G_BEGIN_DECLS

/* What the command line says. Strings are NULL, flags FALSE where it says nothing. */
typedef struct
{
  gboolean help;
  gboolean version;
  gboolean json;
  gboolean no_ask_password;
  int timeout_s;

  gboolean add;
  gboolean all;
  gboolean digest;
  gboolean eltt2;
  gboolean force;
  gboolean full;
  gboolean incremental;
  gboolean mkdir;
  gboolean no_wait;
  gboolean plan;
  gboolean print;
  gboolean result;
  gboolean variable;
  gboolean with_pins;
  gboolean yes;
  char *algorithm;
  char *alt_names;
  char *bank;
  char *capability;
  char *certificate_path;
  char *config;
  char *csr_out;
  char *days;
  char *ext_key_usage;
  char *format;
  char *group;
  char *handle;
  char *hash;
  char *id;
  char *in;
  char *iot_cred_endpoint;
  char *iot_data_endpoint;
  char *key;
  char *key_usage;
  char *mechanism;
  char *new_pin_file;
  char *nucleus_version;
  char *out;
  char *path;
  char *pin_file;
  char *region;
  char *role_alias;
  char *root_ca_path;
  char *root_path;
  char *so_pin_file;
  char *socket;
  char *subject;
  char *thing_arn;
  char *thing_name;
  char *token;

  char **arguments; /* those that are no options, behind noun and verb */
} Options;

void options_free (Options *options);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Options, options_free)

/* Value of a string option by its name (`thing-name`); NULL if it was not given. */
const char *options_get (const Options *options, const char *name);

/* Command: one noun and verb. The table of them drives dispatch, help, and the tests of completion and man page. */
typedef struct
{
  const char *noun;
  const char *verb;      /* NULL: the noun is the whole command */
  const char *arguments; /* for people: `KEY FILE` */
  guint n_min_arguments;
  guint n_max_arguments;
  const char *options; /* names, separated by spaces */
  gboolean (*run) (Client *client, const Options *options, GError **error);
  const char *summary; /* one line */
  const char *details; /* NULL: none */
} Command;

/* All of them, in the order of the help. */
const Command *commands_get_table (gsize *out_n);
/* NULL: there is no such command. @verb: may be NULL, and is not looked at where the noun is the whole command */
const Command *commands_find (const char *noun, const char *verb);
/* The table's own text, which outlives the command line; NULL: there is none. */
const char *commands_find_noun (const char *noun);
/* The verbs of @noun, or all nouns if it is NULL. The names are the table's. */
GPtrArray *commands_list_names (const char *noun);
/* GOptionEntry, with addresses in @options: those of all commands, and of @command if it is not NULL. */
GArray *commands_make_entries (const Command *command, Options *options);

G_END_DECLS
