/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "pin.h"

#include "client/output.h"
#include "common/sealed-file.h"
#include "common/secret.h"
#include "dbus/error.h"
#include "dbus/names.h"

#include <glib-unix.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

/* Signals that must not leave the terminal without echo. */
static const int caught_signals[] = { SIGINT, SIGTERM, SIGHUP };

/* Reads to the first newline or the end of file. */
static Secret *
read_line (int fd, const char *name, GError **error)
{
  char buffer[GGTPM_PIN_MAX_BYTES + 2];
  gsize len = 0;

  while (len < sizeof buffer)
    {
      ssize_t n_read = read (fd, buffer + len, 1);

      if (n_read < 0 && errno == EINTR)
        continue;
      if (n_read < 0)
        {
          g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "%s: %s", name, g_strerror (errno));
          secret_wipe (buffer, sizeof buffer);
          return NULL;
        }
      if (n_read == 0 || buffer[len] == '\n')
        break;
      len++;
    }
  if (len == 0 || len > GGTPM_PIN_MAX_BYTES || memchr (buffer, '\0', len) != NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "%s: a PIN is one line of 1 to %d bytes", name, GGTPM_PIN_MAX_BYTES);
      secret_wipe (buffer, sizeof buffer);
      return NULL;
    }
  return secret_new_take (buffer, len);
}

static Secret *
read_pin_file (const char *path, GError **error)
{
  Secret *pin = NULL;
  int fd = -1;

  if (g_str_equal (path, "-"))
    return read_line (STDIN_FILENO, "standard input", error);
  fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "PIN file '%s' cannot be read: %s", path,
                   g_strerror (errno));
      return NULL;
    }
  pin = read_line (fd, path, error);
  close (fd);
  return pin;
}

static gboolean
add_pin (GVariantDict *dict,
         GUnixFDList *descriptors,
         const char *name,
         const Secret *pin,
         GError **error)
{
  int fd = -1;
  int index = -1;

  if (pin == NULL)
    return TRUE;
  /* in nobody's file system, gone when both have closed it */
  fd = sealed_file_new ("pin", secret_peek (pin), secret_get_length (pin), error);
  if (fd < 0)
    return FALSE;
  index = g_unix_fd_list_append (descriptors, fd, error);
  close (fd);
  if (index < 0)
    return FALSE;
  g_variant_dict_insert (dict, name, "h", index);
  return TRUE;
}

static gboolean
call_with (Client *client,
           GVariant *arguments,
           const Secret *pin,
           const Secret *so_pin,
           const Secret *new_pin,
           PinCall call,
           gpointer user_data,
           GError **error)
{
  g_autoptr (GUnixFDList) descriptors = g_unix_fd_list_new ();
  g_autoptr (GVariantDict) dict = g_variant_dict_new (arguments);
  g_autoptr (GVariant) complete = NULL;
  g_autoptr (GError) local_error = NULL;

  if (!add_pin (dict, descriptors, "pin", pin, error) ||
      !add_pin (dict, descriptors, "so-pin", so_pin, error) ||
      !add_pin (dict, descriptors, "new-pin", new_pin, error))
    return FALSE;
  complete = g_variant_ref_sink (g_variant_dict_end (dict));
  if (call (client, complete, descriptors, user_data, &local_error))
    return TRUE;
  client_convert_error (&local_error);
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* The terminal */

typedef struct
{
  GMainLoop *loop;
  guint sources[G_N_ELEMENTS (caught_signals) + 1];
  gboolean interrupted;
} Question;

static gboolean
on_signal (gpointer user_data)
{
  Question *question = user_data;

  question->interrupted = TRUE;
  g_main_loop_quit (question->loop);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_line (int fd, GIOCondition condition, gpointer user_data)
{
  Question *question = user_data;

  g_main_loop_quit (question->loop);
  return G_SOURCE_CONTINUE;
}

static void
question_init (Question *question, int fd)
{
  question->loop = g_main_loop_new (NULL, FALSE);
  question->interrupted = FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (caught_signals); i++)
    question->sources[i] = g_unix_signal_add (caught_signals[i], on_signal, question);
  question->sources[G_N_ELEMENTS (caught_signals)] =
      g_unix_fd_add (fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_line, question);
}

static void
question_clear (Question *question)
{
  for (gsize i = 0; i < G_N_ELEMENTS (question->sources); i++)
    g_source_remove (question->sources[i]);
  g_main_loop_unref (question->loop);
}

static void
show (int fd, const char *text)
{
  if (write (fd, text, strlen (text)) < 0)
    g_debug ("the terminal shows nothing: %s", g_strerror (errno));
}

/*
 * The terminal is left as it was, whatever comes: signals are caught before the echo is off. The question comes when it
 * is: nothing that is typed then is shown.
 */
static Secret *
read_from_terminal (int fd, const char *text, GError **error)
{
  Question question;
  struct termios saved = { 0 };
  struct termios silent = { 0 };
  Secret *pin = NULL;

  if (tcgetattr (fd, &saved) != 0)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "/dev/tty: %s", g_strerror (errno));
      return NULL;
    }
  silent = saved;
  silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
  silent.c_cc[VSUSP] = _POSIX_VDISABLE;
  silent.c_cc[VQUIT] = _POSIX_VDISABLE;
  question_init (&question, fd);
  if (tcsetattr (fd, TCSAFLUSH, &silent) != 0)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                   "/dev/tty: the echo cannot be switched off: %s", g_strerror (errno));
      question_clear (&question);
      return NULL;
    }
  show (fd, text);
  g_main_loop_run (question.loop);
  if (!question.interrupted)
    pin = read_line (fd, "terminal", error);
  else
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED, "no PIN was given, nothing was done");
  tcsetattr (fd, TCSAFLUSH, &saved);
  show (fd, "\n");
  question_clear (&question);
  return pin;
}

/* NULL without error: there is no terminal to ask on. */
static Secret *
ask_pin (const char *what, const char *token, GError **error)
{
  g_autofree char *clean = output_clean (token);
  g_autofree char *question = NULL;
  Secret *pin = NULL;
  int fd = open ("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

  if (fd < 0)
    return NULL;
  question = token != NULL ? g_strdup_printf ("%s of token '%s': ", what, clean)
                           : g_strdup_printf ("%s: ", what);
  pin = read_from_terminal (fd, question, error);
  close (fd);
  return pin;
}

/* TRUE without a PIN where @path is NULL. */
static gboolean
read_optional (const char *path, Secret **out_pin, GError **error)
{
  if (path == NULL)
    return TRUE;
  *out_pin = read_pin_file (path, error);
  return *out_pin != NULL;
}

/* @is_so: what the daemon may miss is the SO PIN */
static gboolean
call_or_ask (Client *client,
             const Options *options,
             const char *token,
             GVariant *arguments,
             gboolean is_so,
             PinCall call,
             gpointer user_data,
             GError **error)
{
  g_autoptr (GVariant) sunk = g_variant_ref_sink (arguments);
  g_autoptr (Secret) pin = NULL;
  g_autoptr (Secret) so_pin = NULL;
  g_autoptr (Secret) new_pin = NULL;
  Secret **asked = is_so ? &so_pin : &pin;
  g_autoptr (GError) local_error = NULL;

  if (!read_optional (options->pin_file, &pin, error) ||
      !read_optional (options->so_pin_file, &so_pin, error) ||
      !read_optional (options->new_pin_file, &new_pin, error))
    return FALSE;
  if (call_with (client, sunk, pin, so_pin, new_pin, call, user_data, &local_error))
    return TRUE;
  if (!g_error_matches (local_error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED) || *asked != NULL ||
      client->no_ask_password)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  *asked = ask_pin (is_so ? "SO PIN" : "User PIN", token, error);
  if (*asked == NULL)
    {
      if (error != NULL && *error == NULL)
        g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  return call_with (client, sunk, pin, so_pin, new_pin, call, user_data, error);
}

gboolean
pin_call (Client *client,
          const Options *options,
          const char *token,
          GVariant *arguments,
          PinCall call,
          gpointer user_data,
          GError **error)
{
  return call_or_ask (client, options, token, arguments, FALSE, call, user_data, error);
}

gboolean
pin_call_so (Client *client,
             const Options *options,
             const char *token,
             GVariant *arguments,
             PinCall call,
             gpointer user_data,
             GError **error)
{
  return call_or_ask (client, options, token, arguments, TRUE, call, user_data, error);
}
