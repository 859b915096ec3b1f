/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * YamlWriter: a YAML file of nested mappings with double-quoted strings, made by libyaml, so that any value comes back
 * from a parser as it went in. An error of libyaml is kept and told by yaml_writer_finish(). What it has in memory is
 * wiped when it is freed.
 */
typedef struct _YamlWriter YamlWriter;

/* @comment: first lines of the file, each with its `# ` and a newline */
YamlWriter *yaml_writer_new (const char *comment);
void yaml_writer_free (YamlWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (YamlWriter, yaml_writer_free)

/* Opens a mapping below @key of the one that is open; the file's own is open from the start. */
void yaml_writer_begin (YamlWriter *writer, const char *key);
void yaml_writer_end (YamlWriter *writer);
void yaml_writer_add_string (YamlWriter *writer, const char *key, const char *value);
void yaml_writer_add_number (YamlWriter *writer, const char *key, guint64 value);

/* The file's text, once. The caller wipes it if it has secrets. Errors: GGTPM_ERROR_FAILED. */
char *yaml_writer_finish (YamlWriter *writer, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
