/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "client/tcti/frame.h"
#include "client/tcti/tcti-ggtpm.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const guint8 command[] = { 0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8 };
static const guint8 response[] = { 0x80, 1, 0, 0, 0, 14, 0, 0, 0, 0, 0, 2, 0xaa, 0xbb };

typedef struct
{
  TSS2_TCTI_CONTEXT *context;
  int peer;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  int fds[2];
  gsize size = 0;

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  g_assert_cmphex (tcti_ggtpm_init_fd (NULL, &size, fds[0]), ==, 0);
  f->context = g_malloc (size);
  g_assert_cmphex (tcti_ggtpm_init_fd (f->context, &size, fds[0]), ==, 0);
  f->peer = fds[1];
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  Tss2_Tcti_Finalize (f->context);
  g_free (f->context);
  if (f->peer >= 0)
    close (f->peer);
}

static void
say (Fixture *f, gconstpointer data, gsize size)
{
  g_assert_cmpint (write (f->peer, data, size), ==, (gssize)size);
}

static void
transmit (Fixture *f)
{
  guint8 buffer[sizeof command];

  g_assert_cmphex (Tss2_Tcti_Transmit (f->context, sizeof command, command), ==, 0);
  g_assert_cmpint (read (f->peer, buffer, sizeof buffer), ==, sizeof buffer);
  g_assert_cmpmem (buffer, sizeof buffer, command, sizeof command);
}

static void
test_exchange (Fixture *f, gconstpointer data)
{
  guint8 buffer[64];
  gsize size = 0;

  transmit (f);
  say (f, response, sizeof response);
  /* asked for the size first, then with too little room: nothing is lost */
  g_assert_cmphex (Tss2_Tcti_Receive (f->context, &size, NULL, 1000), ==, 0);
  g_assert_cmpuint (size, ==, sizeof response);
  size = 10;
  g_assert_cmphex (Tss2_Tcti_Receive (f->context, &size, buffer, 1000), ==,
                   TSS2_TCTI_RC_INSUFFICIENT_BUFFER);
  size = sizeof buffer;
  g_assert_cmphex (Tss2_Tcti_Receive (f->context, &size, buffer, 1000), ==, 0);
  g_assert_cmpmem (buffer, size, response, sizeof response);
  transmit (f);
}

static void
test_partial (Fixture *f, gconstpointer data)
{
  guint8 buffer[64];
  gsize size = sizeof buffer;

  transmit (f);
  for (gsize i = 0; i < sizeof response; i++)
    {
      g_assert_cmphex (Tss2_Tcti_Receive (f->context, &size, buffer, TSS2_TCTI_TIMEOUT_NONE), ==,
                       TSS2_TCTI_RC_TRY_AGAIN);
      say (f, response + i, 1);
    }
  g_assert_cmphex (Tss2_Tcti_Receive (f->context, &size, buffer, TSS2_TCTI_TIMEOUT_BLOCK), ==, 0);
  g_assert_cmpmem (buffer, size, response, sizeof response);
}

static void
test_sequence (Fixture *f, gconstpointer data)
{
  guint8 buffer[64];
  gsize size = sizeof buffer;

  g_assert_cmphex (Tss2_Tcti_Receive (f->context, &size, buffer, 0), ==, TSS2_TCTI_RC_BAD_SEQUENCE);
  g_assert_cmphex (Tss2_Tcti_Transmit (f->context, 11, command), ==, TSS2_TCTI_RC_BAD_VALUE);
  g_assert_cmphex (Tss2_Tcti_Transmit (f->context, 12, NULL), ==, TSS2_TCTI_RC_BAD_REFERENCE);
  transmit (f);
  g_assert_cmphex (Tss2_Tcti_Transmit (f->context, 12, command), ==, TSS2_TCTI_RC_BAD_SEQUENCE);
  g_assert_cmphex (Tss2_Tcti_SetLocality (f->context, 1), ==, TSS2_TCTI_RC_BAD_SEQUENCE);
  g_assert_cmphex (Tss2_Tcti_Receive (f->context, &size, buffer, -2), ==, TSS2_TCTI_RC_BAD_VALUE);
  g_assert_cmphex (Tss2_Tcti_Cancel (f->context), ==, TSS2_TCTI_RC_NOT_IMPLEMENTED);
}

static void
test_hang_up (Fixture *f, gconstpointer data)
{
  guint8 buffer[64];
  gsize size = sizeof buffer;

  transmit (f);
  say (f, response, 5);
  close (f->peer);
  f->peer = -1;
  g_assert_cmphex (Tss2_Tcti_Receive (f->context, &size, buffer, -1), ==,
                   TSS2_TCTI_RC_NO_CONNECTION);
  g_assert_cmphex (Tss2_Tcti_Transmit (f->context, 12, command), ==, TSS2_TCTI_RC_NO_CONNECTION);
}

static void
test_malformed (Fixture *f, gconstpointer data)
{
  const guint8 nonsense[] = { 0x80, 1, 0, 0, 0, 9, 0, 0, 0, 0 };
  guint8 buffer[64];
  gsize size = sizeof buffer;

  transmit (f);
  say (f, nonsense, sizeof nonsense);
  g_assert_cmphex (Tss2_Tcti_Receive (f->context, &size, buffer, -1), ==,
                   TSS2_TCTI_RC_MALFORMED_RESPONSE);
}

/* Who sends more than was asked for is no TPM, and the rest would be taken for the next answer. */
static void
test_surplus (Fixture *f, gconstpointer data)
{
  guint8 both[sizeof response + 1] = { 0 };
  guint8 buffer[64];
  gsize size = sizeof buffer;

  memcpy (both, response, sizeof response);
  transmit (f);
  say (f, both, sizeof both);
  g_assert_cmphex (Tss2_Tcti_Receive (f->context, &size, buffer, TSS2_TCTI_TIMEOUT_BLOCK), ==,
                   TSS2_TCTI_RC_MALFORMED_RESPONSE);
  g_assert_cmphex (Tss2_Tcti_Transmit (f->context, sizeof command, command), ==,
                   TSS2_TCTI_RC_NO_CONNECTION);
}

static void
test_locality (Fixture *f, gconstpointer data)
{
  const guint8 yes[] = { 0x67, 0x67, 0, 0, 0, 10, 0, 0, 0, 0 };
  const guint8 no[] = { 0x67, 0x67, 0, 0, 0, 10, 0, 0xb, 0, 0xc };
  const guint8 asked[] = { 0x67, 0x67, 0, 0, 0, 11, 0, 0, 0, FRAME_CONTROL_SET_LOCALITY, 3 };
  guint8 buffer[32];

  say (f, yes, sizeof yes);
  g_assert_cmphex (Tss2_Tcti_SetLocality (f->context, 3), ==, 0);
  g_assert_cmpint (read (f->peer, buffer, sizeof buffer), ==, sizeof asked);
  g_assert_cmpmem (buffer, sizeof asked, asked, sizeof asked);
  say (f, no, sizeof no);
  g_assert_cmphex (Tss2_Tcti_SetLocality (f->context, 4), ==, TSS2_TCTI_RC_NOT_PERMITTED);
  /* a bare TPM does not know the frame */
  say (f, response, sizeof response);
  g_assert_cmphex (Tss2_Tcti_SetLocality (f->context, 2), ==, TSS2_TCTI_RC_NOT_IMPLEMENTED);
  g_assert_cmpint (read (f->peer, buffer, sizeof buffer), ==, 2 * sizeof asked);
  transmit (f);
}

static void
test_poll_handles (Fixture *f, gconstpointer data)
{
  TSS2_TCTI_POLL_HANDLE handle;
  gsize n = 0;

  g_assert_cmphex (Tss2_Tcti_GetPollHandles (f->context, NULL, &n), ==, 0);
  g_assert_cmpuint (n, ==, 1);
  g_assert_cmphex (Tss2_Tcti_GetPollHandles (f->context, &handle, &n), ==, 0);
  transmit (f);
  g_assert_cmpint (poll (&handle, 1, 0), ==, 0);
  say (f, response, sizeof response);
  g_assert_cmpint (poll (&handle, 1, 0), ==, 1);
}

/* A server that says what id its connections have, answers no command, and cancels. */
static void
read_all (int fd, guint8 *buffer, gsize size)
{
  for (gsize done = 0; done < size;)
    {
      gssize n = read (fd, buffer + done, size - done);

      g_assert_cmpint (n, >, 0);
      done += (gsize)n;
    }
}

static gpointer
serve_cancel (gpointer data)
{
  const int listener = GPOINTER_TO_INT (data);
  const guint8 id_answer[26] = { 0x67, 0x67, 0, 0, 0, 26, 0, 0, 0, 0, 'i', 'd' };
  const guint8 cancelled[] = { 0x80, 1, 0, 0, 0, 10, 0, 0, 9, 9 };
  const guint8 yes[] = { 0x67, 0x67, 0, 0, 0, 10, 0, 0, 0, 0 };
  int first = accept (listener, NULL, NULL);
  int second;
  guint8 buffer[64];

  read_all (first, buffer, FRAME_HEADER_SIZE + sizeof command);
  g_assert_cmpint (buffer[9], ==, FRAME_CONTROL_GET_ID);
  g_assert_cmpint (write (first, id_answer, sizeof id_answer), ==, sizeof id_answer);
  second = accept (listener, NULL, NULL);
  read_all (second, buffer, sizeof id_answer);
  g_assert_cmpint (buffer[9], ==, FRAME_CONTROL_CANCEL);
  g_assert_cmpmem (buffer + 10, 16, id_answer + 10, 16);
  g_assert_cmpint (write (second, yes, sizeof yes), ==, sizeof yes);
  g_assert_cmpint (write (first, cancelled, sizeof cancelled), ==, sizeof cancelled);
  close (second);
  close (first);
  return NULL;
}

/* A software TPM that has read both as one command. */
static gpointer
serve_bare (gpointer data)
{
  const guint8 bad_tag[] = { 0, 0xc4, 0, 0, 0, 10, 0, 0, 0, 0x1e };
  guint8 buffer[64];
  int fd = accept (GPOINTER_TO_INT (data), NULL, NULL);

  read_all (fd, buffer, FRAME_HEADER_SIZE + sizeof command);
  g_assert_cmpint (write (fd, bad_tag, sizeof bad_tag), ==, sizeof bad_tag);
  g_assert_cmpint (read (fd, buffer, sizeof buffer), ==, 0);
  close (fd);
  return NULL;
}

static void
test_path (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("ggtpm-XXXXXX", &error);
  g_autofree char *path = g_build_filename (dir, "s", NULL);
  g_autofree char *conf = g_strdup_printf ("path=%s", path);
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  gsize size = 0;
  guint8 buffer[64];
  gsize buffer_size = sizeof buffer;
  g_autofree TSS2_TCTI_CONTEXT *context = NULL;
  GThread *server;

  g_assert_cmphex (Tss2_Tcti_Ggtpm_Init (NULL, &size, conf), ==, 0);
  context = g_malloc (size);
  g_assert_cmphex (Tss2_Tcti_Ggtpm_Init (context, &size, conf), ==, TSS2_TCTI_RC_NO_CONNECTION);
  g_assert_cmphex (Tss2_Tcti_Ggtpm_Init (context, &size, "socket=x"), ==, TSS2_TCTI_RC_BAD_VALUE);
  g_assert_cmphex (Tss2_Tcti_Ggtpm_Init (context, &size, "path="), ==, TSS2_TCTI_RC_BAD_VALUE);
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (bind (listener, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint (listen (listener, 5), ==, 0);
  server = g_thread_new ("server", serve_cancel, GINT_TO_POINTER (listener));

  g_assert_cmphex (Tss2_Tcti_Ggtpm_Init (context, &size, conf), ==, 0);
  g_assert_cmphex (Tss2_Tcti_Transmit (context, sizeof command, command), ==, 0);
  g_assert_cmphex (Tss2_Tcti_Cancel (context), ==, 0);
  g_assert_cmphex (Tss2_Tcti_Receive (context, &buffer_size, buffer, -1), ==, 0);
  g_assert_cmpuint (buffer_size, ==, 10);
  g_assert_cmphex (buffer[9], ==, 9);
  Tss2_Tcti_Finalize (context);
  g_thread_join (server);

  /* no ggtpmd at the other end: an error, and no waiting */
  server = g_thread_new ("server", serve_bare, GINT_TO_POINTER (listener));
  g_assert_cmphex (Tss2_Tcti_Ggtpm_Init (context, &size, conf), ==, 0);
  g_assert_cmphex (Tss2_Tcti_Transmit (context, sizeof command, command), ==, 0);
  buffer_size = sizeof buffer;
  g_assert_cmphex (Tss2_Tcti_Receive (context, &buffer_size, buffer, -1), ==,
                   TSS2_TCTI_RC_MALFORMED_RESPONSE);
  g_assert_cmphex (Tss2_Tcti_Transmit (context, sizeof command, command), ==,
                   TSS2_TCTI_RC_NO_CONNECTION);
  Tss2_Tcti_Finalize (context);
  g_thread_join (server);
  close (listener);
  g_unlink (path);
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
#define ADD(name, func) g_test_add ("/tcti/" name, Fixture, NULL, set_up, func, tear_down)
  g_test_init (&argc, &argv, NULL);
  ADD ("exchange", test_exchange);
  ADD ("partial", test_partial);
  ADD ("sequence", test_sequence);
  ADD ("hang-up", test_hang_up);
  ADD ("malformed", test_malformed);
  ADD ("surplus", test_surplus);
  ADD ("locality", test_locality);
  ADD ("poll-handles", test_poll_handles);
  g_test_add_func ("/tcti/path", test_path);
  return g_test_run ();
}
