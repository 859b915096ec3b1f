/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* common/secret.c and common/atomic-file.c. */

#include "common/secret.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/atomic-file.h"
#include "dbus/error.h"

typedef struct
{
  GMainLoop *loop;
  Secret *secret;
  GError *error;
} Reading;

static void
on_read_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Reading *reading = user_data;

  reading->secret = secret_read_fd_finish (result, &reading->error);
  g_main_loop_quit (reading->loop);
}

static Reading
read_fd (int fd, gsize max, GCancellable *cancellable)
{
  Reading reading = { g_main_loop_new (NULL, FALSE), NULL, NULL };

  secret_read_fd_async (fd, max, cancellable, on_read_done, &reading);
  g_main_loop_run (reading.loop);
  g_clear_pointer (&reading.loop, g_main_loop_unref);
  return reading;
}

static int
make_pipe (const char *text, gsize len)
{
  int fds[2];

  g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
  g_assert_cmpint (write (fds[1], text, len), ==, (gssize)len);
  close (fds[1]);
  return fds[0];
}

static void
test_read_pipe (void)
{
  static const struct
  {
    const char *text;
    gsize len;
    const char *expected;
  } rows[] = {
    { "1234", 4, "1234" },         { "1234\n", 5, "1234" },  { "12\n34\n", 6, "12" },
    { "12345678", 8, "12345678" }, { "", 0, NULL },          { "\n", 1, NULL },
    { "1\0002", 3, NULL },         { "123456789", 9, NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      int fd = make_pipe (rows[i].text, rows[i].len);
      Reading reading = read_fd (fd, 8, NULL);

      close (fd);
      if (rows[i].expected != NULL)
        {
          g_assert_no_error (reading.error);
          g_assert_cmpstr (secret_peek (reading.secret), ==, rows[i].expected);
          g_assert_cmpuint (secret_get_length (reading.secret), ==, strlen (rows[i].expected));
        }
      else
        g_assert_error (reading.error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
      g_clear_pointer (&reading.secret, secret_free);
      g_clear_error (&reading.error);
    }
}

static void
test_read_memfd (void)
{
  int fd = memfd_create ("pin", MFD_CLOEXEC);
  Reading reading;

  g_assert_cmpint (write (fd, "geheim", 6), ==, 6);
  reading = read_fd (fd, 128, NULL);
  g_assert_no_error (reading.error);
  g_assert_cmpstr (secret_peek (reading.secret), ==, "geheim");
  secret_free (reading.secret);
  close (fd);
}

static void
test_read_other (void)
{
  int fd = open ("/proc/self/status", O_RDONLY | O_CLOEXEC);
  Reading reading = read_fd (fd, 128, NULL);

  g_assert_error (reading.error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
  g_clear_error (&reading.error);
  close (fd);
}

static gboolean
cancel (gpointer user_data)
{
  g_cancellable_cancel (user_data);
  return G_SOURCE_REMOVE;
}

static void
test_read_cancelled (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  int fds[2];
  Reading reading;

  g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
  g_idle_add (cancel, cancellable);
  reading = read_fd (fds[0], 128, cancellable);
  g_assert_error (reading.error, GGTPM_ERROR, GGTPM_ERROR_CANCELLED);
  g_clear_error (&reading.error);
  close (fds[0]);
  close (fds[1]);
}

static void
test_random (void)
{
  static const guint8 mix[] = { 1, 2, 3 };
  g_autoptr (Secret) a = secret_new_random_hex (32, mix, sizeof mix);
  g_autoptr (Secret) b = secret_new_random_hex (32, NULL, 0);

  g_assert_cmpuint (secret_get_length (a), ==, 64);
  g_assert_cmpuint (strspn (secret_peek (a), "0123456789abcdef"), ==, 64);
  g_assert_cmpstr (secret_peek (a), !=, secret_peek (b));
}

static void
test_file (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("secret.XXXXXX", &error);
  g_autofree char *path = g_build_filename (dir, "pin", NULL);
  g_autoptr (Secret) secret = secret_new ("123456", 6);
  g_autoptr (Secret) back = NULL;
  struct stat st;

  g_assert_true (secret_write_file (secret, path, 0640, getgid (), &error));
  g_assert_no_error (error);
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 07777, ==, 0640);
  back = secret_read_file (path, &error);
  g_assert_cmpstr (secret_peek (back), ==, "123456");
  g_unlink (path);
  g_clear_pointer (&back, secret_free);
  back = secret_read_file (path, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_cmpint (g_rmdir (dir), ==, 0);
}

/* Nothing may be left beside the old file when the disk is full: RLIMIT_FSIZE stands in for it. */
static void
test_full_disk (void)
{
  g_autofree char *dir = g_dir_make_tmp ("full.XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "file", NULL);
  g_autofree char *big = g_strnfill (8192, 'x');
  g_autofree char *contents = NULL;
  pid_t pid;
  int status;

  g_assert_true (atomic_file_write (path, "old", 3, 0600, (gid_t)-1, NULL));
  pid = fork ();
  if (pid == 0)
    {
      struct rlimit limit = { 4096, 4096 };

      signal (SIGXFSZ, SIG_IGN);
      setrlimit (RLIMIT_FSIZE, &limit);
      _exit (atomic_file_write (path, big, 8192, 0600, (gid_t)-1, NULL) ? 1 : 0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 0);
  g_assert_true (g_file_get_contents (path, &contents, NULL, NULL));
  g_assert_cmpstr (contents, ==, "old");
  g_unlink (path);
  g_assert_cmpint (g_rmdir (dir), ==, 0);
}

static void
test_random_pin (void)
{
  static const guint8 mix[] = { 1, 2, 3, 4 };
  g_autoptr (Secret) a = secret_new_random_pin (mix, sizeof mix);
  g_autoptr (Secret) b = secret_new_random_pin (NULL, 0);

  g_assert_cmpuint (secret_get_length (a), ==, SECRET_PIN_LENGTH);
  g_assert_cmpuint (strspn (secret_peek (a), "abcdefghijklmnopqrstuvwxyz234567"), ==,
                    SECRET_PIN_LENGTH);
  g_assert_cmpstr (secret_peek (a), !=, secret_peek (b));
}

static void
test_leftovers (void)
{
  static const char *const stay[] = { "file", ".hidden", "..lock", "file.ggtpm-new",
                                      ".file.ABCDEF" };
  static const char *const go[] = { ".file.ggtpm-new", ".provision.json.ggtpm-new" };
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("leftovers.XXXXXX", &error);
  g_autofree char *subdir = g_build_filename (dir, ".dir.ggtpm-new", NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (stay) + G_N_ELEMENTS (go); i++)
    {
      const char *name = i < G_N_ELEMENTS (stay) ? stay[i] : go[i - G_N_ELEMENTS (stay)];
      g_autofree char *path = g_build_filename (dir, name, NULL);

      g_assert_true (g_file_set_contents (path, "x", 1, NULL));
    }
  g_assert_cmpint (g_mkdir (subdir, 0700), ==, 0);
  g_assert_true (atomic_file_remove_leftovers (dir, &error));
  g_assert_no_error (error);

  for (gsize i = 0; i < G_N_ELEMENTS (go); i++)
    {
      g_autofree char *path = g_build_filename (dir, go[i], NULL);

      g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
    }
  for (gsize i = 0; i < G_N_ELEMENTS (stay); i++)
    {
      g_autofree char *path = g_build_filename (dir, stay[i], NULL);

      g_assert_cmpint (g_remove (path), ==, 0);
    }
  g_assert_cmpint (g_rmdir (subdir), ==, 0);
  g_assert_cmpint (g_rmdir (dir), ==, 0);
  g_assert_false (atomic_file_remove_leftovers (dir, &error));
  g_assert_nonnull (error);
}

/* What a killed writer left is gone with the next one, whatever it is. */
static void
test_next_writer (void)
{
  g_autofree char *dir = g_dir_make_tmp ("next.XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "file", NULL);
  g_autofree char *temporary = g_build_filename (dir, ".file.ggtpm-new", NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *contents = NULL;

  g_assert_true (g_file_set_contents (temporary, "a PIN", -1, NULL));
  g_assert_true (atomic_file_write (path, "1", 1, 0600, (gid_t)-1, &error));
  g_assert_no_error (error);
  g_assert_false (g_file_test (temporary, G_FILE_TEST_EXISTS));

  g_assert_cmpint (symlink (path, temporary), ==, 0);
  g_assert_true (atomic_file_write (path, "2", 1, 0600, (gid_t)-1, &error));
  g_assert_no_error (error);
  g_assert_false (g_file_test (temporary, G_FILE_TEST_IS_SYMLINK));
  g_assert_true (g_file_get_contents (path, &contents, NULL, NULL));
  g_assert_cmpstr (contents, ==, "2");

  g_assert_true (g_file_set_contents (temporary, "a PIN", -1, NULL));
  g_assert_true (atomic_file_forget (path, &error));
  g_assert_no_error (error);
  g_assert_false (g_file_test (temporary, G_FILE_TEST_EXISTS));
  g_assert_true (atomic_file_forget (path, &error));
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));

  g_unlink (path);
  g_assert_cmpint (g_rmdir (dir), ==, 0);
}

/* Of writers at the same time each one's file is whole, and none of them fails. */
static void
test_writers (void)
{
  g_autofree char *dir = g_dir_make_tmp ("writers.XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "file", NULL);
  pid_t pids[3];

  for (guint i = 0; i < G_N_ELEMENTS (pids); i++)
    {
      pids[i] = fork ();
      if (pids[i] == 0)
        {
          g_autofree char *text = g_strnfill (20000, (char)('a' + i));

          for (guint n = 0; n < 100; n++)
            if (!atomic_file_write (path, text, 20000, 0600, (gid_t)-1, NULL))
              _exit (1);
          _exit (0);
        }
    }
  for (guint left = G_N_ELEMENTS (pids); left > 0;)
    {
      g_autofree char *contents = NULL;
      gsize len = 0;
      int status;

      if (waitpid (-1, &status, WNOHANG) > 0)
        {
          g_assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 0);
          left--;
        }
      if (!g_file_get_contents (path, &contents, &len, NULL))
        continue;
      g_assert_cmpuint (len, ==, 20000);
      g_assert_cmpuint (strspn (contents, (char[]){ contents[0], '\0' }), ==, 20000);
    }
  g_unlink (path);
  g_assert_cmpint (g_rmdir (dir), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/secret/read-pipe", test_read_pipe);
  g_test_add_func ("/secret/read-memfd", test_read_memfd);
  g_test_add_func ("/secret/read-other", test_read_other);
  g_test_add_func ("/secret/read-cancelled", test_read_cancelled);
  g_test_add_func ("/secret/random", test_random);
  g_test_add_func ("/secret/file", test_file);
  g_test_add_func ("/atomic-file/full-disk", test_full_disk);
  g_test_add_func ("/secret/random-pin", test_random_pin);
  g_test_add_func ("/atomic-file/leftovers", test_leftovers);
  g_test_add_func ("/atomic-file/next-writer", test_next_writer);
  g_test_add_func ("/atomic-file/writers", test_writers);
  return g_test_run ();
}
