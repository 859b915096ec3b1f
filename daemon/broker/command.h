/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <tss2/tss2_tpm2_types.h>

G_BEGIN_DECLS

/*
 * Command: TPM 2.0 commands and responses as bytes (TPM 2.0 Library Part 1, 18; Part 3, 5): big-endian, a header of
 * ten bytes, handles, an authorisation area if the tag says so, parameters. Nothing here touches the chip.
 */
#define COMMAND_HEADER_SIZE 10
#define COMMAND_CODE_OFFSET 6    /* of TPM_CC and TPM_RC in the header */
#define COMMAND_MAX_SIZE    8192 /* tpm2-abrmd's limit; longer than any command of any TPM */
#define COMMAND_MAX_HANDLES 3
#define COMMAND_MAX_AUTHS   3

/* In an answer to TPM2_GetCapability: behind moreData and capability the number of entries, then these. */
#define COMMAND_CAPABILITY_COUNT (COMMAND_HEADER_SIZE + 1 + 4)
#define COMMAND_CAPABILITY_LIST  (COMMAND_CAPABILITY_COUNT + 4)

/* As TPM2_TRANSIENT_FIRST, which in tpm2-tss shifts a signed number into its sign. */
#define COMMAND_TRANSIENT_FIRST ((guint32)TPM2_HT_TRANSIENT << 24)

static inline guint16
get_be16 (const guint8 *p)
{
  return (guint16)(p[0] << 8 | p[1]);
}

static inline guint32
get_be32 (const guint8 *p)
{
  return (guint32)p[0] << 24 | (guint32)p[1] << 16 | (guint32)p[2] << 8 | p[3];
}

static inline guint64
get_be64 (const guint8 *p)
{
  return (guint64)get_be32 (p) << 32 | get_be32 (p + 4);
}

static inline void
put_be16 (guint8 *p, guint16 value)
{
  p[0] = (guint8)(value >> 8);
  p[1] = (guint8)value;
}

static inline void
put_be32 (guint8 *p, guint32 value)
{
  put_be16 (p, (guint16)(value >> 16));
  put_be16 (p + 2, (guint16)value);
}

/* Most significant octet of a handle: TPM2_HT_*. */
static inline guint8
handle_type (guint32 handle)
{
  return (guint8)(handle >> 24);
}

static inline gboolean
handle_is_session (guint32 handle)
{
  return handle_type (handle) == TPM2_HT_HMAC_SESSION ||
         handle_type (handle) == TPM2_HT_POLICY_SESSION;
}

typedef struct
{
  guint32 handle;
  guint8 attributes; /* TPMA_SESSION_* */
} CommandAuth;

typedef struct
{
  guint8 *data; /* borrowed; handles are rewritten in place */
  gsize size;
  guint16 tag;
  guint32 code;
  guint32 attributes; /* TPMA_CC_* */
  guint n_handles;
  guint n_auths;
  CommandAuth auths[COMMAND_MAX_AUTHS];
  gsize params; /* offset of the parameters */
} Command;

/* What the header says: tag, code, size (which the framing has checked). */
guint32 command_peek_code (const guint8 *data);

/*
 * @attributes: of the command's code, from the CommandTable
 * Returns what a TPM would answer to something that is no command: 0, or TPM2_RC_BAD_TAG, TPM2_RC_COMMAND_SIZE,
 * TPM2_RC_INSUFFICIENT, TPM2_RC_AUTHSIZE, TPM2_RC_AUTH_MISSING.
 */
guint32 command_parse (Command *command, guint8 *data, gsize size, guint32 attributes);

guint32 command_get_handle (const Command *command, guint i);
void command_set_handle (Command *command, guint i, guint32 handle);

/* A response without parameters. Returns its size. */
gsize command_response_put_error (guint8 *response, guint32 rc);
guint32 command_response_get_rc (const guint8 *response);
/* Whether a TPM itself has found the command wrong (Part 1, 39): not a warning, and not of a layer above it. */
gboolean command_rc_is_format_one (TSS2_RC rc);
/* Whether @size bytes are a response: tag, size and code fit each other. */
gboolean command_response_is_valid (const guint8 *response, gsize size);

/* Writes the header of a command or response without sessions. @code: TPM_CC or TPM_RC. Returns @size. */
gsize command_put_header (guint8 *data, gsize size, guint32 code);
/* Writes a command with one handle as its whole body; returns its size. */
gsize command_put_handle_only (guint8 *data, guint32 code, guint32 handle);

/*
 * CommandTable: attributes by code, as TPM2_GetCapability(TPM2_CAP_COMMANDS) gives them.
 */
typedef struct _CommandTable CommandTable;

CommandTable *command_table_new (void);
void command_table_free (CommandTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CommandTable, command_table_free)

void command_table_clear (CommandTable *table);
void command_table_add (CommandTable *table, guint32 attributes);
guint command_table_size (const CommandTable *table);
/* FALSE: the TPM does not have it. */
gboolean command_table_lookup (const CommandTable *table, guint32 code, guint32 *out_attributes);

G_END_DECLS
