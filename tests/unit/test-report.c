/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* What a support case gets has no PIN in it, wherever one is planted. */

#include "client/report.h"

#include "build-config.h"

#include <glib/gstdio.h>
#include <string.h>

#define PIN    "planted-pin-1"
#define SO_PIN "planted-so-pin-2"
#define V1_PIN "planted-v1-3"
#define V2_PIN "planted-v2-4"
#define URI    "planted-uri-5"
#define KEY    "cGxhbnRlZGtleQ"

static const struct
{
  const char *path;
  const char *text;
} files[] = {
  { "/var/lib/ggtpm/pins/greengrass.user", PIN },
  { "/var/lib/ggtpm/pins/greengrass.so", SO_PIN "\n" },
  { GGTPM_SYSCONFDIR "/ggtpmd.conf", "# " PIN "\n[Daemon]\nMode=replace\n" },
  { "/greengrass/config/config.json",
    "{\"SlotUserPin\": \"" V1_PIN "\", \"privateKeyPath\": \"pkcs11:object=greenkey;pin-value=" URI
    "\"}" },
  { "/greengrass/v2/config/config.yaml", "slot: 1\nuserPin: " V2_PIN "\nthingName: core-1\n" },
  { "/etc/greengrass/config.yaml",
    "privateKeyPath: |\n  -----BEGIN PRIVATE KEY-----\n  " KEY "\n" },
  { "/boot/config.txt", "# the PIN is " V1_PIN "\ndtoverlay=tpm-slb9670\n" },
};

static char *
make_tree (void)
{
  char *root = g_dir_make_tmp ("ggtpm-XXXXXX", NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *path = g_strconcat (root, files[i].path, NULL);
      g_autofree char *dir = g_path_get_dirname (path);

      g_assert_cmpint (g_mkdir_with_parents (dir, 0755), ==, 0);
      g_assert_true (g_file_set_contents (path, files[i].text, -1, NULL));
    }
  return root;
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name = NULL;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);

      remove_tree (child);
    }
  g_remove (path);
}

static void
test_planted (void)
{
  static const char *const secrets[] = { PIN, SO_PIN, V1_PIN, V2_PIN, URI, KEY };
  static const char *const kept[] = { "core-1", "dtoverlay=tpm-slb9670", "object=greenkey",
                                      "Mode=replace", "==== /boot/config.txt\n" };
  g_autofree char *root = make_tree ();
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GPtrArray) pins = report_find_pins (root);
  g_autofree char *report = NULL;

  g_assert_cmpuint (pins->len, ==, 2);
  report_add_section (text, "journal", "a line with " SO_PIN " in it");
  report_add_files (text, root);
  for (gsize i = 2; i < G_N_ELEMENTS (secrets); i++)
    g_assert_nonnull (strstr (text->str, secrets[i]));

  report = report_finish (text, pins);
  for (gsize i = 0; i < G_N_ELEMENTS (secrets); i++)
    g_assert_null (strstr (report, secrets[i]));
  for (gsize i = 0; i < G_N_ELEMENTS (kept); i++)
    g_assert_nonnull (strstr (report, kept[i]));
  remove_tree (root);
}

static void
test_nothing (void)
{
  g_autofree char *root = g_dir_make_tmp ("ggtpm-XXXXXX", NULL);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GPtrArray) pins = report_find_pins (root);

  report_add_files (text, root);
  g_assert_cmpuint (pins->len, ==, 0);
  g_assert_cmpstr (text->str, ==, "");
  remove_tree (root);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/report/planted", test_planted);
  g_test_add_func ("/report/nothing", test_nothing);
  return g_test_run ();
}
