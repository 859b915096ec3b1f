/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Traces for eviction-sim: what commands name, made up or recorded by record-trace.py. A recorded one is a text with a
 * line per command: the numbers of its objects, 1 to TRACE_THING_MAX, or `-N` for the end of object N. A `#` begins a
 * line of comment.
 */

#define TRACE_THING_MAX 99999

typedef struct
{
  guint things[3];
  guint n_things;
  gboolean is_flush; /* of things[0] */
} TraceStep;

guint traces_count_made (void);

/* The @i-th made up trace, of TraceSteps; the caller frees it. @name is static. */
GArray *traces_make (guint i, const char **name);

/* The trace of a file; the caller frees it. Errors: G_IO_ERROR_INVALID_DATA with the line's number, G_FILE_ERROR. */
GArray *traces_read (const char *path, GError **error);

G_END_DECLS
