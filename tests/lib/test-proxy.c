/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "test-proxy.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TIMEOUT_US (20 * G_USEC_PER_SEC)

struct _TestProxy
{
  char *socket;
  char *tcti;
  char *rules;
  GPid pid;
};

int
test_proxy_connect (gpointer data, GError **error)
{
  TestProxy *proxy = data;
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (fd, >=, 0);
  g_strlcpy (address.sun_path, proxy->socket, sizeof (address.sun_path));
  if (connect (fd, (struct sockaddr *)&address, sizeof (address)) == 0)
    return fd;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED, "%s: no proxy", proxy->socket);
  g_close (fd, NULL);
  return -1;
}

static void
wait_for_socket (TestProxy *proxy)
{
  gint64 deadline = g_get_monotonic_time () + START_TIMEOUT_US;
  int fd;

  while ((fd = test_proxy_connect (proxy, NULL)) < 0)
    {
      g_assert_cmpint (waitpid (proxy->pid, NULL, WNOHANG), ==, 0);
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      g_usleep (5000);
    }
  g_close (fd, NULL);
}

TestProxy *
test_proxy_new (TestSwtpm *swtpm)
{
  TestProxy *proxy = g_new0 (TestProxy, 1);
  g_autoptr (GError) error = NULL;
  g_autofree char *control = NULL;
  g_autofree char *upstream_control = g_strconcat (test_swtpm_get_socket (swtpm), ".ctrl", NULL);
  const char *program = g_getenv ("TPM_PROXY");

  g_assert_nonnull (program);
  proxy->socket = g_build_filename (test_swtpm_get_dir (swtpm), "p", NULL);
  proxy->rules = g_build_filename (test_swtpm_get_dir (swtpm), "p.rules", NULL);
  proxy->tcti = g_strconcat ("swtpm:path=", proxy->socket, NULL);
  control = g_strconcat (proxy->socket, ".ctrl", NULL);
  g_assert_cmpint (symlink (upstream_control, control), ==, 0);
  g_spawn_async (NULL,
                 (char *[]){ (char *)program, (char *)test_swtpm_get_socket (swtpm), proxy->socket,
                             proxy->rules, NULL },
                 NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &proxy->pid, &error);
  g_assert_no_error (error);
  wait_for_socket (proxy);
  return proxy;
}

void
test_proxy_free (TestProxy *proxy)
{
  g_autofree char *control = g_strconcat (proxy->socket, ".ctrl", NULL);

  kill (proxy->pid, SIGKILL);
  g_assert_cmpint (waitpid (proxy->pid, NULL, 0), ==, proxy->pid);
  g_unlink (proxy->socket);
  g_unlink (control);
  g_unlink (proxy->rules);
  g_free (proxy->socket);
  g_free (proxy->tcti);
  g_free (proxy->rules);
  g_free (proxy);
}

void
test_proxy_set_rules (TestProxy *proxy, const char *rules)
{
  g_assert_true (g_file_set_contents (proxy->rules, rules, -1, NULL));
}

const char *
test_proxy_get_tcti (TestProxy *proxy)
{
  return proxy->tcti;
}
