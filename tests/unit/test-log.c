/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* common/log.c: what the journal gets. */

#include "common/log.h"

/* Of the catalog: RFC 4122's version 5 of `lockout.active`, as Python's uuid makes it. */
#define LOCKOUT_ACTIVE "221f6238b0d55eeead7108f7c99d4e07"
#define CLEARED        "51c8e7a20d9b4f6c9e13b7045af2d86e"

static GHashTable *last; /* name to value of the last record's fields */

static GLogWriterOutput
write_record (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
  g_hash_table_remove_all (last);
  for (gsize i = 0; i < n_fields; i++)
    g_hash_table_insert (last, g_strdup (fields[i].key), g_strdup (fields[i].value));
  return G_LOG_WRITER_HANDLED;
}

static void
assert_field (const char *name, const char *value)
{
  g_assert_cmpstr (g_hash_table_lookup (last, name), ==, value);
}

static void
test_issue (void)
{
  static const struct
  {
    const char *severity;
    const char *priority;
  } rows[] = { { "failed", "3" }, { "degraded", "4" }, { "info", "5" } };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      log_issue ("lockout.active", rows[i].severity, "it is locked", "wait");
      assert_field ("MESSAGE_ID", LOCKOUT_ACTIVE);
      assert_field ("PRIORITY", rows[i].priority);
      assert_field ("GGTPM_ISSUE", "lockout.active");
      assert_field ("GGTPM_SEVERITY", rows[i].severity);
      assert_field ("GGTPM_REMEDY", "wait");
      g_assert_true (g_str_has_prefix (g_hash_table_lookup (last, "MESSAGE"), "lockout.active ("));
      g_assert_true (g_str_has_suffix (g_hash_table_lookup (last, "MESSAGE"), ": it is locked"));
    }
}

static void
test_cleared (void)
{
  log_issue_cleared ("lockout.active", TRUE, "failed", "it is locked");
  assert_field ("MESSAGE_ID", CLEARED);
  assert_field ("PRIORITY", "5");
  assert_field ("GGTPM_ISSUE", "lockout.active");
  assert_field ("GGTPM_SEVERITY", "failed");
  assert_field ("MESSAGE", "lockout.active is over, it was (failed): it is locked");
  log_issue_cleared ("lockout.active", FALSE, "failed", "it is locked");
  assert_field ("MESSAGE_ID", CLEARED);
  assert_field ("MESSAGE", "lockout.active is not known any more, it was (failed): it is locked");
}

static void
test_healing (void)
{
  log_healing ("flush", "3 objects");
  assert_field ("MESSAGE_ID", "b8d2f61c90a74e3f8c5506e1d37a9b24");
  assert_field ("PRIORITY", "5");
  assert_field ("GGTPM_HEALING", "flush");
  assert_field ("MESSAGE", "healed (flush): 3 objects");
}

static void
test_identifier (void)
{
  g_message ("hello");
  assert_field ("SYSLOG_IDENTIFIER", "ggtpmd");
  assert_field ("MESSAGE", "hello");
}

int
main (int argc, char **argv)
{
  GLogWriterFunc next = write_record;
  int result;

  g_test_init (&argc, &argv, NULL);
  last = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_log_set_writer_func (log_write, &next, NULL);
  g_test_add_func ("/log/issue", test_issue);
  g_test_add_func ("/log/cleared", test_cleared);
  g_test_add_func ("/log/healing", test_healing);
  g_test_add_func ("/log/identifier", test_identifier);
  result = g_test_run ();
  g_hash_table_unref (last);
  return result;
}
