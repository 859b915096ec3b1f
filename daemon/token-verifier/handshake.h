/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * A TLS handshake of this process with itself, in memory, both sides proving themselves by @key and @certificate, and a
 * few bytes in each direction.
 * @version: GNUTLS_TLS1_2 or GNUTLS_TLS1_3, nothing else is offered. Errors: GGTPM_ERROR_FAILED with GnuTLS' reason.
 */
gboolean handshake_run (gnutls_privkey_t key,
                        gnutls_x509_crt_t certificate,
                        gnutls_protocol_t version,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
