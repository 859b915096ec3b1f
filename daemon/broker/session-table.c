/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "session-table.h"

#include <string.h>
#include <tss2/tss2_tpm2_types.h>

struct _SessionTable
{
  GHashTable *by_handle; /* owns */
  GQueue abandoned;      /* oldest first */
  GArray *strays;        /* guint32 */
  guint64 n_saves;
  guint n_loaded;
  guint n_dead;
};

static void
session_free (gpointer data)
{
  Session *session = data;

  g_clear_pointer (&session->context, g_bytes_unref);
  g_clear_pointer (&session->client_context, g_bytes_unref);
  g_free (session);
}

SessionTable *
session_table_new (void)
{
  SessionTable *table = g_new0 (SessionTable, 1);

  table->by_handle = g_hash_table_new_full (NULL, NULL, NULL, session_free);
  g_queue_init (&table->abandoned);
  table->strays = g_array_new (FALSE, FALSE, sizeof (guint32));
  return table;
}

void
session_table_free (SessionTable *table)
{
  g_queue_clear (&table->abandoned);
  g_array_unref (table->strays);
  g_hash_table_unref (table->by_handle);
  g_free (table);
}

Session *
session_table_add (SessionTable *table, guint32 handle, gpointer owner)
{
  Session *stale = session_table_lookup (table, handle);
  Session *session;

  if (stale != NULL)
    session_table_remove (table, stale);
  session = g_new0 (Session, 1);
  session->handle = handle;
  session->owner = owner;
  session->loaded = TRUE;
  table->n_loaded++;
  g_hash_table_insert (table->by_handle, GUINT_TO_POINTER (handle), session);
  return session;
}

Session *
session_table_lookup (const SessionTable *table, guint32 handle)
{
  return g_hash_table_lookup (table->by_handle, GUINT_TO_POINTER (handle));
}

void
session_table_remove (SessionTable *table, Session *session)
{
  if (session->loaded)
    table->n_loaded--;
  if (session->dead)
    table->n_dead--;
  else if (session->owner == NULL)
    g_queue_remove (&table->abandoned, session);
  g_hash_table_remove (table->by_handle, GUINT_TO_POINTER (session->handle));
}

void
session_table_clear (SessionTable *table)
{
  g_queue_clear (&table->abandoned);
  g_hash_table_remove_all (table->by_handle);
  g_array_set_size (table->strays, 0);
  table->n_loaded = 0;
  table->n_dead = 0;
}

Session *
session_table_lookup_context (const SessionTable *table, const guint8 *blob, gsize size)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, table->by_handle);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Session *session = value;

      if (session->client_saved && !session->dead &&
          g_bytes_get_size (session->client_context) == size &&
          memcmp (g_bytes_get_data (session->client_context, NULL), blob, size) == 0)
        return session;
    }
  return NULL;
}

void
session_table_set_saved (SessionTable *table, Session *session, const guint8 *blob, gsize size)
{
  if (session->loaded)
    table->n_loaded--;
  session->loaded = FALSE;
  session->save_order = ++table->n_saves;
  g_clear_pointer (&session->context, g_bytes_unref);
  session->context = g_bytes_new (blob, size);
}

void
session_table_set_loaded (SessionTable *table, Session *session)
{
  if (!session->loaded)
    table->n_loaded++;
  session->loaded = TRUE;
  g_clear_pointer (&session->context, g_bytes_unref);
}

void
session_table_kill (SessionTable *table, Session *session)
{
  if (session->owner == NULL && !session->dead)
    g_queue_remove (&table->abandoned, session);
  if (!session->dead)
    table->n_dead++;
  session->dead = TRUE;
  session->owner = NULL;
}

Session *
session_table_first_dead (const SessionTable *table)
{
  GHashTableIter iter;
  gpointer value;

  if (table->n_dead == 0)
    return NULL;
  g_hash_table_iter_init (&iter, table->by_handle);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (((Session *)value)->dead)
      return value;
  return NULL;
}

void
session_table_abandon (SessionTable *table, Session *session)
{
  session->owner = NULL;
  g_queue_push_tail (&table->abandoned, session);
}

void
session_table_claim (SessionTable *table, Session *session, gpointer owner)
{
  if (session->owner == NULL)
    g_queue_remove (&table->abandoned, session);
  session->owner = owner;
  session->client_saved = FALSE;
}

guint
session_table_n_abandoned (const SessionTable *table)
{
  return table->abandoned.length;
}

Session *
session_table_oldest_abandoned (const SessionTable *table)
{
  return table->abandoned.head != NULL ? table->abandoned.head->data : NULL;
}

void
session_table_set_strays (SessionTable *table, const GArray *handles)
{
  g_array_set_size (table->strays, 0);
  g_array_append_vals (table->strays, handles->data, handles->len);
}

/* The chip lists saved sessions without telling HMAC from policy. */
static gboolean
has_number (const SessionTable *table, guint32 handle)
{
  guint32 number = handle & 0xffffff;

  return session_table_lookup (table, TPM2_HMAC_SESSION_FIRST | number) != NULL ||
         session_table_lookup (table, TPM2_POLICY_SESSION_FIRST | number) != NULL;
}

guint32
session_table_take_stray (SessionTable *table)
{
  while (table->strays->len > 0)
    {
      guint32 handle = g_array_index (table->strays, guint32, table->strays->len - 1);

      g_array_set_size (table->strays, table->strays->len - 1);
      if (!has_number (table, handle))
        return handle;
    }
  return 0;
}

guint
session_table_n_loaded (const SessionTable *table)
{
  return table->n_loaded;
}

guint
session_table_count_owned (const SessionTable *table, gconstpointer owner)
{
  GHashTableIter iter;
  gpointer value;
  guint n = 0;

  g_hash_table_iter_init (&iter, table->by_handle);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    n += ((Session *)value)->owner == owner;
  return n;
}

static gint
compare_numbers (gconstpointer a, gconstpointer b)
{
  guint32 left = (*(Session *const *)a)->handle & 0xffffff;
  guint32 right = (*(Session *const *)b)->handle & 0xffffff;

  return left < right ? -1 : left > right;
}

GPtrArray *
session_table_list (const SessionTable *table)
{
  GPtrArray *list = g_ptr_array_sized_new (g_hash_table_size (table->by_handle));
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, table->by_handle);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    g_ptr_array_add (list, value);
  g_ptr_array_sort (list, compare_numbers);
  return list;
}
