/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* What the client prints: tables, clean text, the progress line, JSON. */

#include "client/output.h"
#include "client/progress.h"
#include "dbus/error.h"

#include <json-c/json.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void
test_width (void)
{
  g_assert_cmpuint (output_width (""), ==, 0);
  g_assert_cmpuint (output_width ("key"), ==, 3);
  g_assert_cmpuint (output_width ("Schl\303\274ssel"), ==, 9);
  /* two wide characters */
  g_assert_cmpuint (output_width ("\351\215\265\345\214\231"), ==, 4);
  /* a combining acute accent takes no column */
  g_assert_cmpuint (output_width ("e\314\201"), ==, 1);
}

static void
test_clean (void)
{
  g_autofree char *none = output_clean (NULL);
  g_autofree char *escape = output_clean ("a\033[31mb\nc");
  g_autofree char *invalid = output_clean ("a\377b");

  g_assert_cmpstr (none, ==, "");
  g_assert_cmpstr (escape, ==, "a\357\277\275[31mb\357\277\275c");
  g_assert_cmpstr (invalid, ==, "a\357\277\275b");
}

static void
test_table (void)
{
  const char *const header[] = { "TOKEN", "KEY", "ID" };
  g_autoptr (OutputTable) table = output_table_new (3, header);
  g_autofree char *empty = output_table_to_string (table);
  g_autofree char *text = NULL;

  g_assert_cmpstr (empty, ==, "");
  output_table_add (table, "green\302\265", "a", "01");
  output_table_add (table, "x", "longer", NULL);
  output_table_add (table, "\351\215\265", NULL, "02");
  text = output_table_to_string (table);
  g_assert_cmpstr (text, ==,
                   "TOKEN   KEY     ID\n"
                   "green\302\265  a       01\n"
                   "x       longer\n"
                   "\351\215\265              02\n");
}

static void
test_table_without_header (void)
{
  g_autoptr (OutputTable) table = output_table_new (2, NULL);
  g_autofree char *text = NULL;

  output_table_add (table, "  a", "b");
  text = output_table_to_string (table);
  g_assert_cmpstr (text, ==, "  a  b\n");
}

static void
test_progress (void)
{
  g_autofree char *none = progress_format (0.0, "", 79);
  g_autofree char *half = progress_format (0.5, "making the key pair", 79);
  g_autofree char *cut = progress_format (1.0, "making the key pair", 34);
  g_autofree char *wide = progress_format (1.0, "\351\215\265\351\215\265", 31);
  g_autofree char *nonsense = progress_format (7.0, "a\rb", 79);

  g_assert_cmpstr (none, ==, "[....................]   0% ");
  g_assert_cmpstr (half, ==, "[##########..........]  50% making the key pair");
  g_assert_cmpstr (cut, ==, "[####################] 100% making");
  g_assert_cmpstr (wide, ==, "[####################] 100% \351\215\265");
  g_assert_cmpstr (nonsense, ==, "[####################] 100% a\357\277\275b");
}

static void
test_time (void)
{
  g_autofree char *never = output_time (0);
  g_autofree char *then = output_time (1700000000);
  g_autofree char *nonsense = output_time (G_MAXUINT64);

  g_assert_cmpstr (never, ==, "never");
  g_assert_cmpstr (then, ==, "2023-11-14 22:13:20");
  g_assert_cmpstr (nonsense, ==, "18446744073709551615");
}

/* What @print writes to standard output, parsed. */
static json_object *
capture (void (*print) (void))
{
  g_autofree char *path = NULL;
  g_autofree char *text = NULL;
  int fd = g_file_open_tmp ("ggtpm-XXXXXX", &path, NULL);
  int saved = dup (STDOUT_FILENO);
  json_object *document = NULL;

  g_assert_cmpint (fd, >=, 0);
  fflush (stdout);
  g_assert_cmpint (dup2 (fd, STDOUT_FILENO), ==, STDOUT_FILENO);
  print ();
  g_assert_true (output_finish (NULL));
  g_assert_cmpint (dup2 (saved, STDOUT_FILENO), ==, STDOUT_FILENO);
  close (saved);
  close (fd);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpint (unlink (path), ==, 0);
  document = json_tokener_parse (text);
  g_assert_nonnull (document);
  return document;
}

static void
print_types (void)
{
  GVariantBuilder object = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  const guint8 bytes[] = { 0, 1, 255, 0 };

  output_add (&object, "text", "s", "a \"b\"\n/");
  output_add (&object, "yes", "b", TRUE);
  output_add (&object, "u", "u", G_MAXUINT32);
  output_add (&object, "t", "t", G_MAXUINT64);
  output_add (&object, "x", "x", G_MININT64);
  output_add (&object, "d", "d", 0.5);
  output_add (&object, "list", "^as", (const char *const[]){ "a", "b", NULL });
  output_add (&object, "pair", "(uu)", 1, 2);
  output_add (&object, "bytes", "@ay",
              g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, bytes, sizeof bytes, 1));
  output_add (&object, "none", "@ay", g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, NULL, 0, 1));
  output_add (&object, "inner", "v", g_variant_new_parsed ("{'a': <<'b'>>}"));
  output_json (g_variant_builder_end (&object));
}

static void
test_json_types (void)
{
  json_object *document = capture (print_types);

  g_assert_cmpstr (json_object_to_json_string_ext (document, JSON_C_TO_STRING_NOSLASHESCAPE), ==,
                   "{\"version\":1,\"text\":\"a \\\"b\\\"\\n/\",\"yes\":true,\"u\":4294967295,"
                   "\"t\":18446744073709551615,\"x\":-9223372036854775808,\"d\":0.5,"
                   "\"list\":[\"a\",\"b\"],\"pair\":[1,2],\"bytes\":\"AAH/AA==\",\"none\":\"\","
                   "\"inner\":{\"a\":\"b\"}}");
  json_object_put (document);
}

static void
print_error (void)
{
  g_autoptr (GError) error =
      g_error_new (GGTPM_ERROR, GGTPM_ERROR_LOCKED_OUT, "locked \"out\" \377");

  output_json_error (error);
}

static void
test_json_error (void)
{
  json_object *document = capture (print_error);

  g_assert_cmpstr (json_object_to_json_string_ext (document, JSON_C_TO_STRING_PLAIN), ==,
                   "{\"version\":1,\"error\":{\"name\":\"LockedOut\",\"message\":"
                   "\"locked \\\"out\\\" \357\277\275\"}}");
  json_object_put (document);
}

static void
test_colours (void)
{
  g_autofree char *plain = output_coloured (OUTPUT_PLAIN, "a");
  g_autofree char *bad = NULL;
  int null = open ("/dev/null", O_WRONLY | O_CLOEXEC);
  int saved = dup (STDOUT_FILENO);

  g_assert_cmpstr (plain, ==, "a");
  g_assert_cmpint (dup2 (null, STDOUT_FILENO), ==, STDOUT_FILENO);
  bad = output_coloured (OUTPUT_BAD, "a");
  g_assert_cmpint (dup2 (saved, STDOUT_FILENO), ==, STDOUT_FILENO);
  close (saved);
  close (null);
  g_assert_cmpstr (bad, ==, "a");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/output/width", test_width);
  g_test_add_func ("/output/clean", test_clean);
  g_test_add_func ("/output/table", test_table);
  g_test_add_func ("/output/table-without-header", test_table_without_header);
  g_test_add_func ("/output/time", test_time);
  g_test_add_func ("/output/json-types", test_json_types);
  g_test_add_func ("/output/json-error", test_json_error);
  g_test_add_func ("/output/colours", test_colours);
  g_test_add_func ("/progress/format", test_progress);
  return g_test_run ();
}
