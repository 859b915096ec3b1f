/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* tests/lib/test-swtpm.c: the software TPM that the other tests build on. */

#include "tests/lib/test-swtpm.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define CC_GET_TEST_RESULT 0x17cu
#define CC_GET_RANDOM      0x17bu

static const guint8 get_test_result[] = { 0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x7c };

static void
send_command (TestSwtpm *swtpm)
{
  g_autoptr (GError) error = NULL;
  guint8 answer[16];
  gsize have = 0;
  int fd = test_swtpm_connect (swtpm, &error);

  g_assert_no_error (error);
  g_assert_cmpint (write (fd, get_test_result, sizeof (get_test_result)), ==, 10);
  while (have < sizeof (answer))
    {
      gssize n = read (fd, answer + have, sizeof (answer) - have);

      g_assert_cmpint (n, >, 0);
      have += (gsize)n;
    }
  g_close (fd, NULL);
  g_assert_cmphex (answer[0], ==, 0x80);
}

static void
test_life (void)
{
  TestSwtpm *swtpm = test_swtpm_new ();
  g_autofree char *dir = g_strdup (test_swtpm_get_dir (swtpm));

  send_command (swtpm);
  send_command (swtpm);
  g_assert_cmpuint (test_swtpm_count (swtpm, CC_GET_TEST_RESULT), ==, 2);
  g_assert_cmpuint (test_swtpm_count (swtpm, CC_GET_RANDOM), ==, 0);
  g_assert_cmpuint (test_swtpm_count (swtpm, 0), ==, 2);

  test_swtpm_kill (swtpm);
  test_swtpm_start (swtpm);
  g_assert_cmpuint (test_swtpm_count (swtpm, 0), ==, 0);
  send_command (swtpm);
  g_assert_cmpuint (test_swtpm_count (swtpm, 0), ==, 1);

  test_swtpm_free (swtpm);
  g_assert_false (g_file_test (dir, G_FILE_TEST_EXISTS));
}

static void
test_no_connection_when_off (void)
{
  g_autoptr (TestSwtpm) swtpm = test_swtpm_new ();
  g_autoptr (GError) error = NULL;

  test_swtpm_kill (swtpm);
  g_assert_cmpint (test_swtpm_connect (swtpm, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  test_swtpm_require ();
  g_test_add_func ("/swtpm/life", test_life);
  g_test_add_func ("/swtpm/no-connection-when-off", test_no_connection_when_off);
  return g_test_run ();
}
