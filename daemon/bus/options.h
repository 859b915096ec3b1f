/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

G_BEGIN_DECLS

/* Longest string in an option, in bytes. */
#define OPTIONS_STRING_MAX 4096
/* Most strings in an array. */
#define OPTIONS_ARRAY_MAX 64

/*
 * One option that a method knows. Where it goes, by @type:
 *   "s"   char **     the caller's
 *   "b"   gboolean *
 *   "u"   guint *
 *   "as"  char ***    the caller's; at most OPTIONS_ARRAY_MAX strings
 *   "ay"  GBytes **   the caller's
 *   "h"   int *       a descriptor, owned by the message's list: duplicate it to keep it
 * What is not given stays as it was.
 */
typedef struct
{
  const char *name;
  const char *type;
  gpointer location;
} Option;

/*
 * Reads an a{sv} against @table, which ends with a NULL name. All or nothing.
 * @fds: of the message; may be NULL
 * Errors: GGTPM_ERROR_INVALID_ARGS, which names the option that is unknown, given twice, of the wrong type or too long.
 */
gboolean options_parse (GVariant *options, GUnixFDList *fds, const Option *table, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* For methods that know none. */
gboolean options_check_empty (GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether @value (may be NULL) is one of @choices (NULL-terminated). Errors: GGTPM_ERROR_INVALID_ARGS with the list. */
gboolean options_check_choice (const char *name,
                               const char *value,
                               const char *const *choices,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
