/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* common/config.c: defaults, every kind of value, every kind of mistake named. */

#include "common/config.h"

#include <glib/gstdio.h>

#include "dbus/error.h"

static Config *
load (const char *text, GError **error)
{
  g_autofree char *path = NULL;
  Config *config;
  int fd = g_file_open_tmp ("config.XXXXXX", &path, NULL);

  g_assert_cmpint (fd, >=, 0);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  config = config_load (path, error);
  g_close (fd, NULL);
  g_unlink (path);
  return config;
}

static void
test_defaults (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Config) config = load ("", &error);

  g_assert_no_error (error);
  g_assert_cmpint (config->mode, ==, CONFIG_MODE_REPLACE);
  g_assert_cmpstr (config->tcti, ==, "device:/dev/tpm0");
  g_assert_cmpstr (config->state_dir, ==, "/var/lib/ggtpm");
  g_assert_cmpstr (config->tabrmd_name, ==, "com.intel.tss2.Tabrmd");
  g_assert_cmpuint (config->idle_evict_ms, ==, 100);
  g_assert_cmpuint (config->max_objects, ==, 28);
  g_assert_true (config->reset_lockout);
  g_assert_true (config->send_shutdown);
  g_assert_cmpuint (config->lockout_reset_interval_s, ==, 3600);
  g_assert_true (config->flush_leaked);
  g_assert_true (config->run_self_test);
}

static void
test_values (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Config) config =
      load ("[Daemon]\nMode=alongside\nTcti=tabrmd\n"
            "[Broker]\nIdleEvictMs=7\nTabrmdName=\n"
            "[Health]\nResetLockout=false\nSendShutdown=false\nPollIntervalSec=0\n"
            "LockoutResetIntervalSec=60\nFlushLeaked=false\nRunSelfTest=false\n",
            &error);

  g_assert_no_error (error);
  g_assert_cmpint (config->mode, ==, CONFIG_MODE_ALONGSIDE);
  g_assert_cmpstr (config->tcti, ==, "tabrmd");
  g_assert_cmpuint (config->idle_evict_ms, ==, 7);
  g_assert_null (config->tabrmd_name);
  g_assert_false (config->reset_lockout);
  g_assert_false (config->send_shutdown);
  g_assert_cmpuint (config->lockout_reset_interval_s, ==, 60);
  g_assert_false (config->flush_leaked);
  g_assert_false (config->run_self_test);
  g_assert_cmpuint (config->poll_interval_s, ==, 0);
}

static void
test_mistakes (void)
{
  static const struct
  {
    const char *text;
    const char *named;
  } rows[] = {
    { "[Broker]\nIdleEvict=1\n", "IdleEvict" },
    { "[Brocker]\nIdleEvictMs=1\n", "Brocker" },
    { "[Broker]\nIdleEvictMs=-1\n", "IdleEvictMs" },
    { "[Broker]\nOpenCommands=Clear Cleer\n", "Cleer" },
    { "[Broker]\nIdleEvictMs=1s\n", "IdleEvictMs" },
    { "[Broker]\nMaxConnections=0\n", "MaxConnections" },
    { "[Daemon]\nMode=Replace\n", "Replace" },
    { "[Daemon]\nStateDirectory=var\n", "var" },
    { "[Health]\nResetLockout=perhaps\n", "ResetLockout" },
    { "[Daemon]\nMode=auto\n[Broker]\n[Daemon]\nTcti=tabrmd\n", "line 4: [Daemon]" },
    { "[Daemon]\nMode=auto\nMode=auto\n", "line 3: Mode in [Daemon]" },
    { "Mode=auto\n", "" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (Config) config = load (rows[i].text, &error);

      g_assert_null (config);
      g_assert_nonnull (error);
      g_assert_nonnull (strstr (error->message, rows[i].named));
    }
}

static void
test_missing (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Config) config = config_load ("/nonexistent/ggtpmd.conf", &error);

  g_assert_null (config);
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/config/defaults", test_defaults);
  g_test_add_func ("/config/values", test_values);
  g_test_add_func ("/config/mistakes", test_mistakes);
  g_test_add_func ("/config/missing", test_missing);
  return g_test_run ();
}
