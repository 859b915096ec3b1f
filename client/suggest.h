/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What of @candidates (NULL-terminated) is nearest to @word; NULL if nothing is near. */
const char *suggest_nearest (const char *word, const char *const *candidates);

G_END_DECLS
