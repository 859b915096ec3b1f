/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "common/secret.h"

G_BEGIN_DECLS

/* What stands for a secret that was taken out. */
#define REDACT_MARK "(removed)"

/*
 * PINs that a configuration of Greengrass, a PKCS#11 URI or a command line has in it, of Secret: the values of
 * pin-value, SlotUserPin, userPin, pin, --userpin and --sopin. Free with g_ptr_array_unref().
 */
GPtrArray *redact_find (const char *text);

/*
 * @text without what redact_find() would find, without private keys in PEM, and without every occurrence of one of
 * @secrets (of Secret, or NULL) that has at least four characters. Any bytes; the result is valid UTF-8. Free with
 * g_free().
 */
char *redact_text (const char *text, GPtrArray *secrets);

G_END_DECLS
