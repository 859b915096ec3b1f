/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* daemon/greengrass/records.c: what comes back from the file, how many there may be, and a damaged file. */

#include "dbus/error.h"
#include "greengrass/records.h"

#include <glib/gstdio.h>

static Record *
new_record (const char *path, GreengrassFlavour flavour)
{
  Record *record = g_new0 (Record, 1);

  record->path = g_strdup (path);
  record->flavour = flavour;
  record->params = g_new0 (GreengrassParams, 1);
  return record;
}

typedef struct
{
  char *dir;
  char *path;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->dir = g_dir_make_tmp ("ggtpm-XXXXXX", NULL);
  fixture->path = g_build_filename (fixture->dir, "configs.json", NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_unlink (fixture->path);
  g_assert_cmpint (g_rmdir (fixture->dir), ==, 0);
  g_free (fixture->path);
  g_free (fixture->dir);
}

static void
test_round_trip (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) records = records_load (fixture->dir, &error);
  g_autoptr (GPtrArray) again = NULL;
  Record *record = new_record ("/etc/b", GREENGRASS_V2);

  g_assert_no_error (error);
  g_assert_cmpuint (records->len, ==, 0);
  record->params->thing_name = g_strdup ("pump \"1\" \xc3\xbc");
  record->params->region = g_strdup ("eu-central-1");
  /* what is secret or the daemon's own is not kept */
  record->params->pin = g_strdup ("secretpin");
  record->params->pin_source = g_strdup ("/pins/greengrass.user");
  g_assert_true (records_put (records, record, &error));
  g_assert_true (records_put (records, new_record ("/etc/a", GREENGRASS_V1), &error));
  g_assert_true (records_put (records, new_record ("/etc/a", GREENGRASS_P11_KIT), &error));
  g_assert_true (records_save (records, fixture->dir, &error));
  g_assert_no_error (error);

  again = records_load (fixture->dir, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (again->len, ==, 2);
  g_assert_cmpstr (((Record *)again->pdata[0])->path, ==, "/etc/a");
  g_assert_cmpint (((Record *)again->pdata[0])->flavour, ==, GREENGRASS_P11_KIT);
  record = records_find (again, "/etc/b");
  g_assert_cmpint (record->flavour, ==, GREENGRASS_V2);
  g_assert_cmpstr (record->params->thing_name, ==, "pump \"1\" \xc3\xbc");
  g_assert_cmpstr (record->params->region, ==, "eu-central-1");
  g_assert_null (record->params->pin);
  g_assert_null (record->params->pin_source);
  g_assert_null (record->params->token);

  g_assert_true (records_remove (again, "/etc/b"));
  g_assert_false (records_remove (again, "/etc/b"));
  g_assert_null (records_find (again, "/etc/b"));
}

static void
test_limit (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) records = records_load (fixture->dir, NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < RECORDS_MAX; i++)
    {
      g_autofree char *path = g_strdup_printf ("/etc/%u", i);

      g_assert_true (records_put (records, new_record (path, GREENGRASS_LITE), &error));
    }
  g_assert_true (records_put (records, new_record ("/etc/7", GREENGRASS_V2), &error));
  g_assert_false (records_put (records, new_record ("/etc/more", GREENGRASS_V2), &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_assert_cmpuint (records->len, ==, RECORDS_MAX);
}

static void
test_damaged (Fixture *fixture, gconstpointer data)
{
  static const char *const texts[] = {
    "",
    "{",
    "[]",
    "{\"version\": 2, \"configs\": []}",
    "{\"version\": 1}",
    "{\"version\": 1, \"configs\": [7]}",
    "{\"version\": 1, \"configs\": [{\"path\": \"/a\", \"flavour\": \"v3\", \"options\": {}}]}",
    "{\"version\": 1, \"configs\": [{\"path\": \"/a\", \"flavour\": \"v1\"}]}",
    "{\"version\": 1, \"configs\": [{\"path\": 1, \"flavour\": \"v1\", \"options\": {}}]}",
    "{\"version\": 1, \"configs\": [{\"path\": \"/a\", \"flavour\": \"v1\", \"options\": "
    "{\"pin-source\": \"/b\"}}]}",
    "{\"version\": 1, \"configs\": [{\"path\": \"/a\", \"flavour\": \"v1\", \"options\": "
    "{\"key\": 1}}]}",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_true (g_file_set_contents (fixture->path, texts[i], -1, NULL));
      g_assert_null (records_load (fixture->dir, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE);
      g_assert_nonnull (strstr (error->message, fixture->path));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/records/round-trip", Fixture, NULL, set_up, test_round_trip, tear_down);
  g_test_add ("/records/limit", Fixture, NULL, set_up, test_limit, tear_down);
  g_test_add ("/records/damaged", Fixture, NULL, set_up, test_damaged, tear_down);
  return g_test_run ();
}
