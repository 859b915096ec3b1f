/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"

G_BEGIN_DECLS

/* KeyObject: org.ggtpm1.Key on /org/ggtpm1/token/LABEL/key/ID. */
typedef struct _KeyObject KeyObject;

/* Exports it. @context outlives it. */
KeyObject *key_object_new (const Context *context, const TokenInfo *token, const TokenKey *key);
/* Unexports it. */
void key_object_free (KeyObject *object);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KeyObject, key_object_free)

/* Shows what @key says now. */
void key_object_update (KeyObject *object, const TokenKey *key);
const char *key_object_get_path (KeyObject *object);

G_END_DECLS
