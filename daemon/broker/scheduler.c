/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "scheduler.h"

#define OWN_EVERY 8 /* after so many commands of clients in a row, one of ours */

typedef struct
{
  uid_t uid;
  GQueue items;
} Bucket;

struct _Scheduler
{
  GQueue clients; /* Bucket, none empty; the head is next */
  GQueue own;     /* items */
  guint n_in_row;
};

static void
bucket_free (gpointer data)
{
  Bucket *bucket = data;

  g_queue_clear (&bucket->items);
  g_free (bucket);
}

Scheduler *
scheduler_new (void)
{
  Scheduler *scheduler = g_new0 (Scheduler, 1);

  g_queue_init (&scheduler->clients);
  g_queue_init (&scheduler->own);
  return scheduler;
}

void
scheduler_free (Scheduler *scheduler)
{
  g_queue_clear_full (&scheduler->clients, bucket_free);
  g_queue_clear (&scheduler->own);
  g_free (scheduler);
}

void
scheduler_push (Scheduler *scheduler, gboolean is_client, uid_t uid, gpointer item)
{
  Bucket *bucket;

  if (!is_client)
    {
      g_queue_push_tail (&scheduler->own, item);
      return;
    }
  for (GList *l = scheduler->clients.head; l != NULL; l = l->next)
    if (((Bucket *)l->data)->uid == uid)
      {
        g_queue_push_tail (&((Bucket *)l->data)->items, item);
        return;
      }
  bucket = g_new0 (Bucket, 1);
  bucket->uid = uid;
  g_queue_init (&bucket->items);
  g_queue_push_tail (&bucket->items, item);
  g_queue_push_tail (&scheduler->clients, bucket);
}

static gpointer
pop_client (Scheduler *scheduler)
{
  Bucket *bucket = g_queue_pop_head (&scheduler->clients);
  gpointer item = g_queue_pop_head (&bucket->items);

  if (bucket->items.length > 0)
    g_queue_push_tail (&scheduler->clients, bucket);
  else
    bucket_free (bucket);
  return item;
}

gpointer
scheduler_pop (Scheduler *scheduler, gboolean clients)
{
  gboolean have_client = clients && scheduler->clients.length > 0;

  if (scheduler->own.length > 0 && (!have_client || scheduler->n_in_row >= OWN_EVERY))
    {
      scheduler->n_in_row = 0;
      return g_queue_pop_head (&scheduler->own);
    }
  if (!have_client)
    return NULL;
  scheduler->n_in_row++;
  return pop_client (scheduler);
}

gboolean
scheduler_remove (Scheduler *scheduler, gconstpointer item)
{
  if (g_queue_remove (&scheduler->own, item))
    return TRUE;
  for (GList *l = scheduler->clients.head; l != NULL; l = l->next)
    {
      Bucket *bucket = l->data;

      if (!g_queue_remove (&bucket->items, item))
        continue;
      if (bucket->items.length == 0)
        {
          g_queue_delete_link (&scheduler->clients, l);
          bucket_free (bucket);
        }
      return TRUE;
    }
  return FALSE;
}

gboolean
scheduler_is_empty (const Scheduler *scheduler, gboolean clients)
{
  return scheduler->own.length == 0 && (!clients || scheduler->clients.length == 0);
}
