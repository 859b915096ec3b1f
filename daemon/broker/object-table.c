/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "object-table.h"

struct _ObjectTable
{
  GPtrArray *loaded; /* Object */
};

static void
object_free (Object *object)
{
  g_clear_pointer (&object->context, g_bytes_unref);
  g_free (object);
}

ObjectTable *
object_table_new (void)
{
  ObjectTable *table = g_new0 (ObjectTable, 1);

  table->loaded = g_ptr_array_new ();
  return table;
}

void
object_table_free (ObjectTable *table)
{
  for (guint i = 0; i < table->loaded->len; i++)
    object_free (g_ptr_array_index (table->loaded, i));
  g_ptr_array_unref (table->loaded);
  g_free (table);
}

Object *
object_table_add (ObjectTable *table, gpointer owner, guint32 handle, gboolean sequence)
{
  Object *object = g_new0 (Object, 1);

  object->owner = owner;
  object->sequence = sequence;
  object_table_set_loaded (table, object, handle);
  return object;
}

void
object_table_set_loaded (ObjectTable *table, Object *object, guint32 handle)
{
  object->handle = handle;
  g_ptr_array_add (table->loaded, object);
}

void
object_table_set_unloaded (ObjectTable *table, Object *object)
{
  object->handle = 0;
  g_ptr_array_remove_fast (table->loaded, object);
}

void
object_table_set_context (Object *object, const guint8 *blob, gsize size)
{
  g_clear_pointer (&object->context, g_bytes_unref);
  object->context = g_bytes_new (blob, size);
}

void
object_table_remove (ObjectTable *table, Object *object)
{
  if (object->handle != 0)
    object_table_set_unloaded (table, object);
  object_free (object);
}

void
object_table_orphan (Object *object)
{
  object->owner = NULL;
  if (object->handle == 0)
    object_free (object);
}

void
object_table_clear (ObjectTable *table)
{
  for (guint i = 0; i < table->loaded->len; i++)
    {
      Object *object = g_ptr_array_index (table->loaded, i);

      object->handle = 0;
      if (object->owner == NULL)
        object_free (object);
    }
  g_ptr_array_set_size (table->loaded, 0);
}

const GPtrArray *
object_table_get_loaded (const ObjectTable *table)
{
  return table->loaded;
}

Object *
object_table_lookup (const ObjectTable *table, guint32 handle)
{
  for (guint i = 0; i < table->loaded->len; i++)
    {
      Object *object = g_ptr_array_index (table->loaded, i);

      if (object->handle == handle)
        return object;
    }
  return NULL;
}

Object *
object_table_first_orphan (const ObjectTable *table)
{
  for (guint i = 0; i < table->loaded->len; i++)
    {
      Object *object = g_ptr_array_index (table->loaded, i);

      if (object->owner == NULL)
        return object;
    }
  return NULL;
}
