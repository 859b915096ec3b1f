/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "bus/options.h"
#include "dbus/error.h"

#include <unistd.h>

typedef struct
{
  char *subject;
  gboolean force;
  GBytes *id;
  int pin;
} Values;

static void
values_clear (Values *values)
{
  g_free (values->subject);
  g_clear_pointer (&values->id, g_bytes_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Values, values_clear)

/* @text: an a{sv} in GVariant's text format */
static gboolean
parse (const char *text, GUnixFDList *fds, Values *values, GError **error)
{
  const Option table[] = {
    { "subject", "s", &values->subject },
    { "force", "b", &values->force },
    { "id", "ay", &values->id },
    { "pin", "h", &values->pin },
    { NULL, NULL, NULL },
  };
  g_autoptr (GVariant) options = g_variant_ref_sink (g_variant_new_parsed (text, NULL));

  return options_parse (options, fds, table, error);
}

static void
test_all_types (void)
{
  g_auto (Values) values = { .pin = -1 };
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_unix_fd_list_append (fds, STDIN_FILENO, &error), ==, 0);
  g_assert_true (parse ("@a{sv} {'subject': <'CN=x'>, 'force': <true>, 'id': <[byte 1, 0, 2]>, "
                        "'pin': <handle 0>}",
                        fds, &values, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (values.subject, ==, "CN=x");
  g_assert_true (values.force);
  g_assert_cmpuint (g_bytes_get_size (values.id), ==, 3);
  g_assert_cmpint (values.pin, ==, g_unix_fd_list_peek_fds (fds, NULL)[0]);
}

static void
test_absent_stays (void)
{
  g_auto (Values) values = { .subject = g_strdup ("default"), .force = TRUE, .pin = -1 };
  g_autoptr (GError) error = NULL;

  g_assert_true (parse ("@a{sv} {}", NULL, &values, &error));
  g_assert_cmpstr (values.subject, ==, "default");
  g_assert_true (values.force);
  g_assert_cmpint (values.pin, ==, -1);
}

static void
test_refused (void)
{
  static const struct
  {
    const char *text;
    const char *named;
  } rows[] = {
    { "@a{sv} {'subject': <'CN=x'>, 'colour': <'red'>}", "'colour'" },
    { "@a{sv} {'colour': <'red'>}", "subject, force, id, pin" },
    { "@a{sv} {'subject': <'CN=x'>, 'force': <'yes'>}", "'force' is of type 'b', not 's'" },
    { "@a{sv} {'id': <'0102'>}", "'id'" },
    { "@a{sv} {'pin': <'1234'>}", "'pin' is of type 'h', not 's'" },
    { "@a{sv} {'subject': <'CN=x'>, 'pin': <handle 0>}", "'pin'" },
    { "@a{sv} {'pin': <handle -1>}", "'pin'" },
    { "[{'force', <true>}, {'force', <false>}]", "'force' is given twice" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_auto (Values) values = { .pin = -1 };
      g_autoptr (GError) error = NULL;

      g_assert_false (parse (rows[i].text, NULL, &values, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
      g_assert_nonnull (strstr (error->message, rows[i].named));
      /* all or nothing: what is good beside it was not taken */
      g_assert_null (values.subject);
      g_assert_null (values.id);
      g_assert_false (values.force);
      g_assert_cmpint (values.pin, ==, -1);
    }
}

static void
test_too_long (void)
{
  g_autofree char *text = g_strnfill (OPTIONS_STRING_MAX + 1, 'x');
  g_auto (Values) values = { .pin = -1 };
  g_autoptr (GError) error = NULL;
  g_autofree char *options = g_strdup_printf ("@a{sv} {'subject': <'%s'>}", text);

  g_assert_false (parse (options, NULL, &values, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
}

static void
test_choice (void)
{
  static const char *const choices[] = { "message", "digest", NULL };
  g_autoptr (GError) error = NULL;

  g_assert_true (options_check_choice ("input", "digest", choices, &error));
  g_assert_true (options_check_choice ("input", NULL, choices, &error));
  g_assert_false (options_check_choice ("input", "file", choices, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_assert_nonnull (strstr (error->message, "message, digest"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/options/all-types", test_all_types);
  g_test_add_func ("/options/absent", test_absent_stays);
  g_test_add_func ("/options/refused", test_refused);
  g_test_add_func ("/options/too-long", test_too_long);
  g_test_add_func ("/options/choice", test_choice);
  return g_test_run ();
}
