/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* dbus/error.c: names on the bus, conversion, exit codes. */

#include "dbus/error.h"

static void
test_names (void)
{
  for (int code = 0; code < GGTPM_N_ERRORS; code++)
    {
      g_autoptr (GError) error = g_error_new_literal (GGTPM_ERROR, code, "text");
      g_autofree char *name = g_dbus_error_encode_gerror (error);
      g_autofree char *expected =
          g_strconcat ("org.ggtpm1.Error.", ggtpm_error_nick ((GgtpmError)code), NULL);

      g_assert_cmpstr (name, ==, expected);
    }
}

static void
test_convert (void)
{
  static const struct
  {
    GIOErrorEnum io;
    GgtpmError ours;
  } rows[] = {
    { G_IO_ERROR_CANCELLED, GGTPM_ERROR_CANCELLED },
    { G_IO_ERROR_NOT_FOUND, GGTPM_ERROR_NOT_FOUND },
    { G_IO_ERROR_NO_SPACE, GGTPM_ERROR_STORE },
    { G_IO_ERROR_TIMED_OUT, GGTPM_ERROR_TIMEOUT },
    { G_IO_ERROR_PENDING, GGTPM_ERROR_FAILED },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = g_error_new_literal (G_IO_ERROR, (gint)rows[i].io, "why");

      ggtpm_error_convert (&error);
      g_assert_error (error, GGTPM_ERROR, (gint)rows[i].ours);
      g_assert_cmpstr (error->message, ==, "why");
    }
}

static void
test_exit_codes (void)
{
  static const struct
  {
    GQuark (*domain) (void);
    int code;
    int exit_code;
  } rows[] = {
    { ggtpm_error_quark, GGTPM_ERROR_FAILED, 1 },
    { ggtpm_error_quark, GGTPM_ERROR_EXISTS, 1 },
    { ggtpm_error_quark, GGTPM_ERROR_INVALID_ARGS, 2 },
    { ggtpm_error_quark, GGTPM_ERROR_NOT_FOUND, 3 },
    { ggtpm_error_quark, GGTPM_ERROR_NOT_AUTHORIZED, 4 },
    { ggtpm_error_quark, GGTPM_ERROR_AUTH_FAILED, 4 },
    { ggtpm_error_quark, GGTPM_ERROR_BUSY, 5 },
    { ggtpm_error_quark, GGTPM_ERROR_LOCKED_OUT, 5 },
    { ggtpm_error_quark, GGTPM_ERROR_UNAVAILABLE, 6 },
    { g_dbus_error_quark, G_DBUS_ERROR_SERVICE_UNKNOWN, 6 },
    { g_dbus_error_quark, G_DBUS_ERROR_ACCESS_DENIED, 4 },
    { g_dbus_error_quark, G_DBUS_ERROR_UNKNOWN_OBJECT, 3 },
    { g_option_error_quark, G_OPTION_ERROR_BAD_VALUE, 2 },
    { g_io_error_quark, G_IO_ERROR_FAILED, 1 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = g_error_new_literal (rows[i].domain (), rows[i].code, "text");

      g_assert_cmpint (ggtpm_error_exit_code (error), ==, rows[i].exit_code);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/error/names", test_names);
  g_test_add_func ("/error/convert", test_convert);
  g_test_add_func ("/error/exit-codes", test_exit_codes);
  return g_test_run ();
}
