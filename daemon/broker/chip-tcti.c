/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "chip-tcti.h"

#include <tss2/tss2_tctildr.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Threads inside TCTIs that do not return: with so many no further attempt is made until one of them does. */
#define MAX_THREADS 2

static gint n_threads;

typedef enum
{
  PHASE_DONE,
  PHASE_QUEUED, /* the thread has not sent it yet */
  PHASE_SENT,
} Phase;

/* What the threads have, also after the link was dropped. */
typedef struct
{
  gatomicrefcount refs; /* the link's, the thread's, and that of cancel_thread() */
  char *conf;
  int event_fd; /* written at every end of something */

  /* The thread's until its event, the link's after it: */
  TSS2_TCTI_CONTEXT *tcti;
  int poll_fd; /* -1: the thread transmits and receives */
  gboolean can_cancel;
  gboolean can_set_locality;
  TSS2_RC rc;
  int error; /* of opening: an errno value, 0: see rc */
  guint8 locality;
  gboolean refused_locality;
  guint8 command[COMMAND_MAX_SIZE];
  gsize size;
  guint8 wanted_locality;
  guint8 response[COMMAND_MAX_SIZE];
  gsize response_size;

  GMutex lock;
  GCond wake;
  gboolean quit;
  gboolean job;

  /* Held while the TCTI cancels, so that what is cancelled is the command that was meant and no later one. The broker's
   * thread takes it only while none is under way. */
  GMutex phase_lock;
  GCond phase_changed;
  Phase phase;
  guint serial; /* of the command */

  gint n_cancels;     /* atomic; asked for, and not carried out yet */
  gint cancel_serial; /* atomic; the command that they are about */
} Worker;

typedef struct
{
  ChipLink link;
  Loop *loop;
  Worker *worker;
  LoopWatch event; /* of the thread */
  LoopWatch poll;  /* of the TCTI itself */
  gboolean done;   /* the thread's event has come */
} ChipTcti;

static void
worker_unref (Worker *worker)
{
  if (!g_atomic_ref_count_dec (&worker->refs))
    return;
  if (worker->tcti != NULL)
    Tss2_TctiLdr_Finalize (&worker->tcti);
  close (worker->event_fd);
  g_mutex_clear (&worker->lock);
  g_cond_clear (&worker->wake);
  g_mutex_clear (&worker->phase_lock);
  g_cond_clear (&worker->phase_changed);
  g_free (worker->conf);
  explicit_bzero (worker->command, sizeof worker->command);
  explicit_bzero (worker->response, sizeof worker->response);
  g_free (worker);
}

/* In the thread */

static void
post_event (Worker *worker)
{
  guint64 one = 1;

  if (write (worker->event_fd, &one, sizeof one) != sizeof one)
    g_warning ("cannot wake the broker: %s", g_strerror (errno));
}

/* The device node, NULL: the configuration is about something else. */
static const char *
find_device (const char *conf)
{
  if (g_str_has_prefix (conf, "device:"))
    return conf + strlen ("device:");
  return strcmp (conf, "device") == 0 ? "/dev/tpm0" : NULL;
}

/* A TCTI says IO_ERROR to everything: asks the kernel why. */
static int
explain_failure (const char *conf)
{
  const char *path = find_device (conf);
  int fd = path != NULL ? open (path, O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1;

  if (fd >= 0)
    close (fd);
  return path == NULL || fd >= 0 ? 0 : errno;
}

static void
probe (Worker *worker)
{
  gboolean returns =
      find_device (worker->conf) != NULL || g_str_has_prefix (worker->conf, "tabrmd");
  TSS2_TCTI_POLL_HANDLE handles[4];
  gsize n = G_N_ELEMENTS (handles);

  worker->can_set_locality = Tss2_Tcti_SetLocality (worker->tcti, 0) == TSS2_RC_SUCCESS;
  if (returns && Tss2_Tcti_GetPollHandles (worker->tcti, handles, &n) == TSS2_RC_SUCCESS && n == 1)
    worker->poll_fd = handles[0].fd;
  /* Nothing is under way: a TCTI that can cancel says so by refusing the sequence. So do those two, but they cannot. */
  worker->can_cancel =
      worker->poll_fd < 0 && Tss2_Tcti_Cancel (worker->tcti) == TSS2_TCTI_RC_BAD_SEQUENCE;
}

static TSS2_RC
set_locality (Worker *worker, guint8 locality)
{
  TSS2_RC rc;

  worker->refused_locality = FALSE;
  if (worker->locality == locality)
    return TSS2_RC_SUCCESS;
  rc = Tss2_Tcti_SetLocality (worker->tcti, locality);
  if (rc == TSS2_RC_SUCCESS)
    worker->locality = locality;
  worker->refused_locality = rc != TSS2_RC_SUCCESS && locality != 0;
  return rc;
}

static void
set_phase (Worker *worker, Phase phase)
{
  g_mutex_lock (&worker->phase_lock);
  worker->phase = phase;
  g_cond_signal (&worker->phase_changed);
  g_mutex_unlock (&worker->phase_lock);
}

static void
run_job (Worker *worker)
{
  worker->rc = set_locality (worker, worker->wanted_locality);
  if (worker->rc == TSS2_RC_SUCCESS)
    worker->rc = Tss2_Tcti_Transmit (worker->tcti, worker->size, worker->command);
  if (worker->rc == TSS2_RC_SUCCESS)
    set_phase (worker, PHASE_SENT);
  worker->response_size = sizeof worker->response;
  if (worker->rc == TSS2_RC_SUCCESS)
    worker->rc = Tss2_Tcti_Receive (worker->tcti, &worker->response_size, worker->response,
                                    TSS2_TCTI_TIMEOUT_BLOCK);
  set_phase (worker, PHASE_DONE);
  /* Of a call that may take for ever, it is no answer. */
  if (worker->rc == TSS2_TCTI_RC_TRY_AGAIN)
    worker->rc = TSS2_TCTI_RC_IO_ERROR;
}

/* FALSE: quit. */
static gboolean
wait_for_job (Worker *worker)
{
  gboolean quit;

  g_mutex_lock (&worker->lock);
  while (!worker->job && !worker->quit)
    g_cond_wait (&worker->wake, &worker->lock);
  quit = worker->quit;
  worker->job = FALSE;
  g_mutex_unlock (&worker->lock);
  return !quit;
}

static gpointer
worker_thread (gpointer data)
{
  Worker *worker = data;
  gboolean stays;

  worker->rc = Tss2_TctiLdr_Initialize (worker->conf, &worker->tcti);
  if (worker->rc == TSS2_RC_SUCCESS)
    probe (worker);
  else
    worker->error = explain_failure (worker->conf);
  stays = worker->rc == TSS2_RC_SUCCESS && worker->poll_fd < 0;
  post_event (worker);
  while (stays && wait_for_job (worker))
    {
      run_job (worker);
      post_event (worker);
    }
  set_phase (worker, PHASE_DONE);
  worker_unref (worker);
  g_atomic_int_add (&n_threads, -1);
  return NULL;
}

/* In a thread of its own, since a TCTI may block there, too. */
static gpointer
cancel_thread (gpointer data)
{
  Worker *worker = data;

  do
    {
      guint serial = (guint)g_atomic_int_get (&worker->cancel_serial);
      TSS2_RC rc = TSS2_RC_SUCCESS;

      g_mutex_lock (&worker->phase_lock);
      while (worker->phase == PHASE_QUEUED && worker->serial == serial)
        g_cond_wait (&worker->phase_changed, &worker->phase_lock);
      if (worker->phase == PHASE_SENT && worker->serial == serial)
        rc = Tss2_Tcti_Cancel (worker->tcti);
      g_mutex_unlock (&worker->phase_lock);
      if (rc != TSS2_RC_SUCCESS)
        g_info ("the TCTI does not cancel the command (0x%08x)", rc);
    }
  while (!g_atomic_int_dec_and_test (&worker->n_cancels));
  worker_unref (worker);
  return NULL;
}

static Worker *
worker_new (const char *conf)
{
  Worker *worker = g_new0 (Worker, 1);

  g_atomic_ref_count_init (&worker->refs);
  g_atomic_ref_count_inc (&worker->refs);
  worker->conf = g_strdup (conf);
  worker->event_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  worker->poll_fd = -1;
  g_mutex_init (&worker->lock);
  g_cond_init (&worker->wake);
  g_mutex_init (&worker->phase_lock);
  g_cond_init (&worker->phase_changed);
  g_atomic_int_inc (&n_threads);
  g_thread_unref (g_thread_new ("chip", worker_thread, worker));
  return worker;
}

/* In the broker's thread */

static TSS2_RC
transmit_polled (ChipLink *link, const guint8 *command, gsize size, guint8 locality)
{
  Worker *worker = ((ChipTcti *)link)->worker;
  TSS2_RC rc = set_locality (worker, locality);

  link->refused_locality = worker->refused_locality;
  return rc != TSS2_RC_SUCCESS ? rc : Tss2_Tcti_Transmit (worker->tcti, size, command);
}

static TSS2_RC
receive_polled (ChipLink *link, guint8 *response, gsize *out_size)
{
  *out_size = COMMAND_MAX_SIZE;
  return Tss2_Tcti_Receive (((ChipTcti *)link)->worker->tcti, out_size, response,
                            TSS2_TCTI_TIMEOUT_NONE);
}

static TSS2_RC
transmit_threaded (ChipLink *link, const guint8 *command, gsize size, guint8 locality)
{
  ChipTcti *chip = (ChipTcti *)link;
  Worker *worker = chip->worker;

  link->refused_locality = FALSE;
  chip->done = FALSE;
  g_mutex_lock (&worker->phase_lock);
  worker->phase = PHASE_QUEUED;
  worker->serial++;
  g_mutex_unlock (&worker->phase_lock);
  g_mutex_lock (&worker->lock);
  memcpy (worker->command, command, size);
  worker->size = size;
  worker->wanted_locality = locality;
  worker->job = TRUE;
  g_cond_signal (&worker->wake);
  g_mutex_unlock (&worker->lock);
  return TSS2_RC_SUCCESS;
}

static TSS2_RC
receive_threaded (ChipLink *link, guint8 *response, gsize *out_size)
{
  ChipTcti *chip = (ChipTcti *)link;
  Worker *worker = chip->worker;

  if (!chip->done)
    return TSS2_TCTI_RC_TRY_AGAIN;
  link->refused_locality = worker->refused_locality;
  if (worker->rc != TSS2_RC_SUCCESS)
    return worker->rc;
  memcpy (response, worker->response, worker->response_size);
  *out_size = worker->response_size;
  return TSS2_RC_SUCCESS;
}

/* libtss2-tcti-device cannot, and no tpm2-abrmd below libtss2-tcti-tabrmd can. */
static TSS2_RC
cancel_polled (ChipLink *link)
{
  return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static TSS2_RC
cancel_threaded (ChipLink *link)
{
  Worker *worker = ((ChipTcti *)link)->worker;

  if (!link->can_cancel)
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
  g_atomic_int_set (&worker->cancel_serial, worker->serial);
  /* Of two, the second has not looked at the serial yet. */
  if (g_atomic_int_get (&worker->n_cancels) > 1)
    return TSS2_RC_SUCCESS;
  if (g_atomic_int_add (&worker->n_cancels, 1) > 0)
    return TSS2_RC_SUCCESS;
  g_atomic_ref_count_inc (&worker->refs);
  g_thread_unref (g_thread_new ("cancel", cancel_thread, worker));
  return TSS2_RC_SUCCESS;
}

static void
drop_tcti (ChipLink *link)
{
  ChipTcti *chip = (ChipTcti *)link;
  Worker *worker = chip->worker;

  loop_remove (chip->loop, &chip->event);
  loop_remove (chip->loop, &chip->poll);
  if (worker != NULL)
    {
      g_mutex_lock (&worker->lock);
      worker->quit = TRUE;
      g_cond_signal (&worker->wake);
      g_mutex_unlock (&worker->lock);
      worker_unref (worker);
    }
  chip_link_clear (link);
  g_free (chip);
}

static const ChipLinkFuncs polled_funcs = {
  .drop = drop_tcti,
  .transmit = transmit_polled,
  .receive = receive_polled,
  .cancel = cancel_polled,
};

static const ChipLinkFuncs threaded_funcs = {
  .drop = drop_tcti,
  .transmit = transmit_threaded,
  .receive = receive_threaded,
  .cancel = cancel_threaded,
};

static void
fail_opening (ChipTcti *chip)
{
  const Worker *worker = chip->worker;

  if (worker->error != 0)
    chip_link_fail_errno (&chip->link, find_device (worker->conf), worker->error);
  else
    chip_link_fail (
        &chip->link,
        worker->rc == TSS2_TCTI_RC_NO_CONNECTION ? BROKER_FAULT_MISSING : BROKER_FAULT_IO,
        g_strdup_printf (
            "cannot open the TPM through TCTI \"%s\" (0x%08x): check Tcti= in ggtpmd.conf",
            worker->conf, worker->rc));
}

static void
finish_opening (ChipTcti *chip)
{
  const Worker *worker = chip->worker;

  chip->link.opening = FALSE;
  chip->link.can_cancel = worker->can_cancel;
  chip->link.can_set_locality = worker->can_set_locality;
  if (worker->rc != TSS2_RC_SUCCESS)
    {
      fail_opening (chip);
      return;
    }
  if (worker->poll_fd < 0)
    return;
  chip->link.funcs = &polled_funcs;
  /* Edge-triggered: a peer that has hung up must not spin the loop. */
  chip_link_watch (&chip->link, chip->loop, &chip->poll, worker->poll_fd, EPOLLIN | EPOLLET);
}

static void
on_event (LoopWatch *watch, guint32 events)
{
  ChipTcti *chip = (ChipTcti *)(gpointer)((char *)watch - G_STRUCT_OFFSET (ChipTcti, event));
  guint64 count;

  if (read (chip->worker->event_fd, &count, sizeof count) != sizeof count)
    return;
  chip->done = TRUE;
  chip->link.awake = TRUE;
  if (chip->link.opening)
    finish_opening (chip);
}

static void
on_poll (LoopWatch *watch, guint32 events)
{
  ChipTcti *chip = (ChipTcti *)(gpointer)((char *)watch - G_STRUCT_OFFSET (ChipTcti, poll));

  chip->link.awake = TRUE;
  if (!chip->link.busy && (events & (EPOLLHUP | EPOLLERR)) != 0)
    chip_link_fail_hangup (&chip->link);
}

ChipLink *
chip_tcti_open (Loop *loop, const char *conf)
{
  ChipTcti *chip = g_new0 (ChipTcti, 1);

  chip->link.funcs = &threaded_funcs;
  chip->loop = loop;
  chip->event = (LoopWatch){ .ready = on_event, .fd = -1 };
  chip->poll = (LoopWatch){ .ready = on_poll, .fd = -1 };
  if (g_atomic_int_get (&n_threads) >= MAX_THREADS)
    {
      chip_link_fail (&chip->link, BROKER_FAULT_IO,
                      g_strdup_printf ("TCTI \"%s\" does not return from earlier attempts: "
                                       "restart what is below it",
                                       conf));
      return &chip->link;
    }
  chip->worker = worker_new (conf);
  chip->link.opening = TRUE;
  chip_link_watch (&chip->link, loop, &chip->event, chip->worker->event_fd, EPOLLIN);
  return &chip->link;
}
