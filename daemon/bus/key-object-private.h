/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/key-object.h"
#include "bus/operation.h"
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

/* Arguments of every operation with a key. */
typedef struct
{
  Tokens *tokens;
  Job *job; /* NULL: none */
  char *token;
  GBytes *id;
  Secret *pin;
  char *subject;
  ExtensionParams extensions;
  guint days;
  char *pem;
  gboolean force;
  GBytes *data;
  char *mechanism;
  char *hash;
  char *algorithm;
  gboolean is_digest;
  Signer *signer;         /* main thread */
  HelperLine *distrusted; /* that has failed; NULL: none */
} KeyArgs;

KeyArgs *key_args_new (KeyObject *object);
void key_args_free (gpointer data);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KeyArgs, key_args_free)

/* Takes @args. @pin_fd: of the message; -1: none */
Operation *key_object_new_operation (KeyObject *object,
                                     const OperationType *type,
                                     GDBusMethodInvocation *invocation,
                                     KeyArgs *args,
                                     int pin_fd);
/* The same, and begins it. */
void key_object_start (KeyObject *object,
                       const OperationType *type,
                       GDBusMethodInvocation *invocation,
                       KeyArgs *args,
                       int pin_fd,
                       OperationAnswer answer);

/* Connect the methods of key-use.c and key-change.c. */
void key_use_connect (KeyObject *object);
void key_change_connect (KeyObject *object);

G_END_DECLS
