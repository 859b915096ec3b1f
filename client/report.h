/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * The parts of `ggtpmctl report` that are files. @root stands before every path; empty: this machine. What cannot be
 * read is named and left out.
 */

/* Configurations of ours, of Greengrass and of the board, with their PINs. Only for report_finish(). */
void report_add_files (GString *text, const char *root);
/* The PINs in the daemon's PIN files that this user may read, of Secret. Free with g_ptr_array_unref(). */
GPtrArray *report_find_pins (const char *root);

/* @title and @body as one section. @body: NULL is none */
void report_add_section (GString *text, const char *title, const char *body);

/*
 * @text without secrets: neither those that are recognised in it nor @pins are anywhere in the result. Wipes @text.
 * Free with g_free().
 */
char *report_finish (GString *text, GPtrArray *pins);

G_END_DECLS
