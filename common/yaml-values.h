/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* A scalar of a YAML file, and where it is in it. */
typedef struct
{
  char *text;  /* as the file means it; wiped when it is freed */
  gsize start; /* in characters, quotes with it; a byte order mark is not counted */
  gsize end;
  gboolean replaceable; /* one line without anchor and tag, and its name is there once */
} YamlValue;

/*
 * Every scalar in mappings of @text, UTF-8 that is not trusted: name, which is the keys above it with slashes between,
 * to YamlValue. What is in sequences, and aliases, are left out. Unreference it.
 * Errors: GGTPM_ERROR_INVALID_ARGS: it does not parse, or is not one mapping.
 */
GHashTable *
yaml_values_read (const char *text, gsize len, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
