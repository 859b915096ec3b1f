/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Raised when a member of the JSON changes its meaning or goes; new members may come at any time. */
#define OUTPUT_JSON_VERSION 1

typedef enum
{
  OUTPUT_PLAIN,
  OUTPUT_BOLD,
  OUTPUT_GOOD,
  OUTPUT_WARNING,
  OUTPUT_BAD,
} OutputColour;

/* Both write to standard output. */
void output_text (const char *format, ...) G_GNUC_PRINTF (1, 2);
void output_bytes (const void *data, gsize len);

/* Adds a member to an object being built (G_VARIANT_TYPE_VARDICT), behind the others. @format: as g_variant_new()'s */
void output_add (GVariantBuilder *object, const char *name, const char *format, ...);

/*
 * One JSON document on standard output: @value (a{sv}, floating is sunk) and the member `version`. Dictionaries become
 * objects, tuples and arrays become arrays, `ay` becomes base64, variants what is in them.
 */
void output_json (GVariant *value);
/* The same on one line, for a stream of documents. */
void output_json_line (GVariant *value);
/* {"version": 1, "error": {"name": "NotFound", "message": "..."}} */
void output_json_error (const GError *error);

/* Flushes standard output. Errors: G_IO_ERROR by errno when something could not be written. */
gboolean output_finish (GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @text in a colour if standard output is a terminal that shows colours and NO_COLOR is not set. */
char *output_coloured (OutputColour colour, const char *text);

/* @text (NULL: empty) as valid UTF-8 without control characters: labels are made by others. */
char *output_clean (const char *text);
/* Columns that @text takes on a terminal. */
gsize output_width (const char *text);
/* Seconds since the epoch as local date and time; 0: `never`. */
char *output_time (guint64 seconds);

/* Table: rows of as many cells, in aligned columns. */
typedef struct _OutputTable OutputTable;

/* @header: @n_columns strings, copied; NULL: a table without one */
OutputTable *output_table_new (guint n_columns, const char *const *header);
void output_table_free (OutputTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (OutputTable, output_table_free)

/* @n_columns strings, cleaned by output_clean(); NULL is an empty cell. */
void output_table_add (OutputTable *table, ...);
/* Nothing, not even the header, where there are no rows. Free with g_free(). */
char *output_table_to_string (OutputTable *table);

G_END_DECLS
