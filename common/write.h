/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * write() until all of @data is written, whatever comes between: signals, part of it. For descriptors that block.
 * Returns FALSE with errno.
 */
gboolean write_all (int fd, const void *data, gsize len) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
