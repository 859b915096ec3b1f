/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Any text as one element of an object path or as a file's name, as sd_bus_path_encode() makes it: what is no letter or
 * digit, and a digit in front, becomes _xx; `_` for no text. Free with g_free(). */
char *label_encode (const char *label);

G_END_DECLS
