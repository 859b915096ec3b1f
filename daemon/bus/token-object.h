/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"

G_BEGIN_DECLS

/* TokenObject: org.ggtpm1.Token on /org/ggtpm1/token/LABEL, with the objects of its keys. */
typedef struct _TokenObject TokenObject;

/* Exports it and its keys. @context outlives it. */
TokenObject *token_object_new (const Context *context, const TokenInfo *token);
/* Unexports all. */
void token_object_free (TokenObject *object);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TokenObject, token_object_free)

/* Shows what @token says now; makes and removes the objects of keys. */
void token_object_update (TokenObject *object, const TokenInfo *token);

G_END_DECLS
