/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * RFC 7512 URIs, made by p11-kit. @token and @id may be NULL: left out. @type: `private`, `cert` or `public`. Free with
 * g_free().
 * @pin_source: path to append as `?pin-source=`; may be NULL
 */
char *uri_for_token (const char *token);
char *uri_for_object (const char *token,
                      const char *label,
                      GBytes *id,
                      const char *type,
                      const char *pin_source);

G_END_DECLS
