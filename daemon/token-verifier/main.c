/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * ggtpm-token-verifier: an independent user of a key, GnuTLS on the PKCS#11 module, for the daemon to learn whether all
 * of the way to the chip works. It answers one request of token/protocol.h and ends.
 */

#include "checks.h"
#include "common/secret.h"
#include "dbus/error.h"
#include "token/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *
get_text (json_object *request, const char *name)
{
  json_object *value = NULL;

  if (!json_object_object_get_ex (request, name, &value) ||
      !json_object_is_type (value, json_type_string))
    return NULL;
  return json_object_get_string (value);
}

static json_object *
run (const char *module, json_object *json, const Secret *pin, GError **error)
{
  const char *spki = get_text (json, "spki");
  g_autoptr (GBytes) bytes = spki != NULL ? protocol_decode_bytes (spki) : NULL;
  ChecksRequest request = {
    .module = module,
    .pin = pin,
    .uri = get_text (json, "uri"),
    .cert_uri = get_text (json, "cert-uri"),
    .spki = bytes,
  };

  if (g_strcmp0 (get_text (json, "job"), PROTOCOL_JOB_VERIFY) != 0 || request.pin == NULL ||
      request.uri == NULL || request.cert_uri == NULL || bytes == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "not a request to verify");
      return NULL;
    }
  return checks_run (&request, error);
}

static json_object *
make_answer (json_object *checks, const GError *error)
{
  json_object *answer = json_object_new_object ();

  json_object_object_add (answer, "ok", json_object_new_boolean (checks != NULL));
  if (checks != NULL)
    json_object_object_add (answer, "checks", checks);
  else
    {
      json_object_object_add (answer, "error",
                              json_object_new_string (ggtpm_error_nick ((GgtpmError)error->code)));
      json_object_object_add (answer, "message", json_object_new_string (error->message));
    }
  return answer;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_auto (ProtocolRequest) input = { NULL };
  json_object *request;
  json_object *checks = NULL;
  json_object *answer;

  if (argc < 2)
    {
      g_printerr ("usage: %s PKCS11-MODULE\nThis program is started by ggtpmd.\n", argv[0]);
      return 2;
    }
  if (!secret_protect_process ())
    {
      g_printerr ("cannot protect the process: %s\n", g_strerror (errno));
      return 1;
    }
  if (!protocol_read_request (STDIN_FILENO, &input, &error))
    return 1;
  request = json_tokener_parse (input.text);
  checks = run (argv[1], request, input.pins[PROTOCOL_PIN], &error);
  answer = make_answer (checks, error);
  puts (json_object_to_json_string_ext (answer, JSON_C_TO_STRING_PLAIN));
  fflush (stdout);
  /* Without exit handlers: the module's own would run after its C_Finalize. */
  _exit (0);
}
