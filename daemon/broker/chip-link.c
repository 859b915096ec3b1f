/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "chip-link.h"

#include "client/tcti/tcti-ggtpm.h"

#include <tss2/tss2_tctildr.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define OWN_TCTI "ggtpm:path="

struct _ChipLink
{
  gatomicrefcount refs; /* the broker's, and the thread's */
  char *conf;
  int event_fd;

  /* Written by the thread before the event, read after it. */
  TSS2_TCTI_CONTEXT *tcti;
  gboolean from_loader;
  int poll_fd;
  gboolean can_cancel;
  gboolean can_set_locality;
  BrokerFault fault;
  char *reason;

  GMutex lock;
  GCond wake;
  gboolean quit;
  gboolean job;

  guint8 locality; /* that the TCTI is set to */
  gboolean refused_locality;
  guint8 wanted_locality;
  guint8 command[COMMAND_MAX_SIZE];
  gsize size;
  guint8 response[COMMAND_MAX_SIZE];
  gsize response_size;
  TSS2_RC rc;
};

static void
link_unref (ChipLink *link)
{
  if (!g_atomic_ref_count_dec (&link->refs))
    return;
  if (link->tcti != NULL && link->from_loader)
    Tss2_TctiLdr_Finalize (&link->tcti);
  else if (link->tcti != NULL)
    {
      Tss2_Tcti_Finalize (link->tcti);
      g_free (link->tcti);
    }
  close (link->event_fd);
  g_mutex_clear (&link->lock);
  g_cond_clear (&link->wake);
  g_free (link->conf);
  g_free (link->reason);
  explicit_bzero (link->command, sizeof link->command);
  explicit_bzero (link->response, sizeof link->response);
  g_free (link);
}

static void
post_event (ChipLink *link)
{
  guint64 one = 1;

  if (write (link->event_fd, &one, sizeof one) != sizeof one)
    g_warning ("cannot wake the broker: %s", g_strerror (errno));
}

/* Opening */

static int
connect_socket (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd, error = 0;

  if (strlen (path) >= sizeof address.sun_path)
    {
      errno = ENAMETOOLONG;
      return -1;
    }
  memcpy (address.sun_path, path, strlen (path));
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  if (connect (fd, (const struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  error = errno;
  close (fd);
  errno = error;
  return -1;
}

/* `ggtpm:path=...`, on a socket of our own: a bare TPM at its other end takes one frame at a time, and has no ids. */
static TSS2_RC
open_own (const char *path, TSS2_TCTI_CONTEXT **out_tcti)
{
  gsize size = 0;
  int fd = connect_socket (path);

  if (fd < 0)
    return TSS2_TCTI_RC_NO_CONNECTION;
  tcti_ggtpm_init_fd (NULL, &size, fd);
  *out_tcti = g_malloc0 (size);
  return tcti_ggtpm_init_fd (*out_tcti, &size, fd);
}

static TSS2_RC
open_tcti (ChipLink *link)
{
  if (g_str_has_prefix (link->conf, OWN_TCTI))
    return open_own (link->conf + strlen (OWN_TCTI), &link->tcti);
  link->from_loader = TRUE;
  return Tss2_TctiLdr_Initialize (link->conf, &link->tcti);
}

/* The file that the configuration is about: a device node, or a socket. */
static char *
path_of (const char *conf)
{
  const char *path = strstr (conf, "path=");

  if (g_str_has_prefix (conf, "device:"))
    return g_strdup (conf + strlen ("device:"));
  if (strcmp (conf, "device") == 0)
    return g_strdup ("/dev/tpm0");
  return path != NULL ? g_strndup (path + 5, strcspn (path + 5, ",")) : NULL;
}

static int
try_device (const char *path)
{
  int fd = open (path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

  if (fd < 0)
    return errno;
  close (fd);
  return 0;
}

static int
try_socket (const char *path)
{
  int fd = connect_socket (path);

  if (fd < 0)
    return errno;
  close (fd);
  return 0;
}

static BrokerFault
fault_from_errno (int error)
{
  switch (error)
    {
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ENOTDIR:
    case ECONNREFUSED:
      return BROKER_FAULT_MISSING;
    case EBUSY:
    case EAGAIN:
      return BROKER_FAULT_BUSY;
    case EACCES:
    case EPERM:
      return BROKER_FAULT_DENIED;
    default:
      return BROKER_FAULT_IO;
    }
}

static char *
describe_fault (BrokerFault fault, const char *path, int error)
{
  switch (fault)
    {
    case BROKER_FAULT_MISSING:
      return g_strdup_printf (
          "no TPM at %s (%s): enable it in the firmware's set-up, load its driver, or name "
          "another one with Tcti= in ggtpmd.conf",
          path, g_strerror (error));
    case BROKER_FAULT_BUSY:
      return g_strdup_printf (
          "%s is in use by another program: stop that program (tpm2-abrmd?), or set "
          "Mode=alongside in ggtpmd.conf",
          path);
    case BROKER_FAULT_DENIED:
      return g_strdup_printf (
          "no permission to open %s (%s): its owner must be the user that ggtpmd runs as; "
          "check the udev rules",
          path, g_strerror (error));
    case BROKER_FAULT_NONE:
    case BROKER_FAULT_IO:
    case BROKER_FAULT_PROTOCOL:
    default:
      return g_strdup_printf ("cannot open %s: %s", path, g_strerror (error));
    }
}

/* A TCTI says IO_ERROR to everything: asks the kernel why. */
static void
explain_failure (ChipLink *link, TSS2_RC rc)
{
  g_autofree char *path = path_of (link->conf);
  int error = 0;

  if (path != NULL)
    error = g_str_has_prefix (link->conf, "device") ? try_device (path) : try_socket (path);
  if (error != 0)
    {
      link->fault = fault_from_errno (error);
      link->reason = describe_fault (link->fault, path, error);
      return;
    }
  link->fault = rc == TSS2_TCTI_RC_NO_CONNECTION ? BROKER_FAULT_MISSING : BROKER_FAULT_IO;
  link->reason = g_strdup_printf (
      "cannot open the TPM through TCTI \"%s\" (0x%08x): check Tcti= in ggtpmd.conf", link->conf,
      rc);
}

static void
probe (ChipLink *link)
{
  TSS2_TCTI_POLL_HANDLE handles[4];
  gsize n = G_N_ELEMENTS (handles);

  link->can_set_locality = Tss2_Tcti_SetLocality (link->tcti, 0) == TSS2_RC_SUCCESS;
  /* Nothing is under way: a TCTI that can cancel says so by refusing the sequence. */
  link->can_cancel = Tss2_Tcti_Cancel (link->tcti) == TSS2_TCTI_RC_BAD_SEQUENCE;
  if (Tss2_Tcti_GetPollHandles (link->tcti, handles, &n) == TSS2_RC_SUCCESS && n == 1)
    link->poll_fd = handles[0].fd;
}

static TSS2_RC
set_locality (ChipLink *link, guint8 locality)
{
  TSS2_RC rc;

  link->refused_locality = FALSE;
  if (link->locality == locality)
    return TSS2_RC_SUCCESS;
  rc = Tss2_Tcti_SetLocality (link->tcti, locality);
  if (rc == TSS2_RC_SUCCESS)
    link->locality = locality;
  link->refused_locality = rc != TSS2_RC_SUCCESS && locality != 0;
  return rc;
}

static void
run_job (ChipLink *link)
{
  link->rc = set_locality (link, link->wanted_locality);
  if (link->rc == TSS2_RC_SUCCESS)
    link->rc = Tss2_Tcti_Transmit (link->tcti, link->size, link->command);
  link->response_size = sizeof link->response;
  if (link->rc == TSS2_RC_SUCCESS)
    link->rc = Tss2_Tcti_Receive (link->tcti, &link->response_size, link->response,
                                  TSS2_TCTI_TIMEOUT_BLOCK);
}

/* FALSE: quit. */
static gboolean
wait_for_job (ChipLink *link)
{
  gboolean quit;

  g_mutex_lock (&link->lock);
  while (!link->job && !link->quit)
    g_cond_wait (&link->wake, &link->lock);
  quit = link->quit;
  link->job = FALSE;
  g_mutex_unlock (&link->lock);
  return !quit;
}

static gpointer
link_thread (gpointer data)
{
  ChipLink *link = data;
  TSS2_RC rc = open_tcti (link);

  if (rc == TSS2_RC_SUCCESS)
    probe (link);
  else
    explain_failure (link, rc);
  post_event (link);
  if (link->reason == NULL && link->poll_fd < 0)
    while (wait_for_job (link))
      {
        run_job (link);
        post_event (link);
      }
  link_unref (link);
  return NULL;
}

ChipLink *
chip_link_new (const char *conf)
{
  ChipLink *link = g_new0 (ChipLink, 1);

  g_atomic_ref_count_init (&link->refs);
  g_atomic_ref_count_inc (&link->refs);
  link->conf = g_strdup (conf);
  link->event_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  link->poll_fd = -1;
  g_mutex_init (&link->lock);
  g_cond_init (&link->wake);
  g_thread_unref (g_thread_new ("chip", link_thread, link));
  return link;
}

void
chip_link_drop (ChipLink *link)
{
  g_mutex_lock (&link->lock);
  link->quit = TRUE;
  g_cond_signal (&link->wake);
  g_mutex_unlock (&link->lock);
  link_unref (link);
}

int
chip_link_get_event_fd (const ChipLink *link)
{
  return link->event_fd;
}

gboolean
chip_link_poll (ChipLink *link)
{
  guint64 count;

  return read (link->event_fd, &count, sizeof count) == sizeof count;
}

BrokerFault
chip_link_get_fault (const ChipLink *link, const char **out_reason)
{
  *out_reason = link->reason;
  return link->fault;
}

int
chip_link_get_poll_fd (const ChipLink *link)
{
  return link->poll_fd;
}

gboolean
chip_link_can_cancel (const ChipLink *link)
{
  return link->can_cancel;
}

gboolean
chip_link_can_set_locality (const ChipLink *link)
{
  return link->can_set_locality;
}

TSS2_RC
chip_link_transmit (ChipLink *link, const guint8 *command, gsize size, guint8 locality)
{
  TSS2_RC rc = set_locality (link, locality);

  return rc != TSS2_RC_SUCCESS ? rc : Tss2_Tcti_Transmit (link->tcti, size, command);
}

TSS2_RC
chip_link_receive (ChipLink *link, guint8 *response, gsize *out_size)
{
  *out_size = COMMAND_MAX_SIZE;
  return Tss2_Tcti_Receive (link->tcti, out_size, response, TSS2_TCTI_TIMEOUT_NONE);
}

void
chip_link_start (ChipLink *link, const guint8 *command, gsize size, guint8 locality)
{
  g_mutex_lock (&link->lock);
  memcpy (link->command, command, size);
  link->size = size;
  link->wanted_locality = locality;
  link->job = TRUE;
  g_cond_signal (&link->wake);
  g_mutex_unlock (&link->lock);
}

TSS2_RC
chip_link_finish (ChipLink *link, guint8 *response, gsize *out_size)
{
  if (link->rc == TSS2_RC_SUCCESS)
    {
      memcpy (response, link->response, link->response_size);
      *out_size = link->response_size;
    }
  return link->rc;
}

gboolean
chip_link_has_refused_locality (const ChipLink *link)
{
  return link->refused_locality;
}

TSS2_RC
chip_link_cancel (ChipLink *link)
{
  return Tss2_Tcti_Cancel (link->tcti);
}
