/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "tally.h"

struct _Tally
{
  gint counts[TALLY_N_KINDS]; /* atomic */
  GMutex lock;
  GSource *source; /* NULL: nobody wants to know */
  GSourceOnceFunc func;
  gpointer user_data;
};

static gboolean
dispatch (GSource *source, GSourceFunc callback, gpointer user_data)
{
  return callback (user_data);
}

static gboolean
on_added (gpointer data)
{
  Tally *tally = data;

  g_source_set_ready_time (tally->source, -1);
  tally->func (tally->user_data);
  return G_SOURCE_CONTINUE;
}

Tally *
tally_new (void)
{
  Tally *tally = g_new0 (Tally, 1);

  g_mutex_init (&tally->lock);
  return tally;
}

void
tally_free (Tally *tally)
{
  tally_watch (tally, NULL, NULL);
  g_mutex_clear (&tally->lock);
  g_free (tally);
}

void
tally_add (Tally *tally, TallyKind kind, guint n)
{
  if (n == 0)
    return;
  g_atomic_int_add (&tally->counts[kind], (gint)n);
  if (kind == TALLY_AUTH_FAILED)
    return;
  g_mutex_lock (&tally->lock);
  if (tally->source != NULL)
    g_source_set_ready_time (tally->source, 0);
  g_mutex_unlock (&tally->lock);
}

guint
tally_get (Tally *tally, TallyKind kind)
{
  return (guint)g_atomic_int_get (&tally->counts[kind]);
}

void
tally_watch (Tally *tally, GSourceOnceFunc func, gpointer user_data)
{
  static GSourceFuncs funcs = { .dispatch = dispatch };
  GSource *source = func != NULL ? g_source_new (&funcs, sizeof (GSource)) : NULL;
  GSource *old;

  tally->func = func;
  tally->user_data = user_data;
  if (source != NULL)
    {
      g_source_set_callback (source, on_added, tally, NULL);
      /* something may have been added before */
      g_source_set_ready_time (source, 0);
      g_source_attach (source, g_main_context_get_thread_default ());
    }
  g_mutex_lock (&tally->lock);
  old = g_steal_pointer (&tally->source);
  tally->source = source;
  g_mutex_unlock (&tally->lock);
  if (old == NULL)
    return;
  g_source_destroy (old);
  g_source_unref (old);
}
