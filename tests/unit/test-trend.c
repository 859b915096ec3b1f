/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "health/trend.h"

#include <glib/gstdio.h>

#define NOW G_GINT64_CONSTANT (1000000)

static void
test_rises (void)
{
  TrendRecord record = { 0 };

  g_assert_true (trend_record_take (&record, 0, NOW));
  g_assert_false (trend_record_take (&record, 0, NOW + 1));
  g_assert_true (trend_record_take (&record, 3, NOW + 2));
  g_assert_true (trend_record_take (&record, 0, NOW + 3)); /* healed */
  g_assert_true (trend_record_take (&record, 1, NOW + 4));
  g_assert_cmpuint (trend_record_count_recent (&record, NOW + 5), ==, 4);
  g_assert_cmpuint (trend_record_count_recent (&record, NOW + 3 + TREND_WINDOW_S), ==, 1);
  /* a clock that was set back */
  g_assert_cmpuint (trend_record_count_recent (&record, NOW), ==, 0);
}

static void
test_foresee (void)
{
  TrendRecord record = { 0 };

  trend_record_take (&record, 1, NOW);
  trend_record_take (&record, 2, NOW + 10);
  g_assert_cmpint (trend_record_foresee (&record, 2, 32, NOW + 10), ==, 0); /* twice is no trend */
  trend_record_take (&record, 3, NOW + 600);
  /* three in 600 s, 29 to go */
  g_assert_cmpint (trend_record_foresee (&record, 3, 32, NOW + 600), ==, NOW + 600 + 29 * 200);
  /* it has stopped, and the end moves away */
  g_assert_cmpint (trend_record_foresee (&record, 3, 32, NOW + 1200), ==, NOW + 1200 + 29 * 400);
  g_assert_cmpint (trend_record_foresee (&record, 3, 32, NOW + 10000), ==, 0);
  g_assert_cmpint (trend_record_foresee (&record, 32, 32, NOW + 600), ==, 0);
}

static void
test_kept (void)
{
  g_autofree char *dir = g_dir_make_tmp ("trend-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "lockout-trend", NULL);
  g_autoptr (GError) error = NULL;
  TrendRecord record = { 0 };
  TrendRecord again;

  g_assert_true (trend_record_load (dir, &again, NULL));
  g_assert_false (again.known);
  for (guint32 i = 0; i < 2 * TREND_MAX_RISES; i++)
    trend_record_take (&record, i, NOW + i);
  g_assert_true (trend_record_save (dir, &record, NULL));
  g_assert_true (trend_record_load (dir, &again, NULL));
  g_assert_cmpmem (&record, sizeof record, &again, sizeof again);
  g_assert_true (g_file_set_contents (path, "[Trend]\nCounter=many\n", -1, NULL));
  g_assert_false (trend_record_load (dir, &again, &error));
  g_assert_true (strstr (error->message, path) != NULL);
  g_remove (path);
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/trend/rises", test_rises);
  g_test_add_func ("/trend/foresee", test_foresee);
  g_test_add_func ("/trend/kept", test_kept);
  return g_test_run ();
}
