/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* What leaves the machine has no secret in it. */

#include "common/redact.h"

#include <string.h>

static const struct
{
  const char *text;
  const char *clean;
} rows[] = {
  { "", "" },
  { "type=private;pin-value=123456\"", "type=private;pin-value=(removed)\"" },
  { "pkcs11:token=g?pin-value=a%20b&x=y", "pkcs11:token=g?pin-value=(removed)&x=y" },
  { "pkcs11:token=g;pin-source=file:/p/g.user", "pkcs11:token=g;pin-source=file:/p/g.user" },
  { "\"SlotUserPin\": \"123456\",", "\"SlotUserPin\": \"(removed)\"," },
  { "  userPin: abcdef\n  slot: 1", "  userPin: (removed)\n  slot: 1" },
  { "  userPin: \"123456\"\n", "  userPin: \"(removed)\"\n" },
  { "'userPin' : 'q'", "'userPin' : '(removed)'" },
  { "addtoken --sopin=1234 --userpin 5678", "addtoken --sopin=(removed) --userpin (removed)" },
  { "a spinning: wheel", "a spinning: wheel" },
  { "a -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- z", "a (removed) z" },
  { "cut -----BEGIN PRIVATE KEY-----\nMHc", "cut (removed)" },
  { "-----BEGIN CERTIFICATE-----\nMHc", "-----BEGIN CERTIFICATE-----\nMHc" },
  { "a\377b", "a\357\277\275b" },
};

static void
test_rows (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *clean = redact_text (rows[i].text, NULL);

      g_assert_cmpstr (clean, ==, rows[i].clean);
    }
}

static void
test_find (void)
{
  g_autoptr (GPtrArray) found =
      redact_find ("{\"SlotUserPin\": \"one\", pin-value=two\" userPin: three\n");
  const char *const expected[] = { "one", "two", "three" };

  g_assert_cmpuint (found->len, ==, G_N_ELEMENTS (expected));
  for (guint i = 0; i < found->len; i++)
    g_assert_cmpstr (secret_peek (g_ptr_array_index (found, i)), ==, expected[i]);
}

static void
test_known (void)
{
  g_autoptr (GPtrArray) secrets = g_ptr_array_new_with_free_func ((GDestroyNotify)secret_free);
  g_autofree char *clean = NULL;

  g_ptr_array_add (secrets, secret_new ("s3cr.t", 6));
  /* too short to be told from other text */
  g_ptr_array_add (secrets, secret_new ("1", 1));
  clean = redact_text ("1 as3cr.tb s3crxt s3cr.t", secrets);
  g_assert_cmpstr (clean, ==, "1 a(removed)b s3crxt (removed)");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/redact/rows", test_rows);
  g_test_add_func ("/redact/find", test_find);
  g_test_add_func ("/redact/known", test_known);
  return g_test_run ();
}
