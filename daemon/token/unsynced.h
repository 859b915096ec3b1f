/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <sqlite3.h>

G_BEGIN_DECLS

/*
 * Changes of a copy of the store, which nobody counts on before all of it is synced at once and renamed: SQLite does
 * not wait for the disk, and keeps in memory what it needs to undo a transaction. A copy whose writer has died is
 * dropped.
 */

/* @database only. */
gboolean unsynced_set (sqlite3 *database) G_GNUC_WARN_UNUSED_RESULT;
/* Each database that this process opens from now on: libtpm2_pkcs11's. */
gboolean unsynced_set_all (void) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
