/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "common/latency.h"

static const LatencyFigures *
get (GArray *list, guint i)
{
  g_assert_cmpuint (i, <, list->len);
  return &g_array_index (list, LatencyFigures, i);
}

static void
assert_near (guint32 value, guint32 expected)
{
  g_assert_cmpuint (value, >=, expected - expected * 7 / 100);
  g_assert_cmpuint (value, <=, expected + expected * 7 / 100);
}

static void
test_percentiles (void)
{
  g_autoptr (Latency) latency = latency_new ();
  g_autoptr (GArray) list = NULL;

  for (guint i = 1; i <= 100; i++)
    latency_add (latency, 0x15d, i * 1000);
  latency_add (latency, 0x144, 3);
  list = latency_list (latency);
  g_assert_cmpuint (list->len, ==, 2);
  g_assert_cmpuint (get (list, 0)->kind, ==, 0x144);
  g_assert_cmpuint (get (list, 0)->p50_us, ==, 3);
  g_assert_cmpuint (get (list, 0)->p95_us, ==, 3);
  g_assert_cmpuint (get (list, 1)->count, ==, 100);
  assert_near (get (list, 1)->p50_us, 50 * 1000);
  assert_near (get (list, 1)->p95_us, 95 * 1000);
  g_assert_cmpuint (get (list, 1)->max_us, ==, 100 * 1000);
}

/* From a microsecond to more than the longest: no value is far from what it is listed as. */
static void
test_range (void)
{
  for (guint64 us = 1; us < G_GUINT64_CONSTANT (1) << 33; us = us * 5 / 4 + 1)
    {
      g_autoptr (Latency) latency = latency_new ();
      g_autoptr (GArray) list = NULL;

      latency_add (latency, 1, (gint64)us);
      latency_add (latency, 1, (gint64)us * 2);
      list = latency_list (latency);
      if (us < 1u << 28)
        assert_near (get (list, 0)->p50_us, (guint32)us);
      else
        g_assert_cmpuint (get (list, 0)->p50_us, >=, 1u << 28);
    }
}

/* What was long ago is forgotten; its number and the longest are not. */
static void
test_recent (void)
{
  g_autoptr (Latency) latency = latency_new ();
  g_autoptr (GArray) list = NULL;

  for (guint i = 0; i < 5000; i++)
    latency_add (latency, 1, 100000);
  for (guint i = 0; i < 1500; i++)
    latency_add (latency, 1, 10000);
  list = latency_list (latency);
  assert_near (get (list, 0)->p50_us, 10000);
  g_assert_cmpuint (get (list, 0)->max_us, ==, 100000);
  g_assert_cmpuint (get (list, 0)->count, ==, 6500);
}

static void
test_bounded (void)
{
  g_autoptr (Latency) latency = latency_new ();
  g_autoptr (GArray) list = NULL;

  for (guint kind = 0; kind < 2 * LATENCY_MAX_KINDS; kind++)
    latency_add (latency, kind, 1);
  latency_add (latency, 0, 1);
  list = latency_list (latency);
  g_assert_cmpuint (list->len, ==, LATENCY_MAX_KINDS);
  g_assert_cmpuint (get (list, 0)->count, ==, 2);
}

static void
test_totals (void)
{
  g_autoptr (Latency) latency = latency_new ();
  LatencyTotals totals;

  latency_add (latency, 0x15d, 1);
  latency_get_totals (latency, &totals);
  g_assert_cmpint (totals.last_time, ==, 0);
  latency_add_failure (latency, 0x15d, 0x98e);
  latency_add_failure (latency, 0x144, 0x100);
  latency_get_totals (latency, &totals);
  g_assert_cmpuint (totals.done, ==, 1);
  g_assert_cmpuint (totals.failed, ==, 2);
  g_assert_cmpuint (totals.last_kind, ==, 0x144);
  g_assert_cmpuint (totals.last_code, ==, 0x100);
  g_assert_cmpint (totals.last_time, >, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/latency/percentiles", test_percentiles);
  g_test_add_func ("/latency/range", test_range);
  g_test_add_func ("/latency/recent", test_recent);
  g_test_add_func ("/latency/bounded", test_bounded);
  g_test_add_func ("/latency/totals", test_totals);
  return g_test_run ();
}
