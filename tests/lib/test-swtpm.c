/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "test-swtpm.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define START_TIMEOUT_US (20 * G_USEC_PER_SEC)
#define TPM_HEADER_SIZE  10

struct _TestSwtpm
{
  char *dir;
  char *socket;
  char *tcti;
  char *log;
  GPid pid;
};

void
test_swtpm_require (void)
{
  g_autofree char *program = g_find_program_in_path ("swtpm");

  if (program != NULL)
    return;
  g_print ("1..0 # SKIP no swtpm\n");
  exit (77);
}

static int
connect_socket (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int error_code;

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpuint (strlen (path), <, sizeof (address.sun_path));
  g_strlcpy (address.sun_path, path, sizeof (address.sun_path));
  if (connect (fd, (struct sockaddr *)&address, sizeof (address)) == 0)
    return fd;
  error_code = errno;
  g_close (fd, NULL);
  errno = error_code;
  return -1;
}

static void
die_with_parent (gpointer parent)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  if (getppid () != GPOINTER_TO_INT (parent))
    _exit (1);
}

static void
wait_for_socket (TestSwtpm *swtpm)
{
  gint64 deadline = g_get_monotonic_time () + START_TIMEOUT_US;
  int fd;

  while ((fd = connect_socket (swtpm->socket)) < 0)
    {
      g_assert_cmpint (waitpid (swtpm->pid, NULL, WNOHANG), ==, 0);
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      g_usleep (5000);
    }
  g_close (fd, NULL);
}

void
test_swtpm_start (TestSwtpm *swtpm)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *server = g_strdup_printf ("type=unixio,path=%s", swtpm->socket);
  g_autofree char *control_path = g_strconcat (swtpm->socket, ".ctrl", NULL);
  g_autofree char *control = g_strdup_printf ("type=unixio,path=%s", control_path);
  g_autofree char *state = g_strdup_printf ("dir=%s", swtpm->dir);
  g_autofree char *log = g_strdup_printf ("file=%s,level=20,truncate", swtpm->log);
  const char *argv[] = { "swtpm",      "socket",  "--tpm2",
                         "--server",   server,    "--ctrl",
                         control,      "--flags", "not-need-init,startup-clear",
                         "--tpmstate", state,     "--log",
                         log,          NULL };

  g_assert_cmpint (swtpm->pid, ==, 0);
  g_unlink (swtpm->socket);
  g_unlink (control_path);
  g_spawn_async (NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                 die_with_parent, GINT_TO_POINTER (getpid ()), &swtpm->pid, &error);
  g_assert_no_error (error);
  wait_for_socket (swtpm);
}

TestSwtpm *
test_swtpm_new (void)
{
  TestSwtpm *swtpm = g_new0 (TestSwtpm, 1);

  /* Not TMPDIR: a socket's path must fit into 108 bytes. */
  swtpm->dir = g_mkdtemp_full (g_strdup ("/tmp/gg-XXXXXX"), 0700);
  g_assert_nonnull (swtpm->dir);
  swtpm->socket = g_build_filename (swtpm->dir, "s", NULL);
  swtpm->tcti = g_strconcat ("swtpm:path=", swtpm->socket, NULL);
  swtpm->log = g_build_filename (swtpm->dir, "swtpm.log", NULL);
  test_swtpm_start (swtpm);
  return swtpm;
}

void
test_swtpm_kill (TestSwtpm *swtpm)
{
  if (swtpm->pid == 0)
    return;
  kill (swtpm->pid, SIGKILL);
  g_assert_cmpint (waitpid (swtpm->pid, NULL, 0), ==, swtpm->pid);
  swtpm->pid = 0;
}

void
test_swtpm_hold (TestSwtpm *swtpm, gboolean hold)
{
  if (swtpm->pid != 0)
    kill (swtpm->pid, hold ? SIGSTOP : SIGCONT);
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = NULL;
  const char *name;

  if (!g_file_test (path, G_FILE_TEST_IS_SYMLINK))
    dir = g_dir_open (path, 0, NULL);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);

      remove_tree (child);
    }
  g_remove (path);
}

void
test_swtpm_free (TestSwtpm *swtpm)
{
  test_swtpm_kill (swtpm);
  remove_tree (swtpm->dir);
  g_free (swtpm->dir);
  g_free (swtpm->socket);
  g_free (swtpm->tcti);
  g_free (swtpm->log);
  g_free (swtpm);
}

const char *
test_swtpm_get_dir (TestSwtpm *swtpm)
{
  return swtpm->dir;
}

const char *
test_swtpm_get_socket (TestSwtpm *swtpm)
{
  return swtpm->socket;
}

const char *
test_swtpm_get_tcti (TestSwtpm *swtpm)
{
  return swtpm->tcti;
}

int
test_swtpm_connect (gpointer swtpm, GError **error)
{
  TestSwtpm *self = swtpm;
  int fd = connect_socket (self->socket);

  if (fd < 0)
    g_set_error (error, G_IO_ERROR, (gint)g_io_error_from_errno (errno), "%s: %s", self->socket,
                 g_strerror (errno));
  return fd;
}

/*
 * The log has for each command "SWTPM_IO_Read: length 12" and, in the next line, its bytes in hexadecimal, of which
 * 7 to 10 are the command code.
 */
guint
test_swtpm_count (TestSwtpm *swtpm, guint32 command_code)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  guint n = 0;

  g_assert_true (g_file_get_contents (swtpm->log, &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; line[0] != NULL && line[1] != NULL; line++)
    {
      guint byte[TPM_HEADER_SIZE] = { 0 };
      int n_bytes;

      if (strstr (line[0], "SWTPM_IO_Read:") == NULL)
        continue;
      n_bytes = sscanf (line[1], "%x %x %x %x %x %x %x %x %x %x", &byte[0], &byte[1], &byte[2],
                        &byte[3], &byte[4], &byte[5], &byte[6], &byte[7], &byte[8], &byte[9]);
      /* The last line may still be being written. */
      if (n_bytes != TPM_HEADER_SIZE && (line[2] == NULL || line[2][0] == '\0'))
        break;
      g_assert_cmpint (n_bytes, ==, TPM_HEADER_SIZE);
      if (command_code == 0 ||
          command_code == (byte[6] << 24 | byte[7] << 16 | byte[8] << 8 | byte[9]))
        n++;
    }
  return n;
}
