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

static void
test_defaults (void)
{
  g_autoptr (Plan) plan = plan_new ();
  g_autofree char *subject = plan_dup_subject (plan);
  g_autoptr (GError) error = NULL;

  g_assert_cmpstr (plan->token, ==, "greengrass");
  g_assert_cmpstr (plan->key, ==, "greenkey");
  g_assert_cmpstr (plan->algorithm, ==, "ecc-p256");
  g_assert_cmpstr (subject, ==, "CN=greenkey");
  g_assert_true (plan->exclusive);
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
                                "[Token]\nLabel=pump token \n"
                                "[Key]\nLabel = pump\nAlgorithm=rsa-2048\n"
                                "Subject=CN=pump\\, 12,O=Pumps\n",
                                &error);
  g_autofree char *subject = NULL;

  g_assert_no_error (error);
  g_assert_cmpstr (plan->token, ==, "pump token");
  g_assert_cmpstr (plan->key, ==, "pump");
  g_assert_cmpstr (plan->algorithm, ==, "rsa-2048");
  subject = plan_dup_subject (plan);
  g_assert_cmpstr (subject, ==, "CN=pump\\, 12,O=Pumps");
}

static void
test_file_in_part (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Plan) plan = load ("[Key]\nLabel=pump\n", &error);
  g_autofree char *subject = NULL;

  g_assert_no_error (error);
  g_assert_cmpstr (plan->token, ==, "greengrass");
  subject = plan_dup_subject (plan);
  g_assert_cmpstr (subject, ==, "CN=pump");
}

static void
test_file_refused (void)
{
  static const struct
  {
    const char *text;
    const char *named;
  } cases[] = {
    { "[Tokens]\nLabel=a\n", "[Tokens]" },
    { "[Extra]\n", "[Extra]" },
    { "[Token]\nlabel=a\n", "label in [Token]" },
    { "[Token]\nAlgorithm=ecc-p256\n", "Algorithm in [Token]" },
    { "[Key]\nPin=123456\n", "Pin in [Key]" },
    { "[Key]\nLabel=\n", "Label in [Key]" },
    { "[Key]\nLabel=\xff\n", "" },
    { "[Key]\nLabel=a;b\n", "key" },
    { "[Token]\nLabel=0123456789012345678901234567890123\n", "" },
    { "[Key]\nAlgorithm=ecc-p384\n", "ecc-p384" },
    { "[Key]\nSubject=nonsense\n", "nonsense" },
    { "Label=a\n", "" },
    { "nonsense\n", "" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (Plan) plan = load (cases[i].text, &error);

      if (plan != NULL)
        g_error ("<%s> was accepted", cases[i].text);
      g_assert_nonnull (error);
      if (strstr (error->message, cases[i].named) == NULL)
        g_error ("<%s>: %s", cases[i].text, error->message);
    }
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

  g_free (plan->key);
  plan->key = g_strdup ("#a,b+c\"d<e>f");
  subject = plan_dup_subject (plan);
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
  g_test_add_func ("/plan/file-missing", test_file_missing);
  g_test_add_func ("/plan/subject-of-odd-label", test_subject_of_odd_label);
  g_test_add_func ("/plan/pins", test_pins);
  return g_test_run ();
}
