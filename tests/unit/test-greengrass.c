/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "dbus/error.h"
#include "greengrass/greengrass.h"
#include "greengrass/yaml-writer.h"

#include <json-c/json.h>
#include <string.h>
#include <yaml.h>

/* What must come through a file unharmed: quotes, YAML's and JSON's own characters, more than ASCII. */
#define ODD_PIN   "a\"b\\c: #{}[]&*!|>%@`'\xc3\xbc \xe2\x82\xac\t,~"
#define ODD_LABEL "gr\xc3\xbcn key?#&"

static GreengrassParams *
new_params (void)
{
  GreengrassParams *params = g_new0 (GreengrassParams, 1);

  params->token = g_strdup ("greengrass");
  params->key = g_strdup ("greenkey");
  params->slot = 7;
  params->pin = g_strdup ("secretpin");
  params->pin_source = g_strdup ("/var/lib/ggtpm/pins/greengrass.user");
  return params;
}

static GreengrassParams *
new_full_params (void)
{
  GreengrassParams *params = new_params ();

  params->rsa = TRUE;
  params->pkcs11_module = g_strdup ("/opt/pkcs11/module.so");
  params->pkcs11_engine = g_strdup ("/opt/engines/pkcs11.so");
  params->thing_name = g_strdup ("pump-12");
  params->thing_arn = g_strdup ("arn:aws:iot:eu-central-1:123456789012:thing/pump-12");
  params->region = g_strdup ("eu-central-1");
  params->iot_data_endpoint = g_strdup ("abc-ats.iot.eu-central-1.amazonaws.com");
  params->iot_cred_endpoint = g_strdup ("xyz.credentials.iot.eu-central-1.amazonaws.com");
  params->role_alias = g_strdup ("PumpRole");
  params->root_ca_path = g_strdup ("/etc/pump/root ca.pem");
  params->root_path = g_strdup ("/srv/greengrass");
  params->nucleus_version = g_strdup ("2.14.0");
  return params;
}

static char *
render (GreengrassFlavour flavour, const GreengrassParams *params)
{
  g_autoptr (GError) error = NULL;
  char *text = greengrass_render (flavour, params, &error);

  g_assert_no_error (error);
  g_assert_nonnull (text);
  return text;
}

/* ---- reading back: a file becomes `a/b/c` -> text ---- */

static void
flatten_json (GHashTable *table, const char *path, json_object *value)
{
  if (!json_object_is_type (value, json_type_object))
    {
      g_hash_table_insert (table, g_strdup (path), g_strdup (json_object_get_string (value)));
      return;
    }
  json_object_object_foreach (value, name, member)
    {
      g_autofree char *below = g_strconcat (path, *path != '\0' ? "/" : "", name, NULL);

      flatten_json (table, below, member);
    }
}

static GHashTable *
parse_json (const char *text)
{
  GHashTable *table = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  json_tokener *tokener = json_tokener_new ();
  json_object *root;

  json_tokener_set_flags (tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  root = json_tokener_parse_ex (tokener, text, -1);
  g_assert_cmpint (json_tokener_get_error (tokener), ==, json_tokener_success);
  g_assert_cmpuint (json_tokener_get_parse_end (tokener), ==, strlen (text));
  flatten_json (table, "", root);
  json_object_put (root);
  json_tokener_free (tokener);
  return table;
}

static void
flatten_yaml (GHashTable *table, yaml_document_t *document, const char *path, int index)
{
  yaml_node_t *node = yaml_document_get_node (document, index);

  if (node->type == YAML_SCALAR_NODE)
    {
      /* A quoted text never becomes a number or a truth value. */
      const char *kind = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? "plain " : "";

      g_hash_table_insert (table, g_strdup (path),
                           g_strconcat (kind, (const char *)node->data.scalar.value, NULL));
      return;
    }
  g_assert_cmpint (node->type, ==, YAML_MAPPING_NODE);
  for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
       pair++)
    {
      yaml_node_t *key = yaml_document_get_node (document, pair->key);
      g_autofree char *below =
          g_strconcat (path, *path != '\0' ? "/" : "", (const char *)key->data.scalar.value, NULL);

      flatten_yaml (table, document, below, pair->value);
    }
}

static GHashTable *
parse_yaml (const char *text)
{
  GHashTable *table = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  yaml_parser_t parser;
  yaml_document_t document;

  g_assert_true (g_str_has_prefix (text, "# Written by ggtpmd "));
  g_assert_true (g_str_has_suffix (text, "\n"));
  g_assert_true (yaml_parser_initialize (&parser));
  yaml_parser_set_input_string (&parser, (const guchar *)text, strlen (text));
  g_assert_true (yaml_parser_load (&parser, &document));
  flatten_yaml (table, &document, "", 1);
  yaml_document_delete (&document);
  yaml_parser_delete (&parser);
  return table;
}

typedef struct
{
  const char *path;
  const char *value;
} Expected;

/* Exactly these values, no others. */
static void
assert_table (GHashTable *table, const Expected *expected, gsize n)
{
  for (gsize i = 0; i < n; i++)
    {
      const char *value = g_hash_table_lookup (table, expected[i].path);
      g_autofree char *decoded = NULL;

      if (value == NULL)
        g_error ("%s is missing", expected[i].path);
      /* p11-kit may encode more than RFC 7512 asks for. */
      if (g_str_has_prefix (value, "pkcs11:"))
        value = decoded = g_uri_unescape_string (value, NULL);
      if (strcmp (value, expected[i].value) != 0)
        g_error ("%s: got <%s>, expected <%s>", expected[i].path, value, expected[i].value);
    }
  g_assert_cmpuint (g_hash_table_size (table), ==, n);
}

/* ---- v1 ---- */

static void
test_v1_full (void)
{
  static const Expected expected[] = {
    { "crypto/caPath", "file:///etc/pump/root%20ca.pem" },
    { "crypto/PKCS11/OpenSSLEngine", "/opt/engines/pkcs11.so" },
    { "crypto/PKCS11/P11Provider", "/opt/pkcs11/module.so" },
    { "crypto/PKCS11/slotLabel", "greengrass" },
    { "crypto/PKCS11/slotUserPin", "secretpin" },
    { "crypto/principals/IoTCertificate/privateKeyPath",
      "pkcs11:token=greengrass;object=greenkey;type=private" },
    { "crypto/principals/IoTCertificate/certificatePath", "file:///etc/pump/cert.pem" },
    { "crypto/principals/MQTTServerCertificate/privateKeyPath",
      "pkcs11:token=greengrass;object=greenkey;type=private" },
    { "crypto/principals/SecretsManager/privateKeyPath",
      "pkcs11:token=greengrass;object=greenkey;type=private" },
    { "coreThing/thingArn", "arn:aws:iot:eu-central-1:123456789012:thing/pump-12" },
    { "coreThing/iotHost", "abc-ats.iot.eu-central-1.amazonaws.com" },
    { "coreThing/ggHost", "greengrass-ats.iot.eu-central-1.amazonaws.com" },
    { "coreThing/keepAlive", "600" },
    { "runtime/cgroup/useSystemd", "yes" },
    { "managedRespawn", "false" },
  };
  g_autoptr (GreengrassParams) params = new_full_params ();
  g_autofree char *text = NULL;
  g_autoptr (GHashTable) table = NULL;

  params->certificate_path = g_strdup ("/etc/pump/cert.pem");
  text = render (GREENGRASS_V1, params);
  table = parse_json (text);
  assert_table (table, expected, G_N_ELEMENTS (expected));
}

static void
test_v1_placeholders (void)
{
  g_autoptr (GreengrassParams) params = new_params ();
  g_autofree char *text = render (GREENGRASS_V1, params);
  g_autoptr (GHashTable) table = parse_json (text);
  const char *engine = g_hash_table_lookup (table, "crypto/PKCS11/OpenSSLEngine");
  const char *module = g_hash_table_lookup (table, "crypto/PKCS11/P11Provider");

  g_assert_true (g_str_has_suffix (engine, "/engines-3/pkcs11.so"));
  g_assert_true (g_str_has_suffix (module, "/libtpm2_pkcs11.so"));
  g_assert_cmpstr (g_hash_table_lookup (table, "crypto/caPath"), ==,
                   "file:///greengrass/certs/root.ca.pem");
  g_assert_cmpstr (g_hash_table_lookup (table, "crypto/principals/IoTCertificate/certificatePath"),
                   ==, "file:///greengrass/certs/CERTIFICATE-ID-certificate.pem.crt");
  g_assert_cmpstr (g_hash_table_lookup (table, "coreThing/thingArn"), ==,
                   "arn:aws:iot:REGION:ACCOUNT-ID:thing/THING-NAME");
  g_assert_cmpstr (g_hash_table_lookup (table, "coreThing/iotHost"), ==,
                   "DATA-PREFIX-ats.iot.REGION.amazonaws.com");
  /* An EC key cannot encrypt. */
  g_assert_null (g_hash_table_lookup (table, "crypto/principals/SecretsManager/privateKeyPath"));
}

static void
test_v1_odd_values (void)
{
  g_autoptr (GreengrassParams) params = new_params ();
  g_autofree char *text = NULL;
  g_autoptr (GHashTable) table = NULL;

  g_free (params->key);
  params->key = g_strdup (ODD_LABEL);
  g_free (params->token);
  params->token = g_strdup ("a \"quoted\" \\token");
  g_free (params->pin);
  params->pin = g_strdup (ODD_PIN);
  text = render (GREENGRASS_V1, params);
  table = parse_json (text);
  g_assert_cmpstr (g_hash_table_lookup (table, "crypto/PKCS11/slotUserPin"), ==, ODD_PIN);
  g_assert_cmpstr (g_hash_table_lookup (table, "crypto/PKCS11/slotLabel"), ==,
                   "a \"quoted\" \\token");
  g_assert_cmpstr (
      g_hash_table_lookup (table, "crypto/principals/IoTCertificate/privateKeyPath"), ==,
      "pkcs11:token=a%20%22quoted%22%20%5Ctoken;object=gr%C3%BCn%20key%3F%23%26;type=private");
}

static void
test_regions (void)
{
  static const struct
  {
    const char *region;
    const char *arn;
    const char *host;
  } cases[] = {
    { "us-west-2", "arn:aws:iot:us-west-2:ACCOUNT-ID:thing/THING-NAME",
      "greengrass-ats.iot.us-west-2.amazonaws.com" },
    { "cn-north-1", "arn:aws-cn:iot:cn-north-1:ACCOUNT-ID:thing/THING-NAME",
      "greengrass-ats.iot.cn-north-1.amazonaws.com.cn" },
    { "us-gov-west-1", "arn:aws-us-gov:iot:us-gov-west-1:ACCOUNT-ID:thing/THING-NAME",
      "greengrass-ats.iot.us-gov-west-1.amazonaws.com" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GreengrassParams) params = new_params ();
      g_autofree char *text = NULL;
      g_autoptr (GHashTable) table = NULL;

      params->region = g_strdup (cases[i].region);
      text = render (GREENGRASS_V1, params);
      table = parse_json (text);
      g_assert_cmpstr (g_hash_table_lookup (table, "coreThing/thingArn"), ==, cases[i].arn);
      g_assert_cmpstr (g_hash_table_lookup (table, "coreThing/ggHost"), ==, cases[i].host);
    }
}

/* ---- v2 ---- */

static void
test_v2_full (void)
{
  static const Expected expected[] = {
    { "system/certificateFilePath", "pkcs11:object=greenkey;type=cert" },
    { "system/privateKeyPath", "pkcs11:object=greenkey;type=private" },
    { "system/rootCaPath", "/etc/pump/root ca.pem" },
    { "system/rootpath", "/srv/greengrass" },
    { "system/thingName", "pump-12" },
    { "services/aws.greengrass.Nucleus/componentType", "NUCLEUS" },
    { "services/aws.greengrass.Nucleus/version", "2.14.0" },
    { "services/aws.greengrass.Nucleus/configuration/awsRegion", "eu-central-1" },
    { "services/aws.greengrass.Nucleus/configuration/iotRoleAlias", "PumpRole" },
    { "services/aws.greengrass.Nucleus/configuration/iotDataEndpoint",
      "abc-ats.iot.eu-central-1.amazonaws.com" },
    { "services/aws.greengrass.Nucleus/configuration/iotCredEndpoint",
      "xyz.credentials.iot.eu-central-1.amazonaws.com" },
    { "services/aws.greengrass.crypto.Pkcs11Provider/configuration/name", "ggtpm" },
    { "services/aws.greengrass.crypto.Pkcs11Provider/configuration/library",
      "/opt/pkcs11/module.so" },
    { "services/aws.greengrass.crypto.Pkcs11Provider/configuration/slot", "plain 7" },
    { "services/aws.greengrass.crypto.Pkcs11Provider/configuration/userPin", "secretpin" },
  };
  g_autoptr (GreengrassParams) params = new_full_params ();
  g_autofree char *text = render (GREENGRASS_V2, params);
  g_autoptr (GHashTable) table = parse_yaml (text);

  assert_table (table, expected, G_N_ELEMENTS (expected));
}

static void
test_v2_placeholders (void)
{
  static const char nucleus[] = "services/aws.greengrass.Nucleus/configuration/";
  g_autoptr (GreengrassParams) params = new_params ();
  g_autofree char *text = render (GREENGRASS_V2, params);
  g_autoptr (GHashTable) table = parse_yaml (text);
  g_autofree char *data = g_strconcat (nucleus, "iotDataEndpoint", NULL);
  g_autofree char *cred = g_strconcat (nucleus, "iotCredEndpoint", NULL);

  g_assert_cmpstr (g_hash_table_lookup (table, "system/thingName"), ==, "THING-NAME");
  g_assert_cmpstr (g_hash_table_lookup (table, "system/rootpath"), ==, "/greengrass/v2");
  g_assert_cmpstr (g_hash_table_lookup (table, "system/rootCaPath"), ==,
                   "/greengrass/v2/AmazonRootCA1.pem");
  g_assert_cmpstr (g_hash_table_lookup (table, data), ==,
                   "DATA-PREFIX-ats.iot.REGION.amazonaws.com");
  g_assert_cmpstr (g_hash_table_lookup (table, cred), ==,
                   "CREDENTIALS-PREFIX.credentials.iot.REGION.amazonaws.com");
  g_assert_null (g_hash_table_lookup (table, "services/aws.greengrass.Nucleus/version"));
}

/* PINs that YAML would read as something else if they were not quoted, and one with everything in it. */
static void
test_v2_pins (void)
{
  static const char *const pins[] = {
    "123456", "0x10", "true", "~", "1e3", " 12 ", "- a", ODD_PIN
  };

  for (gsize i = 0; i < G_N_ELEMENTS (pins); i++)
    {
      g_autoptr (GreengrassParams) params = new_params ();
      g_autofree char *text = NULL;
      g_autoptr (GHashTable) table = NULL;

      g_free (params->pin);
      params->pin = g_strdup (pins[i]);
      text = render (GREENGRASS_V2, params);
      table = parse_yaml (text);
      g_assert_cmpstr (
          g_hash_table_lookup (
              table, "services/aws.greengrass.crypto.Pkcs11Provider/configuration/userPin"),
          ==, pins[i]);
    }
}

static void
test_v2_refused (void)
{
  static const char *const labels[] = { "a;b", "a=b", "a%b", " a", "a " };
  g_autoptr (GreengrassParams) params = new_params ();
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (labels); i++)
    {
      g_free (params->key);
      params->key = g_strdup (labels[i]);
      g_assert_null (greengrass_render (GREENGRASS_V2, params, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
      g_assert_nonnull (strstr (error->message, labels[i]));
      g_clear_error (&error);
    }
  g_free (params->key);
  params->key = g_strdup ("two words");
  g_free (render (GREENGRASS_V2, params));
  params->slot = 0;
  g_assert_null (greengrass_render (GREENGRASS_V2, params, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
}

/* ---- lite ---- */

static void
test_lite_full (void)
{
  static const Expected expected[] = {
    { "system/privateKeyPath", "pkcs11:token=greengrass;object=greenkey;type=private"
                               "?pin-source=/var/lib/ggtpm/pins/greengrass.user" },
    { "system/certificateFilePath", "pkcs11:token=greengrass;object=greenkey;type=cert"
                                    "?pin-source=/var/lib/ggtpm/pins/greengrass.user" },
    { "system/rootCaPath", "/etc/pump/root ca.pem" },
    { "system/rootPath", "/srv/greengrass" },
    { "system/thingName", "pump-12" },
    { "services/aws.greengrass.NucleusLite/componentType", "NUCLEUS" },
    { "services/aws.greengrass.NucleusLite/configuration/awsRegion", "eu-central-1" },
    { "services/aws.greengrass.NucleusLite/configuration/iotCredEndpoint",
      "xyz.credentials.iot.eu-central-1.amazonaws.com" },
    { "services/aws.greengrass.NucleusLite/configuration/iotDataEndpoint",
      "abc-ats.iot.eu-central-1.amazonaws.com" },
    { "services/aws.greengrass.NucleusLite/configuration/iotRoleAlias", "PumpRole" },
    { "services/aws.greengrass.NucleusLite/configuration/runWithDefault/posixUser",
      "ggcore:ggcore" },
    { "services/aws.greengrass.NucleusLite/configuration/greengrassDataPlanePort", "8443" },
  };
  g_autoptr (GreengrassParams) params = new_full_params ();
  g_autofree char *text = render (GREENGRASS_LITE, params);
  g_autoptr (GHashTable) table = parse_yaml (text);

  assert_table (table, expected, G_N_ELEMENTS (expected));
  g_assert_null (strstr (text, "secretpin"));
}

static void
test_lite_certificate_file (void)
{
  g_autoptr (GreengrassParams) params = new_params ();
  g_autofree char *text = NULL;
  g_autoptr (GHashTable) table = NULL;

  params->certificate_path = g_strdup ("/etc/greengrass/device.pem");
  g_clear_pointer (&params->pin, g_free);
  text = render (GREENGRASS_LITE, params);
  table = parse_yaml (text);
  g_assert_cmpstr (g_hash_table_lookup (table, "system/certificateFilePath"), ==,
                   "/etc/greengrass/device.pem");
}

/* ---- all ---- */

static void
test_refused (void)
{
  g_autoptr (GreengrassParams) params = new_params ();
  g_autoptr (GError) error = NULL;

  params->thing_name = g_strdup ("a\nb");
  g_assert_null (greengrass_render (GREENGRASS_LITE, params, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_assert_nonnull (strstr (error->message, "thing-name"));
  g_clear_error (&error);

  g_free (params->thing_name);
  params->thing_name = g_strdup ("\xff");
  g_assert_null (greengrass_render (GREENGRASS_LITE, params, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);

  g_clear_pointer (&params->thing_name, g_free);
  params->root_ca_path = g_strdup ("relative.pem");
  g_assert_null (greengrass_render (GREENGRASS_V1, params, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_assert_nonnull (strstr (error->message, "root-ca-path"));
  g_clear_error (&error);

  g_clear_pointer (&params->root_ca_path, g_free);
  g_clear_pointer (&params->pin, g_free);
  g_assert_null (greengrass_render (GREENGRASS_V1, params, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED);
  g_clear_error (&error);
  g_assert_null (greengrass_render (GREENGRASS_V2, params, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED);
}

static void
test_flavours (void)
{
  GreengrassFlavour flavour = GREENGRASS_V1;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  g_autofree char *drop_in = NULL;

  g_assert_true (greengrass_flavour_from_string ("lite", &flavour, &error));
  g_assert_no_error (error);
  g_assert_cmpint (flavour, ==, GREENGRASS_LITE);
  path = greengrass_make_default_path (flavour, NULL);
  g_assert_cmpstr (path, ==, "/etc/greengrass/config.yaml");
  drop_in = greengrass_make_default_path (GREENGRASS_DROP_IN, "pump.service");
  g_assert_cmpstr (drop_in, ==, "/etc/systemd/system/pump.service.d/ggtpm.conf");
  g_assert_false (greengrass_needs_pin (flavour));
  g_assert_false (greengrass_flavour_from_string ("V1", &flavour, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_assert_nonnull (strstr (error->message, "v1, v2, lite"));
  g_assert_cmpint (flavour, ==, GREENGRASS_LITE);
}

/* An error of libyaml does not get lost on the way to finish(). */
static void
test_yaml_writer_error (void)
{
  g_autoptr (YamlWriter) writer = yaml_writer_new ("# test\n");
  g_autoptr (GError) error = NULL;

  yaml_writer_add_string (writer, "bad", "\xff\xfe");
  yaml_writer_add_string (writer, "good", "value");
  g_assert_null (yaml_writer_finish (writer, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED);
}

static void
test_yaml_writer_too_long (void)
{
  g_autoptr (YamlWriter) writer = yaml_writer_new ("# test\n");
  g_autofree char *value = g_strnfill (80 * 1024, 'x');
  g_autoptr (GError) error = NULL;

  yaml_writer_add_string (writer, "long", value);
  g_assert_null (yaml_writer_finish (writer, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/greengrass/v1/full", test_v1_full);
  g_test_add_func ("/greengrass/v1/placeholders", test_v1_placeholders);
  g_test_add_func ("/greengrass/v1/odd-values", test_v1_odd_values);
  g_test_add_func ("/greengrass/v1/regions", test_regions);
  g_test_add_func ("/greengrass/v2/full", test_v2_full);
  g_test_add_func ("/greengrass/v2/placeholders", test_v2_placeholders);
  g_test_add_func ("/greengrass/v2/pins", test_v2_pins);
  g_test_add_func ("/greengrass/v2/refused", test_v2_refused);
  g_test_add_func ("/greengrass/lite/full", test_lite_full);
  g_test_add_func ("/greengrass/lite/certificate-file", test_lite_certificate_file);
  g_test_add_func ("/greengrass/refused", test_refused);
  g_test_add_func ("/greengrass/flavours", test_flavours);
  g_test_add_func ("/greengrass/yaml-writer/error", test_yaml_writer_error);
  g_test_add_func ("/greengrass/yaml-writer/too-long", test_yaml_writer_too_long);
  return g_test_run ();
}
