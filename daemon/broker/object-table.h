/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

#include "eviction.h"

G_BEGIN_DECLS

/*
 * ObjectTable: the transient objects that are in the chip, of all connections. One that is not there is in its owner's
 * HandleMap alone, with its context.
 */
typedef struct
{
  gpointer owner; /* a connection; NULL: left behind, to be flushed */
  guint32 virtual_handle;
  guint32 handle;    /* in the chip; 0: not loaded, then there is a context */
  gboolean sequence; /* changes with every use */
  guint64 pin;       /* the last command that uses it, see slots_begin() */
  GBytes *context;   /* TPMS_CONTEXT; NULL: not saved yet, or changed since */
  EvictionEntry use;
} Object;

typedef struct _ObjectTable ObjectTable;

ObjectTable *object_table_new (void);
/* With all that are in the chip. */
void object_table_free (ObjectTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ObjectTable, object_table_free)

/* A new object that is in the chip as @handle. */
Object *object_table_add (ObjectTable *table, gpointer owner, guint32 handle, gboolean sequence);
void object_table_set_loaded (ObjectTable *table, Object *object, guint32 handle);
/* It has left the chip, and has a context. */
void object_table_set_unloaded (ObjectTable *table, Object *object);
/* @blob: TPMS_CONTEXT */
void object_table_set_context (Object *object, const guint8 *blob, gsize size);
/* Frees @object, which is in the chip no more. */
void object_table_remove (ObjectTable *table, Object *object);
/* The owner has gone: frees @object, or leaves it to be flushed. */
void object_table_orphan (Object *object);
/* The chip has been reset: nothing is loaded. Frees what has no owner; the rest is its owner's to remove. */
void object_table_clear (ObjectTable *table);

/* Those that are in the chip; the array is the table's. */
const GPtrArray *object_table_get_loaded (const ObjectTable *table);
/* NULL: none of them is it. */
Object *object_table_lookup (const ObjectTable *table, guint32 handle);
/* One without an owner; NULL: none. */
Object *object_table_first_orphan (const ObjectTable *table);

G_END_DECLS
