/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "chip-socket.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BARE_PREFIX        "ggtpm:path="
#define SWTPM_PREFIX       "swtpm:path="
#define CONTROL_SUFFIX     ".ctrl"
#define LOCALITY_UNKNOWN   0xffu
#define SWTPM_SET_LOCALITY 5u

typedef struct
{
  ChipLink link;
  Loop *loop;
  char *path;
  gboolean rests;    /* swtpm */
  LoopWatch data;    /* not while it rests */
  LoopWatch control; /* while swtpm is asked for a locality */
  pid_t peer;        /* who listens at the other end */
  guint8 locality;   /* that the chip is set to */
  guint8 wanted;     /* the one asked for */
  guint8 *held;      /* the command that waits for it */
  gsize held_size;
  gsize have; /* bytes of the answer */
  guint8 answer[COMMAND_MAX_SIZE];
} ChipSocket;

static const char *
find_path (const char *conf)
{
  if (g_str_has_prefix (conf, BARE_PREFIX))
    return conf + strlen (BARE_PREFIX);
  return g_str_has_prefix (conf, SWTPM_PREFIX) ? conf + strlen (SWTPM_PREFIX) : NULL;
}

gboolean
chip_socket_takes (const char *conf)
{
  const char *path = find_path (conf);

  return path != NULL && *path != '\0' && strchr (path, ',') == NULL;
}

/* -1: errno says why; a peer whose queue is full is EAGAIN. */
static int
connect_socket (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd, error;

  if (strlen (path) >= sizeof address.sun_path)
    {
      errno = ENAMETOOLONG;
      return -1;
    }
  memcpy (address.sun_path, path, strlen (path));
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -1;
  if (connect (fd, (const struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  error = errno;
  close (fd);
  errno = error;
  return -1;
}

static void
close_watch (ChipSocket *chip, LoopWatch *watch)
{
  int fd = watch->fd;

  loop_remove (chip->loop, watch);
  if (fd >= 0)
    close (fd);
}

static void
drop_held (ChipSocket *chip)
{
  if (chip->held != NULL)
    explicit_bzero (chip->held, chip->held_size);
  g_clear_pointer (&chip->held, g_free);
}

static TSS2_RC
rc_from_errno (int error)
{
  return error == EPIPE || error == ECONNRESET ? TSS2_TCTI_RC_NO_CONNECTION : TSS2_TCTI_RC_IO_ERROR;
}

/* One command is under way at a time: what the peer does not take at once it does not take. */
static TSS2_RC
send_whole (int fd, const guint8 *data, gsize size)
{
  ssize_t n;

  do
    n = send (fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0)
    return rc_from_errno (errno);
  return (gsize)n == size ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_IO_ERROR;
}

/* Adds to @have; TRY_AGAIN: nothing there. */
static TSS2_RC
receive_some (int fd, guint8 *data, gsize size, gsize *have)
{
  ssize_t n;

  do
    n = recv (fd, data + *have, size - *have, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n > 0)
    {
      *have += (gsize)n;
      return TSS2_RC_SUCCESS;
    }
  if (n == 0)
    return TSS2_TCTI_RC_NO_CONNECTION;
  return errno == EAGAIN ? TSS2_TCTI_RC_TRY_AGAIN : rc_from_errno (errno);
}

/* Locality */

static TSS2_RC
ask_for_locality (ChipSocket *chip, guint8 locality)
{
  g_autofree char *path = g_strconcat (chip->path, CONTROL_SUFFIX, NULL);
  guint8 request[5];
  int fd = connect_socket (path);

  if (fd < 0)
    return TSS2_TCTI_RC_IO_ERROR;
  chip_link_watch (&chip->link, chip->loop, &chip->control, fd, EPOLLIN | EPOLLET);
  if (chip->control.fd < 0)
    {
      close (fd);
      return TSS2_TCTI_RC_IO_ERROR;
    }
  chip->wanted = locality;
  put_be32 (request, SWTPM_SET_LOCALITY);
  request[4] = locality;
  return send_whole (fd, request, sizeof request);
}

/* @out_set: whether swtpm knows that locality */
static TSS2_RC
take_locality (ChipSocket *chip, gboolean *out_set)
{
  guint8 answer[4];
  gsize have = 0;
  TSS2_RC rc = receive_some (chip->control.fd, answer, sizeof answer, &have);

  if (rc == TSS2_TCTI_RC_TRY_AGAIN)
    return rc;
  close_watch (chip, &chip->control);
  *out_set = rc == TSS2_RC_SUCCESS && have == sizeof answer && get_be32 (answer) == 0;
  if (*out_set)
    chip->locality = chip->wanted;
  return TSS2_RC_SUCCESS;
}

/* A command waits for its locality. */
static TSS2_RC
go_on (ChipSocket *chip)
{
  gboolean set;
  TSS2_RC rc = take_locality (chip, &set);

  if (rc != TSS2_RC_SUCCESS)
    return rc;
  chip->link.refused_locality = !set && chip->wanted != 0;
  rc = set ? send_whole (chip->data.fd, chip->held, chip->held_size) : TSS2_TCTI_RC_IO_ERROR;
  drop_held (chip);
  return rc != TSS2_RC_SUCCESS ? rc : TSS2_TCTI_RC_TRY_AGAIN;
}

/* The connection */

static void
rest_socket (ChipLink *link)
{
  ChipSocket *chip = (ChipSocket *)link;

  close_watch (chip, &chip->data);
  link->can_rest = FALSE;
  /* Whoever comes may change it, and goes back to 0. */
  if (chip->locality != 0)
    chip->locality = LOCALITY_UNKNOWN;
}

static pid_t
find_peer (int fd)
{
  struct ucred cred;
  socklen_t len = sizeof cred;

  return getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 ? cred.pid : 0;
}

static int
connect_data (ChipSocket *chip)
{
  int fd = connect_socket (chip->path);

  if (fd < 0)
    return errno;
  chip->peer = find_peer (fd);
  /* Edge-triggered: a peer that has hung up must not spin the loop. */
  chip_link_watch (&chip->link, chip->loop, &chip->data, fd, EPOLLIN | EPOLLET);
  if (chip->data.fd < 0)
    close (fd);
  else
    chip->link.can_rest = chip->rests;
  return 0;
}

/* After a rest. Another process is a chip that has lost its power meanwhile. */
static TSS2_RC
wake_up (ChipSocket *chip)
{
  pid_t peer = chip->peer;
  int error;

  if (chip->data.fd >= 0)
    return TSS2_RC_SUCCESS;
  error = connect_data (chip);
  if (error != 0)
    chip_link_fail_errno (&chip->link, chip->path, error);
  return chip->data.fd >= 0 && chip->peer == peer ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_NO_CONNECTION;
}

/* Commands */

static TSS2_RC
transmit_command (ChipLink *link, const guint8 *command, gsize size, guint8 locality)
{
  ChipSocket *chip = (ChipSocket *)link;

  TSS2_RC rc = wake_up (chip);

  link->refused_locality = FALSE;
  chip->have = 0;
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  if (locality == chip->locality)
    return send_whole (chip->data.fd, command, size);
  if (!link->can_set_locality)
    {
      link->refused_locality = TRUE;
      return TSS2_TCTI_RC_NOT_IMPLEMENTED;
    }
  chip->held = g_memdup2 (command, size);
  chip->held_size = size;
  return ask_for_locality (chip, locality);
}

/* Nothing may follow an answer: nobody has asked for it. */
static TSS2_RC
check_answer (const ChipSocket *chip)
{
  gsize size;

  if (chip->have < COMMAND_HEADER_SIZE)
    return TSS2_TCTI_RC_TRY_AGAIN;
  size = get_be32 (chip->answer + 2);
  if (size < COMMAND_HEADER_SIZE || size > COMMAND_MAX_SIZE || chip->have > size)
    return TSS2_TCTI_RC_MALFORMED_RESPONSE;
  return chip->have == size ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_TRY_AGAIN;
}

static TSS2_RC
receive_answer (ChipLink *link, guint8 *response, gsize *out_size)
{
  ChipSocket *chip = (ChipSocket *)link;
  TSS2_RC rc;

  if (chip->held != NULL)
    return go_on (chip);
  do
    {
      rc = receive_some (chip->data.fd, chip->answer, sizeof chip->answer, &chip->have);
      if (rc == TSS2_RC_SUCCESS)
        rc = check_answer (chip);
      else if (rc == TSS2_TCTI_RC_TRY_AGAIN)
        return rc;
      else if (chip->have > 0)
        rc = TSS2_TCTI_RC_MALFORMED_RESPONSE;
    }
  while (rc == TSS2_TCTI_RC_TRY_AGAIN);
  if (rc == TSS2_RC_SUCCESS)
    {
      memcpy (response, chip->answer, chip->have);
      *out_size = chip->have;
    }
  explicit_bzero (chip->answer, chip->have);
  return rc;
}

static TSS2_RC
cancel_command (ChipLink *link)
{
  return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static void
drop_socket (ChipLink *link)
{
  ChipSocket *chip = (ChipSocket *)link;

  close_watch (chip, &chip->control);
  close_watch (chip, &chip->data);
  drop_held (chip);
  explicit_bzero (chip->answer, sizeof chip->answer);
  chip_link_clear (link);
  g_free (chip->path);
  g_free (chip);
}

static const ChipLinkFuncs socket_funcs = {
  .drop = drop_socket,
  .transmit = transmit_command,
  .receive = receive_answer,
  .cancel = cancel_command,
  .rest = rest_socket,
};

static void
on_data (LoopWatch *watch, guint32 events)
{
  ChipSocket *chip = (ChipSocket *)(gpointer)((char *)watch - G_STRUCT_OFFSET (ChipSocket, data));

  chip->link.awake = TRUE;
  if (chip->link.busy)
    return;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0)
    chip_link_fail_hangup (&chip->link);
  else
    chip_link_fail (&chip->link, BROKER_FAULT_PROTOCOL,
                    g_strdup ("the TPM answers without being asked: check Tcti= in ggtpmd.conf"));
}

static void
on_control (LoopWatch *watch, guint32 events)
{
  ChipSocket *chip =
      (ChipSocket *)(gpointer)((char *)watch - G_STRUCT_OFFSET (ChipSocket, control));

  chip->link.awake = TRUE;
  if (chip->link.opening && take_locality (chip, &chip->link.can_set_locality) == TSS2_RC_SUCCESS)
    chip->link.opening = FALSE;
}

ChipLink *
chip_socket_open (Loop *loop, const char *conf)
{
  ChipSocket *chip = g_new0 (ChipSocket, 1);
  int error;

  chip->link.funcs = &socket_funcs;
  chip->loop = loop;
  chip->path = g_strdup (find_path (conf));
  chip->data = (LoopWatch){ .ready = on_data, .fd = -1 };
  chip->control = (LoopWatch){ .ready = on_control, .fd = -1 };
  chip->rests = g_str_has_prefix (conf, SWTPM_PREFIX);
  error = connect_data (chip);
  if (error != 0)
    chip_link_fail_errno (&chip->link, chip->path, error);
  else if (chip->data.fd >= 0 && chip->rests)
    chip->link.opening = ask_for_locality (chip, 0) == TSS2_RC_SUCCESS;
  return &chip->link;
}
