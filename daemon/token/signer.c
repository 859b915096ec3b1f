/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "signer.h"

#include "dbus/error.h"
#include "token/helper-jobs.h"
#include "token/protocol.h"

#include <errno.h>
#include <glib-unix.h>
#include <sys/socket.h>

/* As many as may wait on the token lane. They fit into the socket. */
#define MAX_WAITING 64

#define TIMEOUT_S 60

struct _Signer
{
  HelperLine *line; /* NULL: none */
  GSource *
      answers; /* of @line; its ready time is the deadline of the request that has waited longest */
  GHashTable *tickets;
  GQueue waiting; /* of Request, in the order of the answers */
};

typedef struct
{
  char *key; /* of the table of tickets */
  gint64 deadline;
  SignerDone done;
  gpointer user_data;
} Request;

static char *
make_key (const char *token, GBytes *id)
{
  g_autofree char *hex = protocol_encode_bytes (id);

  return g_strconcat (hex, "\n", token, NULL);
}

/* ---- answers ---- */

static void
set_deadline (Signer *signer)
{
  const Request *first = g_queue_peek_head (&signer->waiting);

  g_source_set_ready_time (signer->answers, first != NULL ? first->deadline : -1);
}

/* Takes @request and @error. */
static void
end_request (Request *request, HelperLine *line, GBytes *signature, GError *error)
{
  request->done (signature, line, error, request->user_data);
  g_free (request->key);
  g_free (request);
}

/* All that waits ends with @code. */
static void
drop_line (Signer *signer, GgtpmError code)
{
  HelperLine *line = g_steal_pointer (&signer->line);
  GQueue waiting = signer->waiting;
  Request *request;

  if (line == NULL)
    return;
  g_queue_init (&signer->waiting);
  g_hash_table_remove_all (signer->tickets);
  g_source_destroy (signer->answers);
  g_clear_pointer (&signer->answers, g_source_unref);
  while ((request = g_queue_pop_head (&waiting)) != NULL)
    end_request (request, line, NULL,
                 g_error_new (GGTPM_ERROR, (gint)code,
                              "the signature was not made: the daemon or "
                              "its token helper is stopping"));
  helper_line_unref (line);
}

static void
give_up (Signer *signer)
{
  Request *request = g_queue_pop_head (&signer->waiting);

  helper_line_kill (signer->line);
  end_request (request, signer->line, NULL,
               g_error_new (GGTPM_ERROR, GGTPM_ERROR_TIMEOUT,
                            "signing: no answer in %d s, the token helper was ended", TIMEOUT_S));
  drop_line (signer, GGTPM_ERROR_FAILED);
}

static void
take_answer (Signer *signer, const char *text)
{
  Request *request = g_queue_pop_head (&signer->waiting);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GBytes) signature = helper_jobs_parse_signing (text, &local_error);

  set_deadline (signer);
  if (signature == NULL)
    {
      g_hash_table_remove (signer->tickets, request->key);
      g_clear_error (&local_error);
      local_error = g_error_new (GGTPM_ERROR, GGTPM_ERROR_FAILED, "the warm signer did not sign");
    }
  end_request (request, signer->line, signature, g_steal_pointer (&local_error));
}

static gboolean
on_answer (int fd, GIOCondition condition, gpointer user_data)
{
  Signer *signer = user_data;
  char text[PROTOCOL_MAX_MESSAGE + 1];
  ssize_t n;

  if (condition == 0)
    {
      give_up (signer);
      return G_SOURCE_REMOVE;
    }
  n = recv (fd, text, PROTOCOL_MAX_MESSAGE, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  if (n <= 0 || g_queue_is_empty (&signer->waiting))
    {
      drop_line (signer, GGTPM_ERROR_FAILED);
      return G_SOURCE_REMOVE;
    }
  text[n] = '\0';
  take_answer (signer, text);
  return G_SOURCE_CONTINUE;
}

/* ---- tickets ---- */

void
signer_add (Signer *signer, const char *token, GBytes *id, TokenTicket *ticket)
{
  if (ticket->line == NULL)
    return;
  if (ticket->line != signer->line)
    {
      drop_line (signer, GGTPM_ERROR_FAILED);
      signer->line = helper_line_ref (ticket->line);
      signer->answers = g_unix_fd_source_new (helper_line_get_fd (signer->line), G_IO_IN);
      g_source_set_callback (signer->answers, G_SOURCE_FUNC (on_answer), signer, NULL);
      g_source_attach (signer->answers, NULL);
    }
  g_hash_table_replace (signer->tickets, make_key (token, id), g_steal_pointer (&ticket->number));
  token_ticket_clear (ticket);
}

Signer *
signer_new (void)
{
  Signer *signer = g_new0 (Signer, 1);

  signer->tickets = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_queue_init (&signer->waiting);
  return signer;
}

void
signer_free (Signer *signer)
{
  drop_line (signer, GGTPM_ERROR_CANCELLED);
  g_hash_table_unref (signer->tickets);
  g_free (signer);
}

/* ---- requests ---- */

static gboolean
send_request (Signer *signer,
              const char *ticket,
              const char *mechanism,
              const char *hash,
              GBytes *digest)
{
  gsize len = 0;
  g_autofree char *text = helper_jobs_make_signing (ticket, mechanism, hash, digest, &len);

  return send (helper_line_get_fd (signer->line), text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

gboolean
signer_sign (Signer *signer,
             const char *token,
             GBytes *id,
             const char *mechanism,
             const char *hash,
             GBytes *digest,
             SignerDone done,
             gpointer user_data)
{
  g_autofree char *key = make_key (token, id);
  const char *ticket = g_hash_table_lookup (signer->tickets, key);
  Request *request;

  if (ticket == NULL)
    return FALSE;
  if (signer->waiting.length >= MAX_WAITING)
    {
      done (NULL, signer->line,
            g_error_new (GGTPM_ERROR, GGTPM_ERROR_BUSY,
                         "%d signatures are waiting for the TPM; try again later", MAX_WAITING),
            user_data);
      return TRUE;
    }
  /* A helper that is gone: its end is seen when the loop goes on. */
  if (!send_request (signer, ticket, mechanism, hash, digest))
    return FALSE;
  request = g_new0 (Request, 1);
  request->key = g_steal_pointer (&key);
  request->deadline = g_get_monotonic_time () + (gint64)TIMEOUT_S * G_USEC_PER_SEC;
  request->done = done;
  request->user_data = user_data;
  g_queue_push_tail (&signer->waiting, request);
  set_deadline (signer);
  return TRUE;
}
