/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "test-bed.h"

#include "broker/socket-frontend.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>

static const char *
get_path (const char *variable)
{
  const char *path = g_getenv (variable);

  if (path == NULL)
    g_error ("%s is not set: run this by meson test", variable);
  return path;
}

static void
on_state (BrokerState state,
          BrokerFault fault,
          const char *reason,
          gboolean tpm_was_reset,
          gpointer user_data)
{
  TestBed *bed = user_data;

  g_test_message ("broker: state %d, fault %d, %s", (int)state, (int)fault, reason);
  bed->state = state;
  if (tpm_was_reset)
    broker_release (bed->broker);
}

static int
connect_broker (gpointer user_data, GError **error)
{
  TestBed *bed = user_data;

  return broker_connect (bed->broker, error);
}

static char *
make_directory (TestBed *bed, const char *name)
{
  char *path = g_build_filename (test_swtpm_get_dir (bed->swtpm), name, NULL);

  g_assert_cmpint (g_mkdir_with_parents (path, 0755), ==, 0);
  return path;
}

static void
set_text (char **place, char *text)
{
  g_free (*place);
  *place = text;
}

void
test_bed_wait (TestBed *bed, gboolean ready)
{
  while ((bed->state == BROKER_STATE_READY) != ready)
    g_main_context_iteration (NULL, TRUE);
}

TestBed *
test_bed_new (void)
{
  TestBed *bed = g_new0 (TestBed, 1);
  g_autofree char *none = NULL;
  g_autoptr (GError) error = NULL;

  signal (SIGPIPE, SIG_IGN);
  bed->swtpm = test_swtpm_new ();
  none = g_build_filename (test_swtpm_get_dir (bed->swtpm), "none.conf", NULL);
  g_assert_true (g_file_set_contents (none, "", 0, NULL));
  bed->config = config_load (none, &error);
  g_assert_no_error (error);
  set_text (&bed->config->tcti, g_strdup (test_swtpm_get_tcti (bed->swtpm)));
  set_text (&bed->config->state_dir, make_directory (bed, "state"));
  set_text (&bed->config->runtime_dir, make_directory (bed, "run"));
  set_text (&bed->config->tabrmd_name, NULL);
  set_text (&bed->config->token_helper, g_strdup (get_path ("GGTPM_TOKEN_HELPER")));
  set_text (&bed->config->tcti_module, g_strdup (get_path ("GGTPM_TCTI_MODULE")));

  bed->broker = broker_new (bed->config, on_state, bed);
  bed->sockets = socket_frontend_new (bed->broker, bed->config, "tss", &error);
  g_assert_no_error (error);
  broker_release (bed->broker);
  test_bed_wait (bed, TRUE);
  bed->tpm = tpm_new (connect_broker, bed);
  return bed;
}

void
test_bed_free (TestBed *bed)
{
  tpm_free (bed->tpm);
  socket_frontend_free (bed->sockets);
  broker_free (bed->broker);
  config_free (bed->config);
  test_swtpm_free (bed->swtpm);
  g_free (bed);
}

/* The broker sees that the chip is gone at the next command. */
static void
notice_loss (TestBed *bed)
{
  g_free (tpm_get_random (bed->tpm, 1, NULL));
  tpm_disconnect (bed->tpm);
  test_bed_wait (bed, FALSE);
}

void
test_bed_power_cycle (TestBed *bed)
{
  test_swtpm_kill (bed->swtpm);
  notice_loss (bed);
  test_swtpm_start (bed->swtpm);
  test_bed_wait (bed, TRUE);
}

void
test_bed_replace_chip (TestBed *bed)
{
  g_autofree char *state =
      g_build_filename (test_swtpm_get_dir (bed->swtpm), "tpm2-00.permall", NULL);

  test_swtpm_kill (bed->swtpm);
  notice_loss (bed);
  g_assert_cmpint (g_unlink (state), ==, 0);
  test_swtpm_start (bed->swtpm);
  test_bed_wait (bed, TRUE);
}

char *
test_bed_get_tcti (TestBed *bed)
{
  return g_strdup_printf ("%s:path=%s/tpm.sock", bed->config->tcti_module,
                          bed->config->runtime_dir);
}

char *
test_bed_run (TestBed *bed, const char *const *argv)
{
  g_autoptr (GSubprocessLauncher) launcher =
      g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autofree char *tcti = test_bed_get_tcti (bed);
  g_autofree char *store = g_build_filename (bed->config->state_dir, "pkcs11", NULL);
  g_autofree char *command = g_strjoinv (" ", (char **)argv);
  g_autofree char *complaints = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  char *output = NULL;

  g_subprocess_launcher_setenv (launcher, "TPM2_PKCS11_STORE", store, TRUE);
  g_subprocess_launcher_setenv (launcher, "TPM2_PKCS11_TCTI", tcti, TRUE);
  g_subprocess_launcher_setenv (launcher, "TPM2TOOLS_TCTI", tcti, TRUE);
  process = g_subprocess_launcher_spawnv (launcher, argv, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_communicate_utf8 (process, NULL, NULL, &output, &complaints, &error));
  if (!g_subprocess_get_successful (process))
    g_error ("%s: status %d\n%s%s", command, g_subprocess_get_status (process), output, complaints);
  g_test_message ("%s\n%s%s", command, output, complaints);
  return output;
}
