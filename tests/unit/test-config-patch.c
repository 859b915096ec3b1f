/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* client/config-patch.c: what is replaced in a file that was edited, what stays, and where nothing can be done. */

#include "client/config-patch.h"
#include "dbus/error.h"

#include <string.h>

#define PROVIDER "aws.greengrass.crypto.Pkcs11Provider"

/* As daemon/greengrass/v2.c renders it. */
static const char fresh[] = "system:\n"
                            "  certificateFilePath: \"pkcs11:object=new;type=cert\"\n"
                            "  privateKeyPath: \"pkcs11:object=new;type=private\"\n"
                            "  thingName: \"fresh\"\n"
                            "services:\n"
                            "  " PROVIDER ":\n"
                            "    configuration:\n"
                            "      slot: 7\n"
                            "      userPin: \"a \\\"PIN\\\": #\"\n";

static void
assert_patched (const char *flavour, const char *text, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *patched = config_patch_apply (flavour, fresh, text, strlen (text), &error);
  g_autofree char *again = NULL;

  g_assert_no_error (error);
  g_assert_cmpstr (patched, ==, expected);
  again = config_patch_apply (flavour, fresh, patched, strlen (patched), &error);
  g_assert_no_error (error);
  g_assert_cmpstr (again, ==, patched);
}

static void
test_replaced (void)
{
  /* a comment, other orders and quotes, sections of others, characters of several bytes before a value */
  assert_patched (
      "v2",
      "# Größe\r\n"
      "services:\r\n"
      "  " PROVIDER ": { configuration: {userPin: 'old''s', slot: 1 } } # ein Schlüssel\r\n"
      "  com.example.Pump: {configuration: [ {slot: 1}, &a x, *a ]}\r\n"
      "system:\r\n"
      "    thingName: mine\r\n"
      "    privateKeyPath: pkcs11:object=old;type=private   # kept\r\n"
      "    certificateFilePath: \"pkcs11:object=old;type=cert\"",
      "# Größe\r\n"
      "services:\r\n"
      "  " PROVIDER
      ": { configuration: {userPin: \"a \\\"PIN\\\": #\", slot: 7 } } # ein Schlüssel\r\n"
      "  com.example.Pump: {configuration: [ {slot: 1}, &a x, *a ]}\r\n"
      "system:\r\n"
      "    thingName: mine\r\n"
      "    privateKeyPath: \"pkcs11:object=new;type=private\"   # kept\r\n"
      "    certificateFilePath: \"pkcs11:object=new;type=cert\"");
  assert_patched ("lite", "\xef\xbb\xbfsystem: {privateKeyPath: handle:0x81008001}\n",
                  "\xef\xbb\xbfsystem: {privateKeyPath: \"pkcs11:object=new;type=private\"}\n");
}

static void
test_kept (void)
{
  /* somebody wanted files; the same value in other quotes is current */
  static const char text[] =
      "system: {certificateFilePath: /etc/cert.pem}\n"
      "services: {" PROVIDER ": {configuration: {slot: '7', userPin: 'a \"PIN\": #'}}}\n";

  assert_patched ("v2", text, text);
  assert_patched ("lite", text, text);
  g_assert_false (config_patch_supports ("v1"));
  g_assert_false (config_patch_supports ("drop-in"));
}

static void
test_refused (void)
{
  static const struct
  {
    const char *slot;
    const char *says;
  } rows[] = {
    { "userPin: x", "slot is not in it" },
    { "slot: &anchor 1, userPin: x", "plain or quoted" },
    { "slot: !!int 1, userPin: x", "plain or quoted" },
    { "slot: 1, slot: 2, userPin: x", "more than once" },
    { "slot: \"1\n    0\", userPin: x", "on one line" },
    { "slot: [1], userPin: x", "slot is not in it" },
    { "slot: {", "YAML" },
    { "slot: \xff", "UTF-8" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *text =
          g_strconcat ("services: {" PROVIDER ": {configuration: {", rows[i].slot, "}}}\n", NULL);

      g_assert_null (config_patch_apply ("v2", fresh, text, strlen (text), &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
      g_assert_nonnull (strstr (error->message, rows[i].says));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/config-patch/replaced", test_replaced);
  g_test_add_func ("/config-patch/kept", test_kept);
  g_test_add_func ("/config-patch/refused", test_refused);
  return g_test_run ();
}
