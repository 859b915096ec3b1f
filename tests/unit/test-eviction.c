/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "broker/eviction.h"

#define SLOTS 3

typedef struct
{
  EvictionEntry entry;
  gboolean loaded;
} Thing;

/* Uses things[i]; returns whether it had to be loaded. */
static gboolean
use (Eviction *eviction, Thing *things, guint n, guint i)
{
  g_autofree EvictionEntry **candidates = g_new0 (EvictionEntry *, n);
  g_autofree guint *indices = g_new0 (guint, n);
  guint n_loaded = 0;

  eviction_touch (eviction, &things[i].entry);
  if (things[i].loaded)
    return FALSE;
  for (guint j = 0; j < n; j++)
    if (things[j].loaded)
      {
        candidates[n_loaded] = &things[j].entry;
        indices[n_loaded++] = j;
      }
  if (n_loaded == SLOTS)
    things[indices[eviction_choose (eviction, candidates, n_loaded)]].loaded = FALSE;
  things[i].loaded = TRUE;
  return TRUE;
}

/* A ring of five in three slots: every second use finds its thing loaded, which is the optimum. */
static void
test_ring (void)
{
  g_autoptr (Eviction) eviction = eviction_new ();
  Thing things[5] = { 0 };
  guint misses = 0;

  for (guint i = 0; i < 5000; i++)
    misses += use (eviction, things, 5, i % 5);
  g_assert_cmpuint (misses, <=, 2510);
}

/* What is used all the time stays, whatever comes by once. */
static void
test_passers_by (void)
{
  g_autoptr (Eviction) eviction = eviction_new ();
  Thing things[200] = { 0 };

  for (guint i = 0; i < 4; i++)
    use (eviction, things, 200, i % 2);
  for (guint i = 2; i < 200; i++)
    {
      g_assert_true (use (eviction, things, 200, i));
      g_assert_false (use (eviction, things, 200, i % 2));
    }
}

/* What was busy once and is used no more does not stay for ever. */
static void
test_past_glory (void)
{
  g_autoptr (Eviction) eviction = eviction_new ();
  Thing things[5] = { 0 };
  guint misses = 0;

  for (guint i = 0; i < 1000; i++)
    use (eviction, things, 5, i % 2);
  for (guint i = 0; i < 300; i++)
    misses += use (eviction, things, 5, 2 + i % 3);
  g_assert_cmpuint (misses, <, 30);
}

/* Two clients with two keys each, by turns for a while: who comes back is not punished for having been away. */
static void
test_bursts (void)
{
  g_autoptr (Eviction) eviction = eviction_new ();
  Thing things[4] = { 0 };
  guint misses = 0;

  for (guint burst = 0; burst < 100; burst++)
    for (guint i = 0; i < 20; i++)
      misses += use (eviction, things, 4, burst % 2 * 2 + i % 2);
  g_assert_cmpuint (misses, <=, 3 * 100);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/eviction/ring", test_ring);
  g_test_add_func ("/eviction/passers-by", test_passers_by);
  g_test_add_func ("/eviction/past-glory", test_past_glory);
  g_test_add_func ("/eviction/bursts", test_bursts);
  return g_test_run ();
}
