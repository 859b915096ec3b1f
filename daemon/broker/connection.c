/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "connection.h"

#include "client/tcti/frame.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS     (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define MAX_IN_ROW 16
#define INBOX_SIZE                                                                                 \
  256 /* signing, hashing and the like with a session come whole, in one call and without an allocation */

typedef enum
{
  STATE_READING,
  STATE_WAITING, /* for the answer to its frame */
  STATE_WRITING,
  STATE_CLOSED,
} State;

struct _Connection
{
  LoopWatch watch;
  Loop *loop;
  int fd;
  State state;
  gboolean pumping;  /* in read_frames() */
  gboolean readable; /* there may be bytes that no event will tell of again */
  DirectoryEntry *entry;
  const ConnectionFuncs *funcs;
  gpointer data;
  gpointer user_data;

  guint8 inbox[INBOX_SIZE]; /* the frame, or its beginning; what was sent behind it waits here */
  gsize n_inbox;
  guint8 *frame; /* a longer one; NULL: it fits, or the header is not complete */
  gsize n_frame;
  gsize size;       /* of the frame */
  GByteArray *rest; /* of the answer */
  gsize n_sent;     /* of that */
  gboolean has_public_id;
  guint8 public_id[FRAME_CONNECTION_ID_SIZE];
};

/* Frames carry passwords. */
static void
drop_frame (Connection *connection)
{
  gsize n = MIN (connection->size, connection->n_inbox);

  if (connection->frame != NULL)
    explicit_bzero (connection->frame, connection->size);
  g_clear_pointer (&connection->frame, g_free);
  memmove (connection->inbox, connection->inbox + n, connection->n_inbox - n);
  connection->n_inbox -= n;
  explicit_bzero (connection->inbox + connection->n_inbox, n);
  connection->size = 0;
}

/* So do answers: what was unsealed. */
static void
drop_rest (Connection *connection)
{
  if (connection->rest != NULL)
    explicit_bzero (connection->rest->data, connection->rest->len);
  g_clear_pointer (&connection->rest, g_byte_array_unref);
}

static void
close_connection (Connection *connection)
{
  if (connection->state == STATE_CLOSED)
    return;
  connection->state = STATE_CLOSED;
  loop_remove (connection->loop, &connection->watch);
  close (connection->fd);
  connection->fd = -1;
  connection->funcs->closed (connection, connection->data);
}

/* Reads into @buffer until it has @wanted bytes, and not more than @room; FALSE: not yet, or closed. */
static gboolean
fill (Connection *connection, guint8 *buffer, gsize *have, gsize wanted, gsize room)
{
  while (*have < wanted)
    {
      ssize_t n = recv (connection->fd, buffer + *have, room - *have, MSG_DONTWAIT);

      if (n > 0)
        *have += (gsize)n;
      else if (n < 0 && errno == EINTR)
        continue;
      else if (n < 0 && errno == EAGAIN)
        {
          connection->readable = FALSE;
          return FALSE;
        }
      else
        {
          close_connection (connection);
          return FALSE;
        }
    }
  return TRUE;
}

static gboolean
fill_inbox (Connection *connection, gsize wanted)
{
  return fill (connection, connection->inbox, &connection->n_inbox, wanted, INBOX_SIZE);
}

/* One that does not fit. */
static gboolean
fill_frame (Connection *connection)
{
  if (connection->frame == NULL)
    {
      connection->frame = g_malloc (connection->size);
      memcpy (connection->frame, connection->inbox, connection->n_inbox);
      connection->n_frame = connection->n_inbox;
    }
  return fill (connection, connection->frame, &connection->n_frame, connection->size,
               connection->size);
}

static void
read_one (Connection *connection)
{
  if (!fill_inbox (connection, FRAME_HEADER_SIZE))
    return;
  connection->size = get_be32 (connection->inbox + 2);
  if (connection->size < FRAME_HEADER_SIZE || connection->size > FRAME_MAX_SIZE)
    {
      close_connection (connection);
      return;
    }
  if (connection->size <= INBOX_SIZE ? !fill_inbox (connection, connection->size)
                                     : !fill_frame (connection))
    return;
  connection->state = STATE_WAITING;
  connection->funcs->received (connection, connection->data);
}

static void
watch_events (Connection *connection, gboolean writing)
{
  loop_modify (connection->loop, &connection->watch, EVENTS | (writing ? EPOLLOUT : 0));
}

/* Frames may be answered while they are received (control frames): one after the other, not one inside the other. */
static void
read_frames (Connection *connection)
{
  guint n = 0;

  if (connection->pumping)
    return;
  connection->pumping = TRUE;
  while (connection->state == STATE_READING && connection->readable && n++ < MAX_IN_ROW)
    read_one (connection);
  connection->pumping = FALSE;
  /* The others' turn. The event comes again: that it can be written to, since the inbox may have all there is. */
  if (connection->state == STATE_READING && connection->readable)
    watch_events (connection, TRUE);
}

/* Returns how much could be sent; closes on error. */
static gsize
send_some (Connection *connection, const guint8 *data, gsize size)
{
  gsize done = 0;

  while (done < size)
    {
      ssize_t n = send (connection->fd, data + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);

      if (n >= 0)
        done += (gsize)n;
      else if (errno == EAGAIN)
        break;
      else if (errno != EINTR)
        {
          close_connection (connection);
          break;
        }
    }
  return done;
}

static void
next_frame (Connection *connection)
{
  connection->state = STATE_READING;
  drop_frame (connection);
  read_frames (connection);
}

static void
write_rest (Connection *connection)
{
  connection->n_sent += send_some (connection, connection->rest->data + connection->n_sent,
                                   connection->rest->len - connection->n_sent);
  if (connection->state == STATE_CLOSED || connection->n_sent < connection->rest->len)
    return;
  drop_rest (connection);
  watch_events (connection, FALSE);
  next_frame (connection);
}

static void
on_ready (LoopWatch *watch, guint32 events)
{
  Connection *connection =
      (Connection *)(gpointer)((char *)watch - G_STRUCT_OFFSET (Connection, watch));

  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
    connection->readable = TRUE;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0 && connection->state != STATE_READING)
    close_connection (connection);
  else if (connection->state == STATE_READING && connection->readable)
    {
      if ((events & EPOLLOUT) != 0)
        watch_events (connection, FALSE);
      read_frames (connection);
    }
  else if (connection->state == STATE_WRITING && (events & EPOLLOUT) != 0)
    write_rest (connection);
}

Connection *
connection_new (Loop *loop,
                int fd,
                DirectoryEntry *entry,
                const ConnectionFuncs *funcs,
                gpointer data)
{
  Connection *connection = g_new0 (Connection, 1);

  connection->loop = loop;
  connection->fd = fd;
  connection->entry = entry;
  connection->funcs = funcs;
  connection->data = data;
  connection->watch = (LoopWatch){ .ready = on_ready, .fd = -1 };
  if (!loop_add (loop, &connection->watch, fd, EVENTS))
    {
      connection_free (connection);
      return NULL;
    }
  return connection;
}

void
connection_free (Connection *connection)
{
  if (connection->state != STATE_CLOSED)
    {
      loop_remove (connection->loop, &connection->watch);
      close (connection->fd);
    }
  drop_frame (connection);
  drop_rest (connection);
  explicit_bzero (connection->inbox, sizeof connection->inbox);
  g_free (connection);
}

void
connection_poll (Connection *connection)
{
  connection->readable = TRUE;
  read_frames (connection);
}

DirectoryEntry *
connection_get_entry (const Connection *connection)
{
  return connection->entry;
}

guint8 *
connection_get_frame (Connection *connection, gsize *out_size)
{
  *out_size = connection->size;
  return connection->frame != NULL ? connection->frame : connection->inbox;
}

void
connection_answer (Connection *connection, const guint8 *response, gsize size)
{
  gsize n;

  if (connection->state == STATE_CLOSED)
    return;
  g_assert (connection->state == STATE_WAITING);
  n = send_some (connection, response, size);
  if (connection->state == STATE_CLOSED)
    return;
  if (n == size)
    {
      next_frame (connection);
      return;
    }
  connection->state = STATE_WRITING;
  drop_frame (connection);
  connection->n_sent = 0;
  connection->rest = g_byte_array_sized_new ((guint)(size - n));
  g_byte_array_append (connection->rest, response + n, (guint)(size - n));
  watch_events (connection, TRUE);
}

const guint8 *
connection_get_public_id (Connection *connection)
{
  if (!connection->has_public_id)
    connection->has_public_id =
        getrandom (connection->public_id, FRAME_CONNECTION_ID_SIZE, 0) == FRAME_CONNECTION_ID_SIZE;
  return connection->has_public_id ? connection->public_id : NULL;
}

gboolean
connection_has_public_id (const Connection *connection, const guint8 *id)
{
  return connection->has_public_id &&
         memcmp (connection->public_id, id, FRAME_CONNECTION_ID_SIZE) == 0;
}

void
connection_set_user_data (Connection *connection, gpointer user_data)
{
  connection->user_data = user_data;
}

gpointer
connection_get_user_data (const Connection *connection)
{
  return connection->user_data;
}
