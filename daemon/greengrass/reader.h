/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "greengrass.h"

G_BEGIN_DECLS

/* What a configuration points at, outside of itself. */
typedef enum
{
  REFERENCE_TOKEN,  /* a label */
  REFERENCE_SLOT,   /* a number */
  REFERENCE_PIN,    /* a secret */
  REFERENCE_OBJECT, /* a `pkcs11:` URI */
  REFERENCE_HANDLE, /* `0x81008001` */
  REFERENCE_FILE,   /* an absolute path */
  REFERENCE_DIR,    /* as well */
} ReferenceKind;

typedef struct
{
  ReferenceKind kind;
  char *name;  /* where in the file: `system/privateKeyPath` */
  char *value; /* NULL: it must be there and is not; wiped by reference_free() */
} Reference;

void reference_free (Reference *reference);

/*
 * Reader: what a file of a flavour points at, whoever wrote it: of Reference, in the order of the file's kind. The
 * text is not trusted. Errors: GGTPM_ERROR_INVALID_ARGS: it does not parse.
 */
GPtrArray *reader_read (GreengrassFlavour flavour, const char *text, gsize len, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
