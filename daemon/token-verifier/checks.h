/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "common/secret.h"

#include <json-c/json.h>

G_BEGIN_DECLS

typedef struct
{
  const char *module; /* the PKCS#11 module's path */
  const Secret *pin;
  const char *uri;      /* of the private key */
  const char *cert_uri; /* of the certificate */
  GBytes *spki;         /* that the key must have; SubjectPublicKeyInfo, DER */
} ChecksRequest;

/*
 * What GnuTLS can do with the key by itself: logs in, signs and verifies, compares the certificate, does TLS. Once in a
 * process: what it has opened ends with that. Returns an array as the answer's member `checks` (token/protocol.h).
 * Errors: GGTPM_ERROR_AUTH_FAILED: the PIN was refused, once; GGTPM_ERROR_LOCKED_OUT, GGTPM_ERROR_FAILED.
 */
json_object *checks_run (const ChecksRequest *request, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
