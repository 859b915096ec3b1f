/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "client/client.h"
#include "client/commands.h"

G_BEGIN_DECLS

/* KeyCall: what one call of a key method needs and gives. */
typedef struct
{
  GgtpmKey *key;
  GgtpmToken *token;
  const char *label;
  const char *algorithm;
  const char *pem;
  GVariant *data;      /* ay */
  char *text;          /* out: CSR, certificate, public key */
  GVariant *signature; /* ay: out; in for Verify */
  GVariant *result;    /* out: the job's */
} KeyCall;

void key_call_clear (KeyCall *call);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KeyCall, key_call_clear)

/* Connects; the key that the first argument names, and the label of its token. */
gboolean key_call_find (Client *client,
                        const Options *options,
                        KeyCall *call,
                        char **out_token,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The options of a request: subject and extensions. */
void key_call_add_request (const Options *options, GVariantBuilder *dict);

/* A text that was made: to --out, to standard output, or into JSON as @name. */
gboolean key_call_print (Client *client,
                         const Options *options,
                         const KeyCall *call,
                         const char *token,
                         const char *name,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
