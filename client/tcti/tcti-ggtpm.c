/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "tcti-ggtpm.h"

#include "frame.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/*
 * No GLib call in here: the module is loaded into programs that know nothing of GLib, and the TCTI's functions must not
 * abort where memory is short.
 */

#define TCTI_MAGIC       0x676774706d746374ULL
#define DEFAULT_SOCKET   "/run/ggtpm/tpm.sock"
#define CONNECT_ANSWER_S 10

typedef enum
{
  STATE_TRANSMIT,
  STATE_RECEIVE,
  STATE_BROKEN, /* the stream is out of step: nothing more can be said on it */
} State;

typedef struct
{
  TSS2_TCTI_CONTEXT_COMMON_V2 common;
  State state;
  int fd;
  struct sockaddr_un address; /* of the broker; sun_family 0: we were given a socket */
  bool id_asked;              /* GET_ID was sent in front of the first command */
  bool id_pending;            /* and its answer is yet to come */
  bool id_known;
  uint8_t id[FRAME_CONNECTION_ID_SIZE];
  int locality; /* -1: not asked for yet */
  size_t have;  /* bytes of the frame that is being read */
  uint8_t frame[FRAME_MAX_SIZE];
} TctiGgtpm;

static uint32_t
get_be32 (const uint8_t *p)
{
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
put_be32 (uint8_t *p, uint32_t value)
{
  p[0] = (uint8_t)(value >> 24);
  p[1] = (uint8_t)(value >> 16);
  p[2] = (uint8_t)(value >> 8);
  p[3] = (uint8_t)value;
}

static bool
is_control (const uint8_t *frame)
{
  return frame[0] == (FRAME_CONTROL_TAG >> 8) && frame[1] == (FRAME_CONTROL_TAG & 0xff);
}

static size_t
put_control (uint8_t *frame, uint32_t code, const void *body, size_t size)
{
  frame[0] = FRAME_CONTROL_TAG >> 8;
  frame[1] = FRAME_CONTROL_TAG & 0xff;
  put_be32 (frame + 2, (uint32_t)(FRAME_HEADER_SIZE + size));
  put_be32 (frame + 6, code);
  if (size > 0)
    memcpy (frame + FRAME_HEADER_SIZE, body, size);
  return FRAME_HEADER_SIZE + size;
}

static int64_t
now_ms (void)
{
  struct timespec ts;

  clock_gettime (CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* @deadline: in now_ms(); negative: for ever */
static TSS2_RC
wait_for (int fd, short events, int64_t deadline)
{
  struct pollfd pfd = { .fd = fd, .events = events };

  for (;;)
    {
      int64_t left = deadline < 0 ? -1 : deadline - now_ms ();
      int timeout = deadline < 0 ? -1 : left <= 0 ? 0 : left > 60000 ? 60000 : (int)left;
      int n = poll (&pfd, 1, timeout);

      if (n > 0)
        return TSS2_RC_SUCCESS;
      if (n < 0 && errno != EINTR)
        return TSS2_TCTI_RC_IO_ERROR;
      if (n == 0 && deadline >= 0 && now_ms () >= deadline)
        return TSS2_TCTI_RC_TRY_AGAIN;
    }
}

static TSS2_RC
send_all (TctiGgtpm *tcti, const uint8_t *data, size_t size, int flags)
{
  while (size > 0)
    {
      ssize_t n = send (tcti->fd, data, size, flags | MSG_NOSIGNAL | MSG_DONTWAIT);

      if (n >= 0)
        {
          data += n;
          size -= (size_t)n;
        }
      else if (errno == EAGAIN)
        {
          TSS2_RC rc = wait_for (tcti->fd, POLLOUT, -1);
          if (rc != TSS2_RC_SUCCESS)
            return rc;
        }
      else if (errno != EINTR)
        return errno == EPIPE || errno == ECONNRESET ? TSS2_TCTI_RC_NO_CONNECTION
                                                     : TSS2_TCTI_RC_IO_ERROR;
    }
  return TSS2_RC_SUCCESS;
}

/* Size of the frame whose header has been read. */
static size_t
frame_size (const TctiGgtpm *tcti)
{
  return get_be32 (tcti->frame + 2);
}

/*
 * Goes on reading the frame until it is complete: TRY_AGAIN leaves what has come for the next call. Nothing follows an
 * answer that was not asked for, so one call takes all there is; without a deadline it is also the one that waits.
 */
static TSS2_RC
read_frame (TctiGgtpm *tcti, int64_t deadline)
{
  const int flags = deadline < 0 ? 0 : MSG_DONTWAIT;

  for (;;)
    {
      size_t want = FRAME_HEADER_SIZE;
      ssize_t n;

      if (tcti->have >= FRAME_HEADER_SIZE)
        {
          want = frame_size (tcti);
          if (want < FRAME_HEADER_SIZE || want > FRAME_MAX_SIZE || tcti->have > want)
            return TSS2_TCTI_RC_MALFORMED_RESPONSE;
          if (tcti->have == want)
            return TSS2_RC_SUCCESS;
        }
      /* The answer to the command stands behind that to GET_ID. */
      if (!tcti->id_pending)
        want = FRAME_MAX_SIZE;
      n = recv (tcti->fd, tcti->frame + tcti->have, want - tcti->have, flags);
      if (n > 0)
        tcti->have += (size_t)n;
      else if (n == 0)
        return TSS2_TCTI_RC_NO_CONNECTION;
      else if (errno == EAGAIN)
        {
          TSS2_RC rc = wait_for (tcti->fd, POLLIN, deadline);
          if (rc != TSS2_RC_SUCCESS)
            return rc;
        }
      else if (errno != EINTR)
        return errno == ECONNRESET ? TSS2_TCTI_RC_NO_CONNECTION : TSS2_TCTI_RC_IO_ERROR;
    }
}

/*
 * The answer to GET_ID; an error in it: there is no id, and no cancelling. A bare TPM answers in its own way, and may
 * have taken the command behind it for a part of the same: its answer would be waited for in vain.
 */
static TSS2_RC
take_id (TctiGgtpm *tcti)
{
  if (!is_control (tcti->frame))
    return TSS2_TCTI_RC_MALFORMED_RESPONSE;
  tcti->id_pending = false;
  tcti->id_known = get_be32 (tcti->frame + 6) == TSS2_RC_SUCCESS &&
                   tcti->have == FRAME_HEADER_SIZE + FRAME_CONNECTION_ID_SIZE;
  if (tcti->id_known)
    memcpy (tcti->id, tcti->frame + FRAME_HEADER_SIZE, FRAME_CONNECTION_ID_SIZE);
  tcti->have = 0;
  return TSS2_RC_SUCCESS;
}

static TSS2_RC
read_answer (TctiGgtpm *tcti, int64_t deadline)
{
  TSS2_RC rc = read_frame (tcti, deadline);

  if (rc == TSS2_RC_SUCCESS && tcti->id_pending)
    {
      rc = take_id (tcti);
      if (rc == TSS2_RC_SUCCESS)
        rc = read_frame (tcti, deadline);
    }
  if (rc != TSS2_RC_SUCCESS && rc != TSS2_TCTI_RC_TRY_AGAIN)
    tcti->state = STATE_BROKEN;
  return rc;
}

static TctiGgtpm *
tcti_from_context (TSS2_TCTI_CONTEXT *context)
{
  TctiGgtpm *tcti = (TctiGgtpm *)context;

  return tcti != NULL && tcti->common.v1.magic == TCTI_MAGIC ? tcti : NULL;
}

static TSS2_RC
bad_state (const TctiGgtpm *tcti)
{
  return tcti->state == STATE_BROKEN ? TSS2_TCTI_RC_NO_CONNECTION : TSS2_TCTI_RC_BAD_SEQUENCE;
}

static TSS2_RC
tcti_transmit (TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command)
{
  TctiGgtpm *tcti = tcti_from_context (context);
  TSS2_RC rc = TSS2_RC_SUCCESS;

  if (tcti == NULL)
    return TSS2_TCTI_RC_BAD_CONTEXT;
  if (command == NULL)
    return TSS2_TCTI_RC_BAD_REFERENCE;
  if (tcti->state != STATE_TRANSMIT)
    return bad_state (tcti);
  if (size < FRAME_HEADER_SIZE || size > FRAME_MAX_SIZE || get_be32 (command + 2) != size)
    return TSS2_TCTI_RC_BAD_VALUE;

  /* Cancelling needs our id, and while a command is under way it is too late to ask. */
  if (!tcti->id_asked && tcti->address.sun_family != 0)
    {
      uint8_t request[FRAME_HEADER_SIZE];

      put_control (request, FRAME_CONTROL_GET_ID, NULL, 0);
      rc = send_all (tcti, request, sizeof request, MSG_MORE);
      tcti->id_asked = true;
      tcti->id_pending = true;
    }
  if (rc == TSS2_RC_SUCCESS)
    rc = send_all (tcti, command, size, 0);
  tcti->state = rc == TSS2_RC_SUCCESS ? STATE_RECEIVE : STATE_BROKEN;
  tcti->have = 0;
  return rc;
}

static TSS2_RC
tcti_receive (TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response, int32_t timeout)
{
  TctiGgtpm *tcti = tcti_from_context (context);
  TSS2_RC rc;

  if (tcti == NULL)
    return TSS2_TCTI_RC_BAD_CONTEXT;
  if (size == NULL)
    return TSS2_TCTI_RC_BAD_REFERENCE;
  if (timeout < TSS2_TCTI_TIMEOUT_BLOCK)
    return TSS2_TCTI_RC_BAD_VALUE;
  if (tcti->state != STATE_RECEIVE)
    return bad_state (tcti);

  rc = read_answer (tcti, timeout < 0 ? -1 : now_ms () + timeout);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  if (response == NULL)
    {
      *size = tcti->have;
      return TSS2_RC_SUCCESS;
    }
  if (*size < tcti->have)
    {
      *size = tcti->have;
      return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    }
  memcpy (response, tcti->frame, tcti->have);
  *size = tcti->have;
  tcti->have = 0;
  tcti->state = STATE_TRANSMIT;
  return TSS2_RC_SUCCESS;
}

static void
tcti_finalize (TSS2_TCTI_CONTEXT *context)
{
  TctiGgtpm *tcti = tcti_from_context (context);

  if (tcti == NULL)
    return;
  close (tcti->fd);
  explicit_bzero (tcti, sizeof *tcti);
}

static int
connect_address (const struct sockaddr_un *address)
{
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (fd < 0)
    return -1;
  while (connect (fd, (const struct sockaddr *)address, sizeof *address) != 0)
    {
      int error = errno;

      if (error == EINTR)
        continue;
      close (fd);
      errno = error;
      return -1;
    }
  return fd;
}

/* One control frame and its answer, on a stream with nothing else under way. */
static TSS2_RC
exchange_control (TctiGgtpm *tcti, uint32_t code, const void *body, size_t size)
{
  uint8_t request[FRAME_HEADER_SIZE + FRAME_CONNECTION_ID_SIZE];
  TSS2_RC rc;

  tcti->have = 0;
  rc = send_all (tcti, request, put_control (request, code, body, size), 0);
  if (rc == TSS2_RC_SUCCESS)
    rc = read_answer (tcti, now_ms () + CONNECT_ANSWER_S * 1000);
  if (rc != TSS2_RC_SUCCESS)
    {
      tcti->state = STATE_BROKEN;
      return rc == TSS2_TCTI_RC_TRY_AGAIN ? TSS2_TCTI_RC_IO_ERROR : rc;
    }
  rc = is_control (tcti->frame) ? get_be32 (tcti->frame + 6) : TSS2_TCTI_RC_NOT_IMPLEMENTED;
  tcti->have = 0;
  return rc;
}

/* The resource manager's answers in the layer that a TCTI's caller expects. */
static TSS2_RC
to_tcti_layer (TSS2_RC rc)
{
  return (rc & TSS2_RC_LAYER_MASK) == TSS2_RESMGR_RC_LAYER
             ? TSS2_TCTI_RC_LAYER | (rc & ~TSS2_RC_LAYER_MASK)
             : rc;
}

static TSS2_RC
tcti_cancel (TSS2_TCTI_CONTEXT *context)
{
  TctiGgtpm *tcti = tcti_from_context (context);
  TctiGgtpm second = { .state = STATE_TRANSMIT };
  TSS2_RC rc;

  if (tcti == NULL)
    return TSS2_TCTI_RC_BAD_CONTEXT;
  if (tcti->address.sun_family == 0)
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
  if (tcti->state != STATE_RECEIVE)
    return bad_state (tcti);
  if (tcti->id_pending)
    {
      /* The broker answers control frames at once, whatever the chip is doing. */
      rc = read_frame (tcti, now_ms () + CONNECT_ANSWER_S * 1000);
      if (rc != TSS2_RC_SUCCESS)
        return rc == TSS2_TCTI_RC_TRY_AGAIN ? TSS2_TCTI_RC_NOT_IMPLEMENTED : rc;
      rc = take_id (tcti);
      if (rc != TSS2_RC_SUCCESS)
        return rc;
    }
  if (!tcti->id_known)
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;

  second.fd = connect_address (&tcti->address);
  if (second.fd < 0)
    return TSS2_TCTI_RC_NO_CONNECTION;
  rc = exchange_control (&second, FRAME_CONTROL_CANCEL, tcti->id, sizeof tcti->id);
  close (second.fd);
  return to_tcti_layer (rc);
}

static TSS2_RC
tcti_get_poll_handles (TSS2_TCTI_CONTEXT *context,
                       TSS2_TCTI_POLL_HANDLE *handles,
                       size_t *num_handles)
{
  TctiGgtpm *tcti = tcti_from_context (context);

  if (tcti == NULL)
    return TSS2_TCTI_RC_BAD_CONTEXT;
  if (num_handles == NULL)
    return TSS2_TCTI_RC_BAD_REFERENCE;
  if (handles != NULL && *num_handles < 1)
    return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
  *num_handles = 1;
  if (handles != NULL)
    *handles = (struct pollfd){ .fd = tcti->fd, .events = POLLIN };
  return TSS2_RC_SUCCESS;
}

static TSS2_RC
tcti_set_locality (TSS2_TCTI_CONTEXT *context, uint8_t locality)
{
  TctiGgtpm *tcti = tcti_from_context (context);
  TSS2_RC rc;

  if (tcti == NULL)
    return TSS2_TCTI_RC_BAD_CONTEXT;
  if (tcti->state != STATE_TRANSMIT)
    return bad_state (tcti);
  if (tcti->locality == locality)
    return TSS2_RC_SUCCESS;
  rc = exchange_control (tcti, FRAME_CONTROL_SET_LOCALITY, &locality, 1);
  if (rc == TSS2_RC_SUCCESS)
    tcti->locality = locality;
  return to_tcti_layer (rc);
}

static TSS2_RC
tcti_make_sticky (TSS2_TCTI_CONTEXT *context, TPM2_HANDLE *handle, uint8_t sticky)
{
  return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

/* *@size is at least that of the structure. */
static void
init_context (TSS2_TCTI_CONTEXT *context, int fd)
{
  TctiGgtpm *tcti = (TctiGgtpm *)context;

  memset (tcti, 0, sizeof *tcti);
  tcti->common.v1.magic = TCTI_MAGIC;
  tcti->common.v1.version = 2;
  tcti->common.v1.transmit = tcti_transmit;
  tcti->common.v1.receive = tcti_receive;
  tcti->common.v1.finalize = tcti_finalize;
  tcti->common.v1.cancel = tcti_cancel;
  tcti->common.v1.getPollHandles = tcti_get_poll_handles;
  tcti->common.v1.setLocality = tcti_set_locality;
  tcti->common.makeSticky = tcti_make_sticky;
  tcti->state = STATE_TRANSMIT;
  tcti->locality = -1;
  tcti->fd = fd;
}

/* Answers a caller that asks for the size; *@done then. */
static TSS2_RC
check_size (TSS2_TCTI_CONTEXT *context, size_t *size, bool *done)
{
  *done = true;
  if (size == NULL)
    return TSS2_TCTI_RC_BAD_REFERENCE;
  if (context == NULL)
    {
      *size = sizeof (TctiGgtpm);
      return TSS2_RC_SUCCESS;
    }
  if (*size < sizeof (TctiGgtpm))
    return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
  *done = false;
  return TSS2_RC_SUCCESS;
}

TSS2_RC
tcti_ggtpm_init_fd (TSS2_TCTI_CONTEXT *context, size_t *size, int fd)
{
  bool done;
  TSS2_RC rc = check_size (context, size, &done);

  if (!done)
    init_context (context, fd);
  return rc;
}

/* Empty, or `path=SOCKET`. */
static TSS2_RC
parse_conf (const char *conf, struct sockaddr_un *out_address)
{
  const char *path = DEFAULT_SOCKET;

  if (conf != NULL && *conf != '\0')
    {
      if (strncmp (conf, "path=", 5) != 0)
        return TSS2_TCTI_RC_BAD_VALUE;
      path = conf + 5;
    }
  if (*path == '\0' || strlen (path) >= sizeof out_address->sun_path)
    return TSS2_TCTI_RC_BAD_VALUE;
  memset (out_address, 0, sizeof *out_address);
  out_address->sun_family = AF_UNIX;
  memcpy (out_address->sun_path, path, strlen (path));
  return TSS2_RC_SUCCESS;
}

TSS2_RC
Tss2_Tcti_Ggtpm_Init (TSS2_TCTI_CONTEXT *context, size_t *size, const char *conf)
{
  struct sockaddr_un address;
  bool done;
  int fd;
  TSS2_RC rc = check_size (context, size, &done);

  if (done)
    return rc;
  rc = parse_conf (conf, &address);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  fd = connect_address (&address);
  if (fd < 0)
    return TSS2_TCTI_RC_NO_CONNECTION;
  init_context (context, fd);
  ((TctiGgtpm *)context)->address = address;
  return TSS2_RC_SUCCESS;
}
