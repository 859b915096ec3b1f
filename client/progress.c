/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "progress.h"

#include "client/output.h"
#include "dbus/error.h"
#include "dbus/names.h"

#include <glib-unix.h>

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_WIDTH     20
#define DEFAULT_WIDTH 80
/* A step that takes longer says for how long it has been waited for: an RSA key may take a minute. */
#define LONG_STEP_S 3

typedef struct
{
  Client *client;
  GgtpmJob *job;
  const char *hint;
  GMainLoop *loop;
  gboolean on_terminal;
  gboolean line_shown;
  char *step;     /* last one shown */
  gint64 step_us; /* monotonic: since when */

  GVariant *result;
  GError *error;
} Wait;

char *
progress_format (double progress, const char *step, gsize width)
{
  double part = CLAMP (progress, 0.0, 1.0);
  int n_full = (int)(part * BAR_WIDTH + 0.5);
  g_autofree char *clean = output_clean (step);
  GString *line = g_string_new ("[");

  for (int i = 0; i < BAR_WIDTH; i++)
    g_string_append_c (line, i < n_full ? '#' : '.');
  g_string_append_printf (line, "] %3d%% ", (int)(part * 100.0 + 0.5));
  for (const char *at = clean; *at != '\0'; at = g_utf8_next_char (at))
    {
      gsize len = (gsize)(g_utf8_next_char (at) - at);
      gsize before = line->len;

      g_string_append_len (line, at, (gssize)len);
      if (output_width (line->str) > width)
        {
          g_string_truncate (line, before);
          break;
        }
    }
  return g_string_free (line, FALSE);
}

/* One less than there are: the cursor stays on the line. */
static gsize
get_terminal_width (void)
{
  struct winsize size = { 0 };

  if (ioctl (STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2)
    return DEFAULT_WIDTH - 1;
  return size.ws_col - 1u;
}

/* Returns whether it is another one. */
static gboolean
take_step (Wait *wait)
{
  const char *step = ggtpm_job_get_step (wait->job);

  if (step == NULL || step[0] == '\0' || g_strcmp0 (step, wait->step) == 0)
    return FALSE;
  g_free (wait->step);
  wait->step = g_strdup (step);
  wait->step_us = g_get_monotonic_time ();
  return TRUE;
}

static void
show_line (Wait *wait)
{
  g_autoptr (GString) text = NULL;
  g_autofree char *line = NULL;
  gint64 waited_s;

  (void)take_step (wait);
  text = g_string_new (wait->step);
  waited_s = (g_get_monotonic_time () - wait->step_us) / G_USEC_PER_SEC;
  if (wait->step != NULL && waited_s >= LONG_STEP_S)
    g_string_append_printf (text, ", %" G_GINT64_FORMAT " s", waited_s);
  line = progress_format (ggtpm_job_get_progress (wait->job), text->str, get_terminal_width ());

  fprintf (stderr, "\r\033[K%s", line);
  fflush (stderr);
  wait->line_shown = TRUE;
}

static void
show_step (Wait *wait)
{
  g_autofree char *clean = NULL;

  if (!take_step (wait))
    return;
  clean = output_clean (wait->step);
  fprintf (stderr, "%s\n", clean);
}

static void
show (Wait *wait)
{
  if (wait->client->json || wait->hint == NULL)
    return;
  if (wait->on_terminal)
    show_line (wait);
  else
    show_step (wait);
}

static gboolean
on_tick (gpointer user_data)
{
  show_line (user_data);
  return G_SOURCE_CONTINUE;
}

static void
clear_line (Wait *wait)
{
  if (wait->line_shown)
    {
      fputs ("\r\033[K", stderr);
      fflush (stderr);
    }
}

static void
end_with_error (Wait *wait, GgtpmError code, const char *text)
{
  if (wait->error == NULL && wait->result == NULL)
    wait->error =
        g_error_new (GGTPM_ERROR, (int)code, "%s%s%s", text, wait->hint != NULL ? ": " : "",
                     wait->hint != NULL ? wait->hint : "");
  g_main_loop_quit (wait->loop);
}

/* Ends the waiting if @state is an end. */
static void
take_end (Wait *wait, const char *state, GVariant *failure, GVariant *result)
{
  const char *name = NULL;
  const char *text = NULL;

  if (wait->error != NULL || wait->result != NULL)
    return;
  if (g_strcmp0 (state, "done") == 0)
    {
      wait->result = result != NULL ? g_variant_ref (result)
                                    : g_variant_ref_sink (g_variant_new ("a{sv}", NULL));
      g_main_loop_quit (wait->loop);
    }
  else if (g_strcmp0 (state, "failed") == 0 || g_strcmp0 (state, "cancelled") == 0)
    {
      if (failure != NULL)
        g_variant_get (failure, "(&s&s)", &name, &text);
      wait->error = g_dbus_error_new_for_dbus_error (
          name != NULL && g_dbus_is_name (name) ? name : "org.ggtpm1.Error.Failed",
          text != NULL && text[0] != '\0' ? text : "the job ended without a reason");
      g_dbus_error_strip_remote_error (wait->error);
      g_main_loop_quit (wait->loop);
    }
}

static void
on_properties_changed (GDBusProxy *proxy, GVariant *changed, GStrv invalidated, gpointer user_data)
{
  Wait *wait = user_data;

  show (wait);
  take_end (wait, ggtpm_job_get_state (wait->job), ggtpm_job_get_error (wait->job),
            ggtpm_job_get_result (wait->job));
}

static void
on_finished (GgtpmJob *job,
             const char *state,
             GVariant *failure,
             GVariant *result,
             gpointer user_data)
{
  take_end (user_data, state, failure, result);
}

static void
on_owner_changed (GObject *proxy, GParamSpec *pspec, gpointer user_data)
{
  g_autofree char *owner = g_dbus_proxy_get_name_owner (G_DBUS_PROXY (proxy));

  if (owner == NULL)
    end_with_error (user_data, GGTPM_ERROR_UNAVAILABLE, "ggtpmd stopped meanwhile");
}

static void
on_closed (GDBusConnection *connection, gboolean vanished, GError *why, gpointer user_data)
{
  end_with_error (user_data, GGTPM_ERROR_UNAVAILABLE, "the system bus went away");
}

static gboolean
on_interrupt (gpointer user_data)
{
  end_with_error (user_data, GGTPM_ERROR_CANCELLED, "not waited for, the job goes on");
  return G_SOURCE_CONTINUE;
}

static gboolean
on_timeout (gpointer user_data)
{
  end_with_error (user_data, GGTPM_ERROR_TIMEOUT, "no end in time, the job goes on");
  return G_SOURCE_CONTINUE;
}

/* The proxy is subscribed before it reads the properties: an end is either in them or still to come. */
static void
run (Wait *wait)
{
  guint interrupt = g_unix_signal_add (SIGINT, on_interrupt, wait);
  guint timeout = 0;
  guint tick = 0;
  gulong closed =
      g_signal_connect (wait->client->connection, "closed", G_CALLBACK (on_closed), wait);

  if (wait->client->timeout_s > 0)
    timeout = g_timeout_add ((guint)client_get_timeout_ms (wait->client), on_timeout, wait);
  g_signal_connect (wait->job, "g-properties-changed", G_CALLBACK (on_properties_changed), wait);
  g_signal_connect (wait->job, "finished", G_CALLBACK (on_finished), wait);
  g_signal_connect (wait->job, "notify::g-name-owner", G_CALLBACK (on_owner_changed), wait);

  show (wait);
  if (wait->line_shown)
    tick = g_timeout_add_seconds (1, on_tick, wait);
  take_end (wait, ggtpm_job_get_state (wait->job), ggtpm_job_get_error (wait->job),
            ggtpm_job_get_result (wait->job));
  if (wait->error == NULL && wait->result == NULL)
    g_main_loop_run (wait->loop);

  clear_line (wait);
  g_source_remove (interrupt);
  g_clear_handle_id (&timeout, g_source_remove);
  g_clear_handle_id (&tick, g_source_remove);
  g_signal_handler_disconnect (wait->client->connection, closed);
  g_signal_handlers_disconnect_by_data (wait->job, wait);
}

GVariant *
progress_wait (Client *client, const char *job_path, const char *hint, GError **error)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GgtpmJob) job = NULL;
  Wait wait = { .client = client, .hint = hint, .loop = loop };

  job = ggtpm_job_proxy_new_sync (client->connection, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START,
                                  GGTPM_BUS_NAME, job_path, NULL, error);
  if (job == NULL)
    return NULL;

  wait.job = job;
  wait.on_terminal = isatty (STDERR_FILENO) == 1;
  run (&wait);
  g_free (wait.step);
  if (wait.error != NULL)
    g_propagate_error (error, wait.error);
  return wait.result;
}

void
progress_tell (Client *client, const char *step)
{
  if (!client->json && isatty (STDERR_FILENO) != 1)
    fprintf (stderr, "%s\n", step);
}
