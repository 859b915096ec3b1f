/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* client/config-patch.c: what is replaced in a file that was edited, what stays, and where nothing can be done. */

#include "client/config-patch.h"
#include "dbus/error.h"

#include <string.h>

#define PROVIDER "aws.greengrass.crypto.Pkcs11Provider"
#define MARK     "\xef\xbb\xbf"

/* As daemon/greengrass/v2.c renders it. */
static const char fresh[] = "system:\n"
                            "  certificateFilePath: \"pkcs11:object=new;type=cert\"\n"
                            "  privateKeyPath: \"pkcs11:object=new;type=private\"\n"
                            "  thingName: \"fresh\"\n"
                            "services:\n"
                            "  aws.greengrass.Nucleus:\n"
                            "    configuration:\n"
                            "      awsRegion: \"eu-central-1\"\n"
                            "  " PROVIDER ":\n"
                            "    configuration:\n"
                            "      slot: 7\n"
                            "      userPin: \"a \\\"PIN\\\": #\"\n";

/* As daemon/greengrass/v1.c does. */
static const char fresh_v1[] =
    "{\n"
    "  \"crypto\": {\n"
    "    \"caPath\": \"file:///ca.pem\",\n"
    "    \"PKCS11\": { \"slotLabel\": \"pump\", \"slotUserPin\": \"a \\\"PIN\\\" \\\\ #\" },\n"
    "    \"principals\": {\n"
    "      \"IoTCertificate\": { \"privateKeyPath\": \"pkcs11:token=pump;object=new\",\n"
    "        \"certificatePath\": \"file:///new.pem\" },\n"
    "      \"MQTTServerCertificate\": { \"privateKeyPath\": \"pkcs11:token=pump;object=new\" },\n"
    "      \"SecretsManager\": { \"privateKeyPath\": \"pkcs11:token=pump;object=new\" }\n"
    "    }\n"
    "  },\n"
    "  \"coreThing\": { \"thingArn\": \"arn:new\", \"iotHost\": \"new.example\", \"keepAlive\": 600 }\n"
    "}\n";

/* A file of v1 with one thing of each kind. */
#define V1(label, pin, iot, server, secrets, arn)                                                  \
  "{\"mine\": [1.50, {\"slotLabel\": \"\\u00e9\\/\"}, null],\r\n"                                  \
  "\t\"crypto\":{\"caPath\":\"file:\\/\\/\\/mine.pem\",\t\"extra\" : true, \"PKCS11\":\r\n"        \
  "\t{ \"slotUserPin\":" pin ",\"größe\":\"ü\",\"slotLabel\" : " label "},\r\n"                    \
  "\t\t\"principals\": {\"MQTTServerCertificate\": {\"privateKeyPath\": " server "},\r\n"          \
  "\t\t\"SecretsManager\": {\"privateKeyPath\": " secrets "},\r\n"                                 \
  "\t\t\"IoTCertificate\": {\"certificatePath\": \"file:///mine.crt\", \"privateKeyPath\": " iot   \
  "}}},\r\n\"coreThing\":{\"thingArn\":" arn ",\"iotHost\":\"mine.example\"},\"last\":{}}"

static GVariant *
state (const char *name, const char *value)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  if (name != NULL)
    g_variant_dict_insert (&dict, name, "s", value);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

/* @changes: separated by line feeds; NULL: whatever they are */
static void
assert_stated (const char *flavour,
               GVariant *stated,
               const char *text,
               const char *expected,
               const char *changes)
{
  const char *rendered = g_str_equal (flavour, "v1") ? fresh_v1 : fresh;
  g_autoptr (GPtrArray) told = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) none = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  g_autofree char *patched =
      config_patch_apply (flavour, rendered, stated, text, strlen (text), told, &error);
  g_autofree char *lines = NULL;
  g_autofree char *again = NULL;

  g_assert_no_error (error);
  g_assert_cmpstr (patched, ==, expected);
  g_ptr_array_add (told, NULL);
  lines = g_strjoinv ("\n", (char **)told->pdata);
  if (changes != NULL)
    g_assert_cmpstr (lines, ==, changes);
  again = config_patch_apply (flavour, rendered, stated, patched, strlen (patched), none, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (again, ==, patched);
  g_assert_cmpuint (none->len, ==, 0);
}

static void
assert_patched (const char *flavour, const char *text, const char *expected)
{
  assert_stated (flavour, NULL, text, expected, NULL);
}

static void
test_replaced (void)
{
  /* a comment, other orders and quotes, sections of others, characters of several bytes before a value */
  assert_stated (
      "v2", NULL,
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
      "    certificateFilePath: \"pkcs11:object=new;type=cert\"",
      "services/" PROVIDER "/configuration/userPin\n"
      "services/" PROVIDER "/configuration/slot: '1' becomes '7'\n"
      "system/privateKeyPath\n"
      "system/certificateFilePath");
  assert_patched ("lite", MARK "system: {privateKeyPath: handle:0x81008001}\n",
                  MARK "system: {privateKeyPath: \"pkcs11:object=new;type=private\"}\n");
}

static void
test_replaced_v1 (void)
{
  static const char uri[] = "pkcs11:token=pump;object=new";

  assert_stated ("v1", NULL,
                 V1 ("\"ol\\u0064\"", "\"x\\\"y\\\\\"", "\"pkcs11:object=old\"",
                     "\"pkcs11:object=\\u006fld\"", "\"pkcs11:object=another\"", "\"arn:mine\""),
                 V1 ("\"pump\"", "\"a \\\"PIN\\\" \\\\ #\"", "\"pkcs11:token=pump;object=new\"",
                     "\"pkcs11:token=pump;object=new\"", "\"pkcs11:object=another\"",
                     "\"arn:mine\""),
                 "crypto/PKCS11/slotUserPin\n"
                 "crypto/PKCS11/slotLabel: 'old' becomes 'pump'\n"
                 "crypto/principals/MQTTServerCertificate/privateKeyPath\n"
                 "crypto/principals/IoTCertificate/privateKeyPath");
  g_assert_nonnull (strstr (fresh_v1, uri));
}

static void
assert_same (const char *flavour, const char *rendered, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *patched =
      config_patch_apply (flavour, rendered, NULL, text, strlen (text), NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (patched, ==, text);
}

static void
test_kept (void)
{
  /* somebody wanted files; the same value in other quotes is current */
  static const char text[] =
      "system: {certificateFilePath: /etc/cert.pem}\n"
      "services: {" PROVIDER ": {configuration: {slot: '7', userPin: 'a \"PIN\": #'}}}\n";
  static const char json[] = V1 ("\"pu\\u006dp\"", "\"\\u0061 \\\"PIN\\\" \\\\ #\"",
                                 "\"file:\\/\\/key\"", "\"file:\\/\\/key\"", "1", "\"arn:mine\"");

  assert_patched ("v2", text, text);
  assert_patched ("lite", text, text);
  assert_patched ("v1", json, json);
  assert_same ("lite", "system: {certificateFilePath: /new.pem}",
               "system: {certificateFilePath: 'pkcs11:object=mine'}");
  g_assert_true (config_patch_supports ("v1"));
  g_assert_false (config_patch_supports ("drop-in"));
}

/* What somebody says in provision.conf or by an option goes before what is in the file; the rest of it does not. */
static void
test_stated (void)
{
#define V2_TEXT(thing, certificate, region)                                                        \
  "services: {aws.greengrass.Nucleus: {configuration: {awsRegion: " region "}}, " PROVIDER         \
  ": {configuration: {slot: 7, userPin: 'a \"PIN\": #'}}}\n"                                       \
  "system: {thingName: " thing ", certificateFilePath: " certificate "}\n"
  static const char text[] = V2_TEXT ("mine", "/etc/cert.pem", "mine");
  g_autoptr (GVariant) thing = state ("thing-name", "fresh");
  g_autoptr (GVariant) certificate = state ("certificate-path", "x");
  g_autoptr (GVariant) region = state ("region", "eu-central-1");
  g_autoptr (GVariant) none = state (NULL, NULL);
  g_autoptr (GVariant) arn = state ("thing-arn", "arn:new");

  assert_stated ("v2", none, text, text, "");
  assert_stated ("v2", thing, text, V2_TEXT ("\"fresh\"", "/etc/cert.pem", "mine"),
                 "system/thingName: 'mine' becomes 'fresh'");
  assert_stated ("v2", certificate, text,
                 V2_TEXT ("mine", "\"pkcs11:object=new;type=cert\"", "mine"),
                 "system/certificateFilePath");
  assert_stated ("v2", region, text, V2_TEXT ("mine", "/etc/cert.pem", "\"eu-central-1\""),
                 "services/aws.greengrass.Nucleus/configuration/awsRegion: 'mine' becomes "
                 "'eu-central-1'");
  assert_stated (
      "v1", arn,
      V1 ("\"pump\"", "\"a \\\"PIN\\\" \\\\ #\"", "\"\"", "\"\"", "\"\"", "\"arn:mine\""),
      V1 ("\"pump\"", "\"a \\\"PIN\\\" \\\\ #\"", "\"\"", "\"\"", "\"\"", "\"arn:new\""),
      "coreThing/thingArn: 'arn:mine' becomes 'arn:new'");
#undef V2_TEXT
}

/* Every value of a file that nobody has edited, and no secret. */
static void
test_compared (void)
{
  static const char text[] =
      "services: {" PROVIDER ": {configuration: {slot: 7, userPin: '1234'}}}\n"
      "system: {thingName: mine, privateKeyPath: 'pkcs11:object=a?pin-value=1234'}\n";
  g_autoptr (GPtrArray) changes = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *lines = NULL;

  config_patch_compare ("v2", fresh, text, strlen (text), changes);
  config_patch_compare ("v2", fresh, fresh, strlen (fresh), changes);
  config_patch_compare ("v2", fresh, "a: [", 4, changes);
  config_patch_compare ("drop-in", fresh, text, strlen (text), changes);
  g_ptr_array_add (changes, NULL);
  lines = g_strjoinv ("\n", (char **)changes->pdata);
  g_assert_cmpstr (lines, ==,
                   "services/" PROVIDER "/configuration/userPin\n"
                   "system/privateKeyPath\n"
                   "system/certificateFilePath\n"
                   "system/thingName: 'mine' becomes 'fresh'\n"
                   "services/aws.greengrass.Nucleus/configuration/awsRegion");
}

static void
assert_refused (const char *flavour,
                const char *rendered,
                GVariant *stated,
                const char *text,
                const char *says)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (config_patch_apply (flavour, rendered, stated, text, strlen (text), NULL, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  if (strstr (error->message, says) == NULL)
    g_error ("<%s>: %s", text, error->message);
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
  g_autoptr (GVariant) thing = state ("thing-name", "fresh");

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *text =
          g_strconcat ("services: {" PROVIDER ": {configuration: {", rows[i].slot, "}}}\n", NULL);

      assert_refused ("v2", fresh, NULL, text, rows[i].says);
    }
  assert_refused ("v2", fresh, thing,
                  "services: {" PROVIDER ": {configuration: {slot: 7, userPin: x}}}\n",
                  "system/thingName is not in it");
}

/* Members of PKCS11, in a file that is good but for them. */
static void
test_refused_v1 (void)
{
  static const struct
  {
    const char *members;
    const char *says;
  } rows[] = {
    { "\"slotLabel\": \"x\"", "slotUserPin is not in it" },
    { "\"slotLabel\": \"x\", \"slotUserPin\": \"x\", \"slotLabel\": \"y\"", "more than once" },
    { "\"slotLabel\": {}, \"slotUserPin\": \"x\"", "slotLabel is not in it" },
    { "\"slotLabel\": 'x', \"slotUserPin\": \"x\"", "JSON" },
    { "\"slotLabel\": x, \"slotUserPin\": \"x\"", "JSON" },
    { "slotLabel: \"x\", \"slotUserPin\": \"x\"", "JSON" },
    { "\"slotLabel\": \"x\", \"slotUserPin\": \"x\",", "JSON" },
    { "\"slotLabel\": \"x\", # why\n\"slotUserPin\": \"x\"", "JSON" },
    { "\"slotLabel\": \"x\", \"slotUserPin\": \"x\"}, \"PKCS11\": {\"slotLabel\": \"x\"",
      "more than once" },
    /* good JSON that libyaml does not read */
    { "\"slotLabel\": \"x\", \"slotUserPin\": \"\\ud83d\\ude00\"", "line 1" },
    { "\"slotLabel\"\n: \"x\", \"slotUserPin\": \"x\"", "line 2" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *text =
          g_strconcat ("{\"crypto\": {\"PKCS11\": {", rows[i].members, "}}}\n", NULL);

      assert_refused ("v1", fresh_v1, NULL, text, rows[i].says);
    }
  assert_refused ("v1", fresh_v1, NULL, "", "JSON");
  assert_refused ("v1", fresh_v1, NULL, "[]", "mapping");
  assert_refused ("v1", fresh_v1, NULL, "{} {}", "JSON");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/config-patch/replaced", test_replaced);
  g_test_add_func ("/config-patch/replaced-v1", test_replaced_v1);
  g_test_add_func ("/config-patch/kept", test_kept);
  g_test_add_func ("/config-patch/stated", test_stated);
  g_test_add_func ("/config-patch/compared", test_compared);
  g_test_add_func ("/config-patch/refused", test_refused);
  g_test_add_func ("/config-patch/refused-v1", test_refused_v1);
  return g_test_run ();
}
