/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "dbus/error.h"
#include "provision/plan.h"

#include <glib/gstdio.h>
#include <string.h>

static Plan *
load (const char *text, GError **error)
{
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("plan.XXXXXX", &path, NULL);
  Plan *plan;

  g_assert_cmpint (fd, >=, 0);
  g_close (fd, NULL);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  plan = plan_load (path, error);
  if (error != NULL && *error != NULL)
    g_assert_nonnull (strstr ((*error)->message, path));
  g_remove (path);
  return plan;
}

static PlanKey *
get_key (const Plan *plan, guint index)
{
  g_assert_cmpuint (plan->keys->len, >, index);
  return plan->keys->pdata[index];
}

static void
test_defaults (void)
{
  g_autoptr (Plan) plan = plan_new ();
  PlanKey *key = get_key (plan, 0);
  g_autofree char *subject = plan_key_dup_subject (key);
  g_autoptr (GError) error = NULL;

  g_assert_cmpstr (plan->token, ==, "greengrass");
  g_assert_cmpuint (plan->keys->len, ==, 1);
  g_assert_cmpstr (key->label, ==, "greenkey");
  g_assert_cmpstr (key->algorithm, ==, "ecc-p256");
  g_assert_cmpstr (subject, ==, "CN=greenkey");
  g_assert_null (plan_key_dup_extensions (key));
  g_assert_false (plan_key_is_self_signed (key));
  g_assert_null (plan_key_get_certificate_path (key));
  g_assert_null (plan->greengrass);
  g_assert_true (plan->exclusive);
  g_assert_false (plan->declared);
  g_assert_null (plan->pin);
  g_assert_null (plan->so_pin);
  g_assert_true (plan_check (plan, &error));
  g_assert_no_error (error);
}

static void
test_file (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Plan) plan = load ("# a comment\n"
                                "[Token]\nLabel=pump token \nPinReaders=user:root group:tss\n"
                                "PinCredential=a\nSoPinCredential=b\n"
                                "[Key pump]\nAlgorithm=rsa-2048\n"
                                "Subject=CN=pump\\, 12,O=Pumps\nCertificate=self-signed\n"
                                "SelfSignedDays=10\nRequest=/a/pump.csr\n"
                                "[Key a b]\nAltNames= DNS:x  IP:::1 \nKeyUsage=keyAgreement\n"
                                "ExtKeyUsage=clientAuth\nCertificate=/a/b.pem\n"
                                "[Greengrass]\nWrite=v2 lite\nKey=a b\nThingName=core\n"
                                "Region=eu-central-1\nV2Path=/b/v2\nGroup=tss\n"
                                "MakeDirectories=yes\n",
                                &error);
  g_autofree char *subject = NULL;
  g_autofree char *extensions = NULL;
  PlanKey *key;

  g_assert_no_error (error);
  g_assert_true (plan->declared);
  g_assert_cmpstr (plan->token, ==, "pump token");
  g_assert_cmpstr (plan->pin_readers[1], ==, "group:tss");
  g_assert_cmpstr (plan->pin_credential, ==, "a");
  g_assert_cmpstr (plan->so_pin_credential, ==, "b");
  g_assert_cmpuint (plan->keys->len, ==, 2);
  key = get_key (plan, 0);
  g_assert_cmpstr (key->label, ==, "pump");
  g_assert_cmpstr (key->algorithm, ==, "rsa-2048");
  g_assert_cmpstr (key->request_path, ==, "/a/pump.csr");
  g_assert_true (plan_key_is_self_signed (key));
  g_assert_cmpuint (key->days, ==, 10);
  subject = plan_key_dup_subject (key);
  g_assert_cmpstr (subject, ==, "CN=pump\\, 12,O=Pumps");
  key = get_key (plan, 1);
  g_assert_true (plan_find_key (plan, "a b") == key);
  extensions = plan_key_dup_extensions (key);
  g_assert_cmpstr (extensions, ==,
                   "alt-names=DNS:x IP:::1;key-usage=keyAgreement;ext-key-usage=clientAuth");
  g_assert_cmpstr (plan_key_get_certificate_path (key), ==, "/a/b.pem");
  g_assert_cmpstr (plan->greengrass->flavours[1], ==, "lite");
  g_assert_cmpstr (plan->greengrass->thing_name, ==, "core");
  g_assert_cmpstr (plan_greengrass_get_path (plan->greengrass, "v2"), ==, "/b/v2");
  g_assert_null (plan_greengrass_get_path (plan->greengrass, "lite"));
  g_assert_true (plan->greengrass->directories);
}

static void
test_file_in_part (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Plan) plan = load ("[Token]\nLabel=pump\n", &error);

  g_assert_no_error (error);
  g_assert_cmpstr (plan->token, ==, "pump");
  g_assert_cmpuint (plan->keys->len, ==, 1);
  g_assert_cmpstr (get_key (plan, 0)->label, ==, "greenkey");
}

static void
test_file_refused (void)
{
  static const struct
  {
    const char *text;
    const char *named;
    const char *known; /* what there is */
  } cases[] = {
    { "[Tokens]\nLabel=a\n", "[Tokens]", "[Greengrass]" },
    { "[Extra]\n", "[Extra]", "[Key LABEL]" },
    { "[Key]\nAlgorithm=ecc-p256\n", "[Key]", "[Key LABEL]" },
    { "[Token]\nlabel=a\n", "label in [Token]", "PinReaders" },
    { "[Token]\nAlgorithm=ecc-p256\n", "Algorithm in [Token]", "Label" },
    { "[Key k]\nPin=123456\n", "Pin in [Key k]", "AltNames" },
    { "[Key k]\nLabel=k\n", "Label in [Key k]", "Subject" },
    { "[Key k]\nSubject=\n", "Subject in [Key k]", "empty" },
    { "[Key k]\nSubject=\xff\n", "", "" },
    { "[Key a;b]\n", "[Key a;b]", "key" },
    { "[Key ]\n", "[Key ]", "" },
    { "[Token]\nLabel=0123456789012345678901234567890123\n", "", "" },
    { "[Key k]\nAlgorithm=ecc-p384\n", "[Key k]", "ecc-p256" },
    { "[Key k]\nSubject=nonsense\n", "[Key k]", "nonsense" },
    { "[Key k]\nAltNames=x\n", "[Key k]", "DNS:" },
    { "[Key k]\nKeyUsage=signing\n", "signing", "digitalSignature" },
    { "[Key k]\nExtKeyUsage=client\n", "client", "clientAuth" },
    { "[Key k]\nRequest=a.csr\n", "Request in [Key k]", "absolute" },
    { "[Key k]\nCertificate=a.pem\n", "a.pem", "self-signed" },
    { "[Key k]\nSelfSignedDays=0\n", "SelfSignedDays", "1 to" },
    { "[Key k]\nSelfSignedDays=ten\n", "SelfSignedDays", "number" },
    { "[Key k]\nSelfSignedDays=40000\n", "SelfSignedDays", "1 to" },
    { "[Token]\nPinReaders=tss\n", "'tss'", "group:NAME" },
    { "[Token]\nPinReaders=user:\n", "'user:'", "group:NAME" },
    { "[Token]\nPinCredential=../a\n", "../a", "" },
    { "[Greengrass]\n", "Write", "lite" },
    { "[Greengrass]\nWrite=v3\n", "v3", "v2" },
    { "[Greengrass]\nWrite=v2\nKey=none\n", "[Key none]", "Key" },
    { "[Greengrass]\nWrite=v2\nV2Path=a\n", "V2Path", "absolute" },
    { "[Greengrass]\nWrite=v2\nMakeDirectories=1\n", "MakeDirectories", "yes" },
    { "[Greengrass]\nWrite=v2\nEndpoint=x\n", "Endpoint", "DataEndpoint" },
    { "# c\n[Key a]\n\n[Token]\n[Key a]\nAlgorithm=ecc-p256\n", "line 5: [Key a]", "line 2:" },
    { "[Token]\r\nLabel=a\r\n Label = b\r\n", "line 3: Label in [Token]", "line 2:" },
    { "[Key a]\nRequest=/r\n[Key b]\nRequest=/./r\n", "'/./r'", "two things" },
    { "[Key a]\nRequest=/r\nCertificate=/r\n", "'/r'", "two things" },
    { "[Greengrass]\nWrite=v1 v2\nV1Path=/g\nV2Path=/g\n", "'/g'", "two things" },
    { "[Token]\nLabel=a\n# \xe9\n", "line 3", "UTF-8" },
    { "\xef\xbb\xbf[Token]\n", "line 1", "byte order mark" },
    { "Label=a\n", "", "" },
    { "nonsense\n", "", "" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (Plan) plan = load (cases[i].text, &error);

      if (plan != NULL)
        g_error ("<%s> was accepted", cases[i].text);
      g_assert_nonnull (error);
      if (strstr (error->message, cases[i].named) == NULL ||
          strstr (error->message, cases[i].known) == NULL)
        g_error ("<%s>: %s", cases[i].text, error->message);
    }
}

/* A name may be in two groups, and an empty or commented line may be there as often as it likes. */
static void
test_file_not_twice (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Plan) plan =
      load ("#\r\n#\r\n\r\n\r\n[Key a]\r\nSubject=CN=a\r\n[Key b]\r\nSubject=CN=a", &error);

  g_assert_no_error (error);
  g_assert_cmpuint (plan->keys->len, ==, 2);
}

static void
test_file_missing (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (plan_load ("/nonexistent/provision.conf", &error));
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
  g_assert_nonnull (strstr (error->message, "/nonexistent/provision.conf"));
}

/* A label may have what ends a value in a subject: it comes out of the default subject as it is. */
static void
test_subject_of_odd_label (void)
{
  g_autoptr (Plan) plan = plan_new ();
  g_autofree char *subject = NULL;
  g_autoptr (GError) error = NULL;

  g_free (get_key (plan, 0)->label);
  get_key (plan, 0)->label = g_strdup ("#a,b+c\"d<e>f");
  subject = plan_key_dup_subject (get_key (plan, 0));
  g_assert_cmpstr (subject, ==, "CN=\\#a\\,b\\+c\\\"d\\<e\\>f");
  g_assert_true (plan_check (plan, &error));
  g_assert_no_error (error);
}

static void
test_pins (void)
{
  g_autoptr (Plan) plan = plan_new ();
  g_autofree char *text = g_strnfill (129, 'x');
  g_autoptr (GError) error = NULL;

  plan->pin = secret_new ("", 0);
  g_assert_false (plan_check (plan, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  secret_free (plan->pin);
  plan->pin = secret_new (text, 128);
  plan->so_pin = secret_new (text, 129);
  g_assert_false (plan_check (plan, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_assert_nonnull (strstr (error->message, "SO PIN"));
  g_assert_null (strstr (error->message, "xxx"));
  g_clear_error (&error);
  secret_free (plan->so_pin);
  plan->so_pin = secret_new ("\xff", 1);
  g_assert_false (plan_check (plan, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  secret_free (plan->so_pin);
  plan->so_pin = secret_new (text, 1);
  g_assert_true (plan_check (plan, &error));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/defaults", test_defaults);
  g_test_add_func ("/plan/file", test_file);
  g_test_add_func ("/plan/file-in-part", test_file_in_part);
  g_test_add_func ("/plan/file-refused", test_file_refused);
  g_test_add_func ("/plan/file-not-twice", test_file_not_twice);
  g_test_add_func ("/plan/file-missing", test_file_missing);
  g_test_add_func ("/plan/subject-of-odd-label", test_subject_of_odd_label);
  g_test_add_func ("/plan/pins", test_pins);
  return g_test_run ();
}
