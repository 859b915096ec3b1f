/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* /org/ggtpm1/token/LABEL, LABEL being encoded. Free with g_free(). */
char *object_path_for_token (const char *label);
/* /org/ggtpm1/token/LABEL/key/ID, ID being hexadecimal; `_` for an empty id. Free with g_free(). */
char *object_path_for_key (const char *token, GBytes *id);

G_END_DECLS
