/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* health/event-log.c: a log made by hand, and what is wrong with others. */

#include "dbus/error.h"
#include "health/event-log.h"

#include <string.h>

#define SHA1   0x0004
#define SHA256 0x000b

#define EV_NO_ACTION 3
#define EV_SEPARATOR 4

static void
add_number (GByteArray *log, guint32 number, guint size)
{
  for (guint i = 0; i < size; i++)
    {
      guint8 byte = (guint8)(number >> (8 * i));

      g_byte_array_append (log, &byte, 1);
    }
}

static void
add_bytes (GByteArray *log, guint8 value, guint n)
{
  for (guint i = 0; i < n; i++)
    g_byte_array_append (log, &value, 1);
}

static GByteArray *
new_log (gboolean with_sha256)
{
  GByteArray *log = g_byte_array_new ();

  add_number (log, 0, 4);
  add_number (log, EV_NO_ACTION, 4);
  add_bytes (log, 0, 20);
  add_number (log, with_sha256 ? 37 : 33, 4);
  g_byte_array_append (log, (const guint8 *)"Spec ID Event03", 16);
  add_bytes (log, 0, 8);
  add_number (log, with_sha256 ? 2 : 1, 4);
  add_number (log, SHA1, 2);
  add_number (log, 20, 2);
  if (with_sha256)
    {
      add_number (log, SHA256, 2);
      add_number (log, 32, 2);
    }
  add_bytes (log, 0, 1);
  return log;
}

/* @digest: each byte of it */
static void
add_event (GByteArray *log, guint pcr, guint32 type, guint8 digest, const char *event, guint len)
{
  add_number (log, pcr, 4);
  add_number (log, type, 4);
  add_number (log, 2, 4);
  add_number (log, SHA1, 2);
  add_bytes (log, 0x55, 20);
  add_number (log, SHA256, 2);
  add_bytes (log, digest, 32);
  add_number (log, len, 4);
  g_byte_array_append (log, (const guint8 *)event, len);
}

/* @start: last byte of the PCR at the start; extended by two digests */
static void
assert_extended (const guint8 *value, guint8 start, guint8 one, guint8 two)
{
  guint8 expected[32] = { 0 };
  const guint8 digests[] = { one, two };

  expected[31] = start;
  for (guint i = 0; i < G_N_ELEMENTS (digests) && digests[i] != 0; i++)
    {
      g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
      guint8 digest[32];
      gsize len = sizeof (expected);

      memset (digest, digests[i], sizeof (digest));
      g_checksum_update (sum, expected, sizeof (expected));
      g_checksum_update (sum, digest, sizeof (digest));
      g_checksum_get_digest (sum, expected, &len);
    }
  g_assert_cmpmem (value, 32, expected, sizeof (expected));
}

static void
test_replay (void)
{
  g_autoptr (GByteArray) log = new_log (TRUE);
  g_autoptr (GError) error = NULL;
  EventLogReplay replay;

  add_event (log, 0, EV_NO_ACTION, 0, "StartupLocality\0\3", 17);
  add_event (log, 0, EV_SEPARATOR, 0x11, "abc", 3);
  add_event (log, 7, EV_SEPARATOR, 0x22, "", 0);
  add_event (log, 7, EV_SEPARATOR, 0x33, "", 0);
  add_event (log, 0xffffffff, EV_SEPARATOR, 0x44, "", 0); /* as kernels use it: no PCR */
  g_assert_true (event_log_replay (log->data, log->len, &replay, &error));
  g_assert_no_error (error);
  g_assert_cmphex (replay.extended, ==, 0x81);
  assert_extended (replay.values[0], 3, 0x11, 0);
  assert_extended (replay.values[7], 0, 0x22, 0x33);
}

/* Each beginning of a log is refused, or is a shorter log. */
static void
test_cut (void)
{
  g_autoptr (GByteArray) log = new_log (TRUE);
  gsize header = log->len;

  add_event (log, 1, EV_SEPARATOR, 0x11, "abc", 3);
  for (gsize len = 0; len < log->len; len++)
    {
      g_autofree guint8 *copy = g_memdup2 (log->data, MAX (len, 1));
      g_autoptr (GError) error = NULL;
      EventLogReplay replay;

      g_assert_cmpint (event_log_replay (copy, len, &replay, &error), ==, len == header);
      if (len < header)
        g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED);
      else if (len > header)
        g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
    }
}

static void
test_others (void)
{
  g_autoptr (GByteArray) sha1 = new_log (FALSE);
  g_autoptr (GByteArray) log = new_log (TRUE);
  g_autoptr (GError) error = NULL;
  gsize header = log->len;
  EventLogReplay replay;

  g_assert_false (event_log_replay (sha1->data, sha1->len, &replay, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED);
  g_clear_error (&error);

  add_event (log, 1, EV_SEPARATOR, 0x11, "", 0);
  log->data[header + 8] = 0xff; /* so many digests */
  g_assert_false (event_log_replay (log->data, log->len, &replay, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  log->data[header + 8] = 2;
  log->data[header + 12] = 0x77; /* an algorithm that the header does not have */
  g_assert_false (event_log_replay (log->data, log->len, &replay, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/event-log/replay", test_replay);
  g_test_add_func ("/event-log/cut", test_cut);
  g_test_add_func ("/event-log/others", test_others);
  return g_test_run ();
}
