/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * RFC 7512 URIs, made and read by p11-kit. @token and @id may be NULL: left out. @type: `private`, `cert` or `public`.
 * Free with g_free().
 * @pin_source: path to append as `?pin-source=`; may be NULL
 */
char *uri_for_token (const char *token);
char *uri_for_object (const char *token,
                      const char *label,
                      GBytes *id,
                      const char *type,
                      const char *pin_source);

/* What a URI of an object says; NULL where it does not. */
typedef struct
{
  char *token;
  char *label;
  GBytes *id;
  gboolean is_certificate;
  char *pin_source; /* a path, also where it is written as a `file:` URI */
  char *pin;        /* pin-value; wiped by uri_object_free() */
} UriObject;

UriObject *uri_parse_object (const char *uri, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void uri_object_free (UriObject *object);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (UriObject, uri_object_free)

G_END_DECLS
