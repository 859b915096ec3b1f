/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Extensions of a certificate request or certificate. Arrays are NULL-terminated; NULL: none.
 * @alt_names: `DNS:core-1.example.org`, `IP:192.0.2.1`, `email:x@example.org`, `URI:urn:x`
 * @key_usage: names of RFC 5280, 4.2.1.3: `digitalSignature`, `keyEncipherment`, ...
 * @ext_key_usage: `clientAuth`, `serverAuth`, ..., or an object identifier in digits
 */
typedef struct
{
  char **alt_names;
  char **key_usage;
  char **ext_key_usage;
} ExtensionParams;

void extension_params_clear (ExtensionParams *params);

/* STACK_OF (X509_EXTENSION) */
typedef struct stack_st_X509_EXTENSION ExtensionStack;

void extensions_free (ExtensionStack *stack);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ExtensionStack, extensions_free)

/*
 * Free with extensions_free(); empty where @params (may be NULL) asks for nothing.
 * Errors: GGTPM_ERROR_INVALID_ARGS naming what is wrong, with the list where there is one.
 */
ExtensionStack *extensions_new (const ExtensionParams *params,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether extensions_new() would work: for checking arguments before anything is done. */
gboolean extensions_check (const ExtensionParams *params, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
