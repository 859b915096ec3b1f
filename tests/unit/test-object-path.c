/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "bus/object-path.h"
#include "common/label.h"

/* What sd_bus_path_encode() of systemd 252 makes of them. */
static void
test_encode (void)
{
  static const struct
  {
    const char *text;
    const char *encoded;
  } rows[] = {
    { "greengrass", "greengrass" },
    { "", "_" },
    { "1st", "_31st" },
    { "a1", "a1" },
    { "my token", "my_20token" },
    { "a_b-c.d", "a_5fb_2dc_2ed" },
    { "../x", "_2e_2e_2fx" },
    { "\xc3\xbc", "_c3_bc" },
    { "_", "_5f" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *encoded = label_encode (rows[i].text);
      g_autofree char *path = object_path_for_token (rows[i].text);

      g_assert_cmpstr (encoded, ==, rows[i].encoded);
      g_assert_true (g_variant_is_object_path (path));
    }
}

static void
test_paths (void)
{
  static const guint8 bytes[] = { 0x34, 0x65, 0x00, 0xff };
  g_autoptr (GBytes) id = g_bytes_new_static (bytes, sizeof bytes);
  g_autoptr (GBytes) empty = g_bytes_new_static (NULL, 0);
  g_autofree char *token = object_path_for_token ("green grass");
  g_autofree char *key = object_path_for_key ("green grass", id);
  g_autofree char *without_id = object_path_for_key ("t", empty);

  g_assert_cmpstr (token, ==, "/org/ggtpm1/token/green_20grass");
  g_assert_cmpstr (key, ==, "/org/ggtpm1/token/green_20grass/key/346500ff");
  g_assert_cmpstr (without_id, ==, "/org/ggtpm1/token/t/key/_");
  g_assert_true (g_variant_is_object_path (key));
  g_assert_true (g_variant_is_object_path (without_id));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/object-path/encode", test_encode);
  g_test_add_func ("/object-path/paths", test_paths);
  return g_test_run ();
}
