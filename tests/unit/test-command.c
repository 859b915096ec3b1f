/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "broker/command.h"

#include <string.h>

#define CH(n) ((guint32)(n) << TPMA_CC_CHANDLES_SHIFT)

static gsize
put_header (guint8 *data, guint16 tag, gsize size, guint32 code)
{
  put_be16 (data, tag);
  put_be32 (data + 2, (guint32)size);
  put_be32 (data + 6, code);
  return size;
}

static void
test_no_sessions (void)
{
  guint8 data[32] = { 0 };
  gsize size = put_header (data, TPM2_ST_NO_SESSIONS, 12, TPM2_CC_GetRandom);
  Command command;

  g_assert_cmphex (command_parse (&command, data, size, TPM2_CC_GetRandom), ==, 0);
  g_assert_cmpuint (command.n_handles, ==, 0);
  g_assert_cmpuint (command.n_auths, ==, 0);
  g_assert_cmpuint (command.params, ==, COMMAND_HEADER_SIZE);
}

static void
test_bad_header (void)
{
  guint8 data[32] = { 0 };
  Command command;

  put_header (data, 0x1234, 12, TPM2_CC_GetRandom);
  g_assert_cmphex (command_parse (&command, data, 12, 0), ==, TPM2_RC_BAD_TAG);
  put_header (data, TPM2_ST_NO_SESSIONS, 13, TPM2_CC_GetRandom);
  g_assert_cmphex (command_parse (&command, data, 12, 0), ==, TPM2_RC_COMMAND_SIZE);
}

static void
test_missing_handles (void)
{
  guint8 data[32] = { 0 };
  Command command;

  put_header (data, TPM2_ST_NO_SESSIONS, 10, TPM2_CC_PolicyNV);
  g_assert_cmphex (command_parse (&command, data, 10, CH (3)), ==,
                   TPM2_RC_INSUFFICIENT + TPM2_RC_1);
  put_header (data, TPM2_ST_NO_SESSIONS, 18, TPM2_CC_PolicyNV);
  g_assert_cmphex (command_parse (&command, data, 18, CH (3)), ==,
                   TPM2_RC_INSUFFICIENT + TPM2_RC_3);
}

/* Handle 0x81000001, then @n password sessions with a nonce and an HMAC of @extra bytes each. */
static gsize
put_with_auths (guint8 *data, guint n, guint extra)
{
  gsize pos = 18;

  put_be32 (data + 10, 0x81000001);
  put_be32 (data + 14, n * (9 + 2 * extra));
  for (guint i = 0; i < n; i++)
    {
      put_be32 (data + pos, TPM2_HMAC_SESSION_FIRST + i);
      put_be16 (data + pos + 4, (guint16)extra);
      memset (data + pos + 6, 0xaa, extra);
      data[pos + 6 + extra] = (guint8)(0x20 + i);
      put_be16 (data + pos + 7 + extra, (guint16)extra);
      memset (data + pos + 9 + extra, 0xbb, extra);
      pos += 9 + 2 * (gsize)extra;
    }
  return put_header (data, TPM2_ST_SESSIONS, pos + 2, TPM2_CC_Sign);
}

static void
test_auths (void)
{
  guint8 data[512] = { 0 };

  for (guint n = 1; n <= 3; n++)
    for (guint extra = 0; extra < 40; extra += 13)
      {
        gsize size = put_with_auths (data, n, extra);
        Command command;

        g_assert_cmphex (command_parse (&command, data, size, CH (1)), ==, 0);
        g_assert_cmpuint (command.n_auths, ==, n);
        for (guint i = 0; i < n; i++)
          {
            g_assert_cmphex (command.auths[i].handle, ==, TPM2_HMAC_SESSION_FIRST + i);
            g_assert_cmphex (command.auths[i].attributes, ==, 0x20 + i);
          }
        g_assert_cmpuint (command.params, ==, size - 2);
        g_assert_cmphex (command_get_handle (&command, 0), ==, 0x81000001);
      }
}

static void
test_bad_auths (void)
{
  guint8 data[512] = { 0 };
  gsize size = put_with_auths (data, 4, 0);
  Command command;

  g_assert_cmphex (command_parse (&command, data, size, CH (1)), ==, TPM2_RC_AUTHSIZE);
  size = put_with_auths (data, 1, 4);
  put_be32 (data + 14, 0xffffffff);
  g_assert_cmphex (command_parse (&command, data, size, CH (1)), ==, TPM2_RC_AUTHSIZE);
  put_be32 (data + 14, 0);
  g_assert_cmphex (command_parse (&command, data, size, CH (1)), ==, TPM2_RC_AUTHSIZE);
  put_be32 (data + 14, 12);
  g_assert_cmphex (command_parse (&command, data, size, CH (1)), ==, TPM2_RC_AUTHSIZE);
  /* a nonce that is longer than the area */
  put_with_auths (data, 1, 4);
  put_be16 (data + 22, 0xffff);
  g_assert_cmphex (command_parse (&command, data, size, CH (1)), ==, TPM2_RC_AUTHSIZE);
}

/* Every prefix of a good command, with its size set right, is refused and read no further than its end. */
static void
test_every_prefix (void)
{
  guint8 data[512] = { 0 };
  gsize size = put_with_auths (data, 2, 5);

  for (gsize n = COMMAND_HEADER_SIZE; n < size - 2; n++)
    {
      g_autofree guint8 *copy = g_memdup2 (data, n);
      Command command;

      put_be32 (copy + 2, (guint32)n);
      g_assert_cmphex (command_parse (&command, copy, n, CH (1)), !=, 0);
    }
}

static void
test_response (void)
{
  guint8 data[64] = { 0 };

  g_assert_cmpuint (command_response_put_error (data, 0x910), ==, 10);
  g_assert_true (command_response_is_valid (data, 10));
  g_assert_cmphex (get_be16 (data), ==, TPM2_ST_NO_SESSIONS);
  command_response_put_error (data, TPM2_RC_BAD_TAG);
  g_assert_cmphex (get_be16 (data), ==, TPM2_ST_RSP_COMMAND);
  put_header (data, TPM2_ST_NO_SESSIONS, 12, 0x910);
  g_assert_false (command_response_is_valid (data, 12));
  put_header (data, TPM2_ST_NO_SESSIONS, 12, 0);
  g_assert_true (command_response_is_valid (data, 12));
  g_assert_false (command_response_is_valid (data, 13));
  put_header (data, 0x6767, 12, 0);
  g_assert_false (command_response_is_valid (data, 12));
  g_assert_false (command_response_is_valid (data, 9));
}

static void
test_table (void)
{
  g_autoptr (CommandTable) table = command_table_new ();
  guint32 attributes = 0;

  command_table_add (table, TPM2_CC_Sign | CH (1));
  command_table_add (table, TPMA_CC_V | 0x17 | CH (2));
  g_assert_true (command_table_lookup (table, TPM2_CC_Sign, &attributes));
  g_assert_cmphex (attributes, ==, TPM2_CC_Sign | CH (1));
  g_assert_true (command_table_lookup (table, TPMA_CC_V | 0x17, &attributes));
  g_assert_false (command_table_lookup (table, 0x17, &attributes));
  g_assert_cmpuint (command_table_size (table), ==, 2);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/command/no-sessions", test_no_sessions);
  g_test_add_func ("/command/bad-header", test_bad_header);
  g_test_add_func ("/command/missing-handles", test_missing_handles);
  g_test_add_func ("/command/auths", test_auths);
  g_test_add_func ("/command/bad-auths", test_bad_auths);
  g_test_add_func ("/command/every-prefix", test_every_prefix);
  g_test_add_func ("/command/response", test_response);
  g_test_add_func ("/command/table", test_table);
  return g_test_run ();
}
