/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * What a line of Device.GetProperties says, in words: the bits that are set, the PCRs of a bank; the number where there
 * is nothing more to say. Free with g_free().
 */
char *capability_explain (const char *group, guint32 number, guint32 value);

G_END_DECLS
