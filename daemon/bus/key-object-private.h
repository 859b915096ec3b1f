/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/key-object.h"
#include "bus/token-args.h"
#include "ggtpm-generated.h"

G_BEGIN_DECLS

/* What key-object.c, key-use.c and key-change.c share. */

struct _KeyObject
{
  const Context *context;
  char *path;
  char *token;
  GBytes *id;
  GBytes *spki;
  GBytes *certificate; /* NULL: none */
  GgtpmKey *skeleton;
};

/* @out_args: the operation's, with token and id */
Operation *key_object_new_operation (KeyObject *object,
                                     const OperationType *type,
                                     GDBusMethodInvocation *invocation,
                                     TokenArgs **out_args);

/* Connect the methods of key-use.c and key-change.c. */
void key_use_connect (KeyObject *object);
void key_change_connect (KeyObject *object);

G_END_DECLS
