/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/atomic-file.h"
#include "dbus/error.h"

#define READ_TIMEOUT_S 10
#define FILE_MAX_BYTES 4096

struct _Secret
{
  char *data; /* in pages of its own */
  gsize len;
};

void
secret_wipe (void *data, gsize len)
{
  if (data != NULL)
    explicit_bzero (data, len);
}

gboolean
secret_forbid_dumps (void)
{
  const struct rlimit no_core = { 0, 0 };

  if (setrlimit (RLIMIT_CORE, &no_core) != 0)
    return FALSE;
#ifdef __SANITIZE_ADDRESS__
  /* Its search for leaks traces the process. */
  return TRUE;
#else
  /* A core that goes to a pipe does not ask for the limit. */
  return prctl (PR_SET_DUMPABLE, 0) == 0;
#endif
}

/* Zeroed; @len bytes and the NUL behind them. */
static Secret *
allocate (gsize len)
{
  Secret *secret = g_new0 (Secret, 1);

  /* Pages of its own: a lock is a page's, and ends for all that is in it. */
  secret->data = mmap (NULL, len + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (secret->data == MAP_FAILED)
    g_error ("no memory for a secret: %s", g_strerror (errno));
  secret->len = len;
  /* Best effort: beyond RLIMIT_MEMLOCK it stays pageable; LimitCORE=0 and no swap are the unit's and the device's
   * part. */
  mlock (secret->data, len + 1);
  return secret;
}

Secret *
secret_new (const void *data, gsize len)
{
  Secret *secret = allocate (len);

  if (len > 0)
    memcpy (secret->data, data, len);
  return secret;
}

Secret *
secret_new_take (void *data, gsize len)
{
  Secret *secret = secret_new (data, len);

  secret_wipe (data, len);
  return secret;
}

/* Fills @random from the kernel and mixes in @mix. */
static gboolean
fill_random (guint8 *random, gsize n_bytes, const guint8 *mix, gsize mix_len)
{
  gsize filled = 0;

  while (filled < n_bytes)
    {
      ssize_t n = getrandom (random + filled, n_bytes - filled, 0);

      if (n > 0)
        filled += (gsize)n;
      else if (errno != EINTR)
        return FALSE;
    }
  for (gsize i = 0; mix_len > 0 && i < n_bytes; i++)
    random[i] ^= mix[i % mix_len];
  return TRUE;
}

Secret *
secret_new_random_hex (gsize n_bytes, const guint8 *mix, gsize mix_len)
{
  static const char digits[] = "0123456789abcdef";
  g_autofree guint8 *random = g_malloc (n_bytes);
  g_autofree char *hex = g_malloc (2 * n_bytes);
  Secret *secret;

  if (!fill_random (random, n_bytes, mix, mix_len))
    return NULL;
  for (gsize i = 0; i < n_bytes; i++)
    {
      hex[2 * i] = digits[random[i] >> 4];
      hex[2 * i + 1] = digits[random[i] & 15];
    }
  secret = secret_new_take (hex, 2 * n_bytes);
  secret_wipe (random, n_bytes);
  return secret;
}

Secret *
secret_new_random_pin (const guint8 *mix, gsize mix_len)
{
  static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
  guint8 random[SECRET_PIN_LENGTH];
  char pin[SECRET_PIN_LENGTH];

  if (!fill_random (random, sizeof random, mix, mix_len))
    return NULL;
  for (gsize i = 0; i < sizeof pin; i++)
    pin[i] = digits[random[i] & 31];
  secret_wipe (random, sizeof random);
  return secret_new_take (pin, sizeof pin);
}

Secret *
secret_copy (const Secret *secret)
{
  return secret != NULL ? secret_new (secret->data, secret->len) : NULL;
}

void
secret_free (Secret *secret)
{
  if (secret == NULL)
    return;
  secret_wipe (secret->data, secret->len);
  munmap (secret->data, secret->len + 1);
  g_free (secret);
}

const char *
secret_peek (const Secret *secret)
{
  return secret->data;
}

gsize
secret_get_length (const Secret *secret)
{
  return secret->len;
}

Secret *
secret_read (int fd, gsize len)
{
  g_autoptr (Secret) secret = allocate (len);
  gsize filled = 0;

  while (filled < len)
    {
      ssize_t n = read (fd, secret->data + filled, len - filled);

      if (n > 0)
        filled += (gsize)n;
      else if (n == 0 || errno != EINTR)
        return NULL;
    }
  return g_steal_pointer (&secret);
}

Secret *
secret_read_file (const char *path, GError **error)
{
  guint8 buffer[FILE_MAX_BYTES];
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read (fd, buffer, sizeof buffer) : -1;
  int saved_errno = errno;

  if (fd >= 0)
    close (fd);
  if (n < 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "cannot read %s: %s",
                   path, g_strerror (saved_errno));
      return NULL;
    }
  if (n == sizeof buffer)
    {
      secret_wipe (buffer, sizeof buffer);
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "%s is too long for a secret", path);
      return NULL;
    }
  if (n > 0 && buffer[n - 1] == '\n')
    n--;
  return secret_new_take (buffer, (gsize)n);
}

gboolean
secret_write_file (const Secret *secret, const char *path, mode_t mode, gid_t gid, GError **error)
{
  return atomic_file_write (path, secret->data, secret->len, mode, gid, error);
}

/* ---- reading a descriptor without blocking ---- */

enum
{
  SOURCE_READABLE,
  SOURCE_TIMEOUT,
  SOURCE_CANCELLED,
  N_SOURCES
};

typedef struct
{
  int fd;
  gsize max_bytes;
  gsize len;
  char buffer[FILE_MAX_BYTES];
  GSource *sources[N_SOURCES]; /* each holds the task until finish_read() */
} Read;

static void
read_free (Read *self)
{
  if (self->fd >= 0)
    close (self->fd);
  secret_wipe (self->buffer, sizeof self->buffer);
  g_free (self);
}

/* Takes @error; without one the answer is what the buffer has. */
static gboolean
finish_read (GTask *task, GError *error)
{
  g_autoptr (GTask) alive G_GNUC_UNUSED = g_object_ref (task);
  Read *self = g_task_get_task_data (task);

  for (int i = 0; i < N_SOURCES; i++)
    {
      if (self->sources[i] != NULL)
        g_source_destroy (self->sources[i]);
      g_clear_pointer (&self->sources[i], g_source_unref);
    }

  if (error != NULL)
    g_task_return_error (task, error);
  else if (self->len == 0 || self->len > self->max_bytes ||
           memchr (self->buffer, '\0', self->len) != NULL)
    g_task_return_new_error (task, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                             "a PIN has 1 to %" G_GSIZE_FORMAT " bytes and no NUL",
                             self->max_bytes);
  else
    g_task_return_pointer (task, secret_new (self->buffer, self->len), (GDestroyNotify)secret_free);
  return G_SOURCE_REMOVE;
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer user_data)
{
  GTask *task = user_data;
  Read *self = g_task_get_task_data (task);
  char *start = self->buffer + self->len;
  ssize_t n = read (fd, start, self->max_bytes + 1 - self->len);
  char *newline;

  if (n < 0 && (errno == EINTR || errno == EAGAIN))
    return G_SOURCE_CONTINUE;
  if (n < 0)
    return finish_read (task, g_error_new (GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                                           "cannot read the PIN: %s", g_strerror (errno)));

  newline = memchr (start, '\n', (gsize)n);
  self->len = newline != NULL ? (gsize)(newline - self->buffer) : self->len + (gsize)n;
  if (n > 0 && newline == NULL && self->len <= self->max_bytes)
    return G_SOURCE_CONTINUE;
  return finish_read (task, NULL);
}

static gboolean
on_read_timeout (gpointer user_data)
{
  return finish_read (user_data,
                      g_error_new (GGTPM_ERROR, GGTPM_ERROR_TIMEOUT,
                                   "no PIN came through the descriptor in %d s", READ_TIMEOUT_S));
}

static gboolean
on_read_cancelled (GCancellable *cancellable, gpointer user_data)
{
  return finish_read (user_data, g_error_new_literal (GGTPM_ERROR, GGTPM_ERROR_CANCELLED,
                                                      "reading the PIN was cancelled"));
}

/*
 * A descriptor that can be read without ever blocking: a pipe or socket made non-blocking, or memory. A file of a slow
 * or hostile file system is not.
 */
static int
duplicate_for_reading (int fd, GError **error)
{
  struct stat st;
  int copy = fcntl (fd, F_DUPFD_CLOEXEC, 3);
  int flags = copy >= 0 ? fcntl (copy, F_GETFL) : -1;

  if (flags >= 0 && fstat (copy, &st) == 0)
    {
      if ((S_ISFIFO (st.st_mode) || S_ISSOCK (st.st_mode)) &&
          fcntl (copy, F_SETFL, flags | O_NONBLOCK) == 0)
        return copy;
      /* Only memfds and tmpfs know seals. Whoever wrote it left the offset at its end. */
      if (S_ISREG (st.st_mode) && fcntl (copy, F_GET_SEALS) >= 0 && lseek (copy, 0, SEEK_SET) == 0)
        return copy;
    }
  if (copy >= 0)
    close (copy);
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                       "a PIN comes through a pipe, a socket or a memfd");
  return -1;
}

static void
add_source (GTask *task, int which, GSource *source, GSourceFunc func)
{
  Read *self = g_task_get_task_data (task);

  g_source_set_callback (source, func, g_object_ref (task), g_object_unref);
  g_source_attach (source, g_main_context_get_thread_default ());
  self->sources[which] = source;
}

void
secret_read_fd_async (int fd,
                      gsize max_bytes,
                      GCancellable *cancellable,
                      GAsyncReadyCallback callback,
                      gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  g_autoptr (GError) local_error = NULL;
  Read *self = g_new0 (Read, 1);

  /* The answer is what finish_read() says, also when a cancellation comes just behind it. */
  g_task_set_check_cancellable (task, FALSE);
  g_task_set_task_data (task, self, (GDestroyNotify)read_free);
  self->max_bytes = MIN (max_bytes, FILE_MAX_BYTES - 1);
  self->fd = duplicate_for_reading (fd, &local_error);
  if (self->fd < 0)
    {
      g_task_return_error (task, g_steal_pointer (&local_error));
      return;
    }

  add_source (task, SOURCE_READABLE, g_unix_fd_source_new (self->fd, G_IO_IN | G_IO_HUP | G_IO_ERR),
              G_SOURCE_FUNC (on_readable));
  add_source (task, SOURCE_TIMEOUT, g_timeout_source_new_seconds (READ_TIMEOUT_S), on_read_timeout);
  if (cancellable != NULL)
    add_source (task, SOURCE_CANCELLED, g_cancellable_source_new (cancellable),
                G_SOURCE_FUNC (on_read_cancelled));
}

Secret *
secret_read_fd_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

gboolean
secret_protect_process (void)
{
  return secret_forbid_dumps () && prctl (PR_SET_PDEATHSIG, SIGKILL) == 0 &&
         prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}
