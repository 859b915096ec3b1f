/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * HandleMap: the transient handles that one connection sees. Virtual handles start at 0x800000ff, as tpm2-abrmd's, and
 * are not given out twice before the 24 bits are used up.
 */
#define HANDLE_MAP_FIRST 0x800000ffU
#define HANDLE_MAP_LAST  0x80fffffeU

typedef struct _HandleMap HandleMap;

HandleMap *handle_map_new (void);
void handle_map_free (HandleMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HandleMap, handle_map_free)

/* @object: borrowed, not NULL. Returns its handle. */
guint32 handle_map_insert (HandleMap *map, gpointer object);
gpointer handle_map_lookup (const HandleMap *map, guint32 handle);
gboolean handle_map_remove (HandleMap *map, guint32 handle);

guint handle_map_size (const HandleMap *map);
/* The @i-th in the order of handles. */
guint32 handle_map_nth (const HandleMap *map, guint i, gpointer *out_object);

G_END_DECLS
