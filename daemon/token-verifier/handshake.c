/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "handshake.h"

#include "dbus/error.h"

#include <gnutls/x509.h>

#include <errno.h>
#include <string.h>

/* Messages each way; TLS 1.2 takes two of each side. */
#define MAX_TURNS 64

/* One side; what it sends goes into the inbox of the other. */
typedef struct _Side Side;
struct _Side
{
  gnutls_session_t session;
  GByteArray *inbox;
  Side *peer;
  gboolean done;
};

static ssize_t
push (gnutls_transport_ptr_t data, const void *bytes, size_t len)
{
  Side *side = data;

  g_byte_array_append (side->peer->inbox, bytes, (guint)len);
  return (ssize_t)len;
}

static ssize_t
pull (gnutls_transport_ptr_t data, void *bytes, size_t len)
{
  Side *side = data;
  guint n = (guint)MIN (len, side->inbox->len);

  if (n == 0)
    {
      gnutls_transport_set_errno (side->session, EAGAIN);
      return -1;
    }
  memcpy (bytes, side->inbox->data, n);
  g_byte_array_remove_range (side->inbox, 0, n);
  return (ssize_t)n;
}

static int
pull_timeout (gnutls_transport_ptr_t data, unsigned int timeout_ms)
{
  Side *side = data;

  return side->inbox->len > 0 ? 1 : 0;
}

static void
side_clear (Side *side)
{
  if (side->session != NULL)
    gnutls_deinit (side->session);
  g_clear_pointer (&side->inbox, g_byte_array_unref);
}

/* Returns a code of GnuTLS. */
static int
side_init (Side *side,
           Side *peer,
           unsigned int flags,
           gnutls_certificate_credentials_t credentials,
           const char *priority)
{
  int code = gnutls_init (&side->session, flags | GNUTLS_NONBLOCK);

  side->inbox = g_byte_array_new ();
  side->peer = peer;
  if (code < 0)
    return code;
  gnutls_transport_set_ptr (side->session, side);
  gnutls_transport_set_push_function (side->session, push);
  gnutls_transport_set_pull_function (side->session, pull);
  gnutls_transport_set_pull_timeout_function (side->session, pull_timeout);
  gnutls_handshake_set_timeout (side->session, GNUTLS_INDEFINITE_TIMEOUT);
  code = gnutls_priority_set_direct (side->session, priority, NULL);
  if (code < 0)
    return code;
  if ((flags & GNUTLS_SERVER) != 0)
    gnutls_certificate_server_set_request (side->session, GNUTLS_CERT_REQUIRE);
  return gnutls_credentials_set (side->session, GNUTLS_CRD_CERTIFICATE, credentials);
}

/* Whether the peer has shown @certificate; that it has its key the handshake has proved. */
static gboolean
is_peer (gnutls_session_t session, const gnutls_datum_t *certificate)
{
  unsigned int n = 0;
  const gnutls_datum_t *chain = gnutls_certificate_get_peers (session, &n);

  return chain != NULL && n > 0 && chain[0].size == certificate->size &&
         memcmp (chain[0].data, certificate->data, certificate->size) == 0;
}

static int
shake_hands (Side *client, Side *server)
{
  Side *const sides[] = { client, server };

  for (guint turn = 0; turn < MAX_TURNS && !(client->done && server->done); turn++)
    {
      Side *side = sides[turn % 2];
      int code = side->done ? GNUTLS_E_SUCCESS : gnutls_handshake (side->session);

      if (code == GNUTLS_E_SUCCESS)
        side->done = TRUE;
      else if (gnutls_error_is_fatal (code))
        return code;
    }
  return client->done && server->done ? GNUTLS_E_SUCCESS : GNUTLS_E_TIMEDOUT;
}

static gboolean
send_word (Side *from, Side *to)
{
  static const char word[] = "ggtpm";
  char heard[sizeof word] = { 0 };
  ssize_t n;

  if (gnutls_record_send (from->session, word, sizeof word) != (ssize_t)sizeof word)
    return FALSE;
  /* In TLS 1.3 tickets may come first. */
  for (guint i = 0; i < MAX_TURNS; i++)
    {
      n = gnutls_record_recv (to->session, heard, sizeof heard);
      if (n != GNUTLS_E_AGAIN && n != GNUTLS_E_INTERRUPTED)
        return n == (ssize_t)sizeof word && memcmp (heard, word, sizeof word) == 0;
    }
  return FALSE;
}

static gboolean
run (gnutls_certificate_credentials_t credentials,
     const gnutls_datum_t *certificate,
     const char *priority,
     GError **error)
{
  Side client = { 0 };
  Side server = { 0 };
  const char *problem = NULL;
  int code = side_init (&client, &server, GNUTLS_CLIENT, credentials, priority);

  if (code >= 0)
    code = side_init (&server, &client, GNUTLS_SERVER, credentials, priority);
  if (code >= 0)
    code = shake_hands (&client, &server);
  if (code < 0)
    problem = gnutls_strerror (code);
  else if (!is_peer (client.session, certificate) || !is_peer (server.session, certificate))
    problem = "a side has shown another certificate";
  else if (!send_word (&client, &server) || !send_word (&server, &client))
    problem = "what was sent did not come through";
  side_clear (&client);
  side_clear (&server);
  if (problem != NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "%s", problem);
  return problem == NULL;
}

static int
add_key (gnutls_certificate_credentials_t credentials,
         gnutls_privkey_t key,
         const gnutls_datum_t *certificate)
{
  gnutls_pcert_st *chain = gnutls_malloc (sizeof *chain);
  int code = GNUTLS_E_MEMORY_ERROR;

  if (chain != NULL)
    code = gnutls_pcert_import_x509_raw (chain, certificate, GNUTLS_X509_FMT_DER, 0);
  if (code >= 0)
    code = gnutls_certificate_set_key (credentials, NULL, 0, chain, 1, key);
  return code;
}

gboolean
handshake_run (gnutls_privkey_t key,
               gnutls_x509_crt_t certificate,
               gnutls_protocol_t version,
               GError **error)
{
  const char *priority =
      version == GNUTLS_TLS1_3 ? "NORMAL:-VERS-ALL:+VERS-TLS1.3" : "NORMAL:-VERS-ALL:+VERS-TLS1.2";
  gnutls_certificate_credentials_t credentials = NULL;
  gnutls_datum_t der = { NULL, 0 };
  gboolean done = FALSE;
  int code = gnutls_x509_crt_export2 (certificate, GNUTLS_X509_FMT_DER, &der);

  if (code >= 0)
    code = gnutls_certificate_allocate_credentials (&credentials);
  if (code >= 0)
    code = add_key (credentials, key, &der);
  if (code >= 0)
    done = run (credentials, &der, priority, error);
  else
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "%s", gnutls_strerror (code));
  /* The credentials own the key that they were given: freed by the caller, once, at the process' end. */
  gnutls_free (der.data);
  return done;
}
