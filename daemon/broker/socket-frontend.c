/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "socket-frontend.h"

#include "common/notify.h"
#include "dbus/names.h"

#include <errno.h>
#include <glib-unix.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

typedef struct
{
  char *path;
  gboolean made; /* by us: */
  dev_t dev;
  ino_t ino;
} SocketFile;

struct _SocketFrontend
{
  SocketFile internal;
  SocketFile public;
  int refused_fd; /* systemd's listener in mode alongside; -1: none */
  guint refused_source;
};

static gboolean
fail (GError **error, const char *what, const char *path)
{
  int code = errno;

  g_set_error (error, G_IO_ERROR, (gint)g_io_error_from_errno (code), "cannot %s %s: %s", what,
               path, g_strerror (code));
  return FALSE;
}

static void
give_to_group (const char *path, const char *group)
{
  struct group *entry = getgrnam (group);

  if (entry == NULL)
    g_message ("there is no group %s: %s is ours alone", group, path);
  else if (chown (path, (uid_t)-1, entry->gr_gid) != 0)
    g_message ("cannot give %s to group %s: %s", path, group, g_strerror (errno));
}

/* A socket that is in nobody's way until its mode is right: made under another name, then renamed. */
static int
make_socket (const char *path, mode_t mode, const char *group, GError **error)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_autofree char *temporary = g_strdup_printf ("%s.new", path);
  int fd;

  if (strlen (temporary) >= sizeof address.sun_path)
    {
      errno = ENAMETOOLONG;
      fail (error, "make", path);
      return -1;
    }
  memcpy (address.sun_path, temporary, strlen (temporary));
  unlink (temporary);
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    {
      fail (error, "make", path);
      return -1;
    }
  if (bind (fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
      chmod (temporary, 0600) != 0)
    {
      fail (error, "make", path);
      close (fd);
      return -1;
    }
  if (group != NULL)
    give_to_group (temporary, group);
  if (chmod (temporary, mode) != 0 || listen (fd, BACKLOG) != 0 || rename (temporary, path) != 0)
    {
      fail (error, "make", path);
      close (fd);
      return -1;
    }
  return fd;
}

/* Makes a socket, notes its file, and hands it to the broker. */
static gboolean
listen_at (Broker *broker,
           BrokerListener listener,
           mode_t mode,
           const char *group,
           SocketFile *file,
           GError **error)
{
  struct stat status;
  int fd = make_socket (file->path, mode, group, error);

  if (fd < 0)
    return FALSE;
  file->made = stat (file->path, &status) == 0;
  file->dev = status.st_dev;
  file->ino = status.st_ino;
  broker_listen (broker, fd, listener);
  return TRUE;
}

static void
remove_file (SocketFile *file)
{
  struct stat status;

  if (file->made && stat (file->path, &status) == 0 && status.st_dev == file->dev &&
      status.st_ino == file->ino && unlink (file->path) != 0)
    g_message ("cannot remove %s: %s", file->path, g_strerror (errno));
  g_free (file->path);
}

static gboolean
on_refused_client (gint fd, GIOCondition condition, gpointer user_data)
{
  int client = accept4 (fd, NULL, NULL, SOCK_CLOEXEC);

  if (client >= 0)
    close (client);
  return G_SOURCE_CONTINUE;
}

/* systemd listens on, whatever we do: a client that nobody takes would wait for ever. */
static void
refuse_clients (SocketFrontend *frontend)
{
  int fd = notify_take_listen_fd (GGTPM_SOCKET_NAME);

  frontend->refused_fd = fd;
  if (fd < 0)
    return;
  /* systemd's blocks, and a client may be gone when it is accepted */
  (void)!g_unix_set_fd_nonblocking (fd, TRUE, NULL);
  frontend->refused_source = g_unix_fd_add (fd, G_IO_IN, on_refused_client, NULL);
}

SocketFrontend *
socket_frontend_new (Broker *broker, const Config *config, const char *group, GError **error)
{
  g_autoptr (SocketFrontend) frontend = g_new0 (SocketFrontend, 1);
  int fd;

  frontend->refused_fd = -1;
  frontend->internal.path =
      g_build_filename (config->runtime_dir, GGTPM_INTERNAL_SOCKET_NAME, NULL);
  frontend->public.path = g_build_filename (config->runtime_dir, GGTPM_SOCKET_NAME, NULL);
  if (!listen_at (broker, BROKER_LISTENER_INTERNAL, 0600, NULL, &frontend->internal, error))
    return NULL;
  if (config->mode == CONFIG_MODE_ALONGSIDE)
    {
      refuse_clients (frontend);
      return g_steal_pointer (&frontend);
    }
  fd = notify_take_listen_fd (GGTPM_SOCKET_NAME);
  if (fd >= 0)
    broker_listen (broker, fd, BROKER_LISTENER_PUBLIC);
  else if (!listen_at (broker, BROKER_LISTENER_PUBLIC, 0660, group, &frontend->public, error))
    return NULL;
  return g_steal_pointer (&frontend);
}

void
socket_frontend_free (SocketFrontend *frontend)
{
  remove_file (&frontend->public);
  remove_file (&frontend->internal);
  g_clear_handle_id (&frontend->refused_source, g_source_remove);
  if (frontend->refused_fd >= 0)
    close (frontend->refused_fd);
  g_free (frontend);
}
