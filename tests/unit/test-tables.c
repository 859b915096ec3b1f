/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "broker/handle-map.h"
#include "broker/scheduler.h"
#include "broker/session-table.h"

static void
test_map (void)
{
  g_autoptr (HandleMap) map = handle_map_new ();
  int a, b, c;

  g_assert_cmphex (handle_map_insert (map, &a), ==, 0x800000ff);
  g_assert_cmphex (handle_map_insert (map, &b), ==, 0x80000100);
  g_assert_true (handle_map_remove (map, 0x80000100));
  g_assert_false (handle_map_remove (map, 0x80000100));
  g_assert_cmphex (handle_map_insert (map, &c), ==, 0x80000101);
  g_assert_true (handle_map_lookup (map, 0x800000ff) == &a);
  g_assert_null (handle_map_lookup (map, 0x80000100));
  g_assert_cmpuint (handle_map_size (map), ==, 2);
  g_assert_cmphex (handle_map_nth (map, 1, NULL), ==, 0x80000101);
}

/* 2^24 handles later the numbers come round, past those that are in use. */
static void
test_map_rollover (void)
{
  g_autoptr (HandleMap) map = handle_map_new ();
  int kept, other;
  guint32 handle = 0;

  handle_map_insert (map, &kept);
  for (guint32 i = HANDLE_MAP_FIRST + 1; i <= HANDLE_MAP_LAST; i++)
    {
      handle = handle_map_insert (map, &other);
      handle_map_remove (map, handle);
    }
  g_assert_cmphex (handle, ==, HANDLE_MAP_LAST);
  g_assert_cmphex (handle_map_insert (map, &other), ==, HANDLE_MAP_FIRST + 1);
  g_assert_true (handle_map_lookup (map, HANDLE_MAP_FIRST) == &kept);
  g_assert_cmphex (handle_map_nth (map, 0, NULL), ==, HANDLE_MAP_FIRST);
}

static void
test_sessions (void)
{
  g_autoptr (SessionTable) table = session_table_new ();
  const guint8 blob[] = "blob";
  int one, two;
  Session *session = session_table_add (table, 0x02000000, &one);

  g_assert_cmpuint (session_table_n_loaded (table), ==, 1);
  session_table_set_saved (table, session, blob, sizeof blob);
  g_assert_cmpuint (session_table_n_loaded (table), ==, 0);
  g_assert_null (session_table_lookup_context (table, blob, sizeof blob));
  session->client_context = g_bytes_ref (session->context);
  session->client_saved = TRUE;
  g_assert_true (session_table_lookup_context (table, blob, sizeof blob) == session);
  g_assert_null (session_table_lookup_context (table, blob, sizeof blob - 1));
  session_table_abandon (table, session);
  g_assert_cmpuint (session_table_n_abandoned (table), ==, 1);
  session_table_claim (table, session, &two);
  g_assert_cmpuint (session_table_n_abandoned (table), ==, 0);
  g_assert_cmpuint (session_table_count_owned (table, &two), ==, 1);
  g_assert_null (session_table_lookup_context (table, blob, sizeof blob));
  session_table_kill (table, session);
  g_assert_true (session_table_first_dead (table) == session);
  session_table_remove (table, session);
  g_assert_null (session_table_first_dead (table));
  g_assert_null (session_table_lookup (table, 0x02000000));
}

/* The TPM gives out a handle that we believe to be in use: the old entry was wrong. */
static void
test_session_again (void)
{
  g_autoptr (SessionTable) table = session_table_new ();
  int one, two;

  session_table_add (table, 0x03000001, &one);
  session_table_add (table, 0x03000001, &two);
  g_assert_cmpuint (session_table_n_loaded (table), ==, 1);
  g_assert_true (session_table_lookup (table, 0x03000001)->owner == &two);
}

static void
assert_pop (Scheduler *scheduler, const char *expected)
{
  g_assert_cmpstr (scheduler_pop (scheduler, TRUE), ==, expected);
}

/* A user with many connections gets one turn for each turn of a user with one. */
static void
test_round_robin (void)
{
  g_autoptr (Scheduler) scheduler = scheduler_new ();
  char items[][3] = { "a1", "a2", "a3", "b1", "c1" };

  for (guint i = 0; i < 3; i++)
    scheduler_push (scheduler, TRUE, 1, items[i]);
  scheduler_push (scheduler, TRUE, 2, items[3]);
  scheduler_push (scheduler, TRUE, 3, items[4]);
  assert_pop (scheduler, "a1");
  assert_pop (scheduler, "b1");
  scheduler_push (scheduler, TRUE, 2, items[3]);
  assert_pop (scheduler, "c1");
  assert_pop (scheduler, "a2");
  assert_pop (scheduler, "b1");
  g_assert_true (scheduler_remove (scheduler, items[2]));
  g_assert_false (scheduler_remove (scheduler, items[2]));
  assert_pop (scheduler, NULL);
}

/* The daemon's own come last, and not never. */
static void
test_own_last (void)
{
  g_autoptr (Scheduler) scheduler = scheduler_new ();
  char own[] = "own", client[] = "client";
  guint n = 0;

  scheduler_push (scheduler, FALSE, 0, own);
  scheduler_push (scheduler, TRUE, 1, client);
  g_assert_true (scheduler_pop (scheduler, FALSE) == own);
  g_assert_true (scheduler_is_empty (scheduler, FALSE));
  g_assert_false (scheduler_is_empty (scheduler, TRUE));
  scheduler_push (scheduler, FALSE, 0, own);
  while (scheduler_pop (scheduler, TRUE) == client)
    {
      scheduler_push (scheduler, TRUE, 1, client);
      g_assert_cmpuint (++n, <, 20);
    }
  g_assert_cmpuint (n, >, 2);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/handle-map/handles", test_map);
  g_test_add_func ("/handle-map/rollover", test_map_rollover);
  g_test_add_func ("/session-table/life", test_sessions);
  g_test_add_func ("/session-table/again", test_session_again);
  g_test_add_func ("/scheduler/round-robin", test_round_robin);
  g_test_add_func ("/scheduler/own-last", test_own_last);
  return g_test_run ();
}
