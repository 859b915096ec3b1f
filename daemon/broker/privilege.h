/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Whether the command changes the TPM for everybody, so that only root and the daemon may send it.
 * @open: ConfigOpenFlags that everybody may
 */
gboolean privilege_is_needed (guint32 code, guint open);

G_END_DECLS
