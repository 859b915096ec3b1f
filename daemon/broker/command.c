/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "command.h"

#define TPMA_CC_CODE_MASK 0x2000ffffU /* V and commandIndex */

guint32
command_peek_code (const guint8 *data)
{
  return get_be32 (data + 6);
}

static guint
n_command_handles (guint32 attributes)
{
  return MIN ((attributes & TPMA_CC_CHANDLES_MASK) >> TPMA_CC_CHANDLES_SHIFT, COMMAND_MAX_HANDLES);
}

/* One TPMS_AUTH_COMMAND: handle, nonce, attributes, HMAC. Returns its size; 0: does not fit into @size. */
static gsize
parse_auth (const guint8 *data, gsize size, CommandAuth *out_auth)
{
  gsize pos = 4;
  gsize nonce_size, hmac_size;

  if (size < pos + 2)
    return 0;
  nonce_size = get_be16 (data + pos);
  pos += 2 + nonce_size;
  if (size < pos + 1 + 2)
    return 0;
  out_auth->handle = get_be32 (data);
  out_auth->attributes = data[pos];
  pos += 1;
  hmac_size = get_be16 (data + pos);
  pos += 2 + hmac_size;
  return pos <= size ? pos : 0;
}

static guint32
parse_auth_area (Command *command)
{
  gsize pos = command->params + 4;
  gsize end, area_size;

  if (command->size < pos)
    return TPM2_RC_AUTHSIZE;
  area_size = get_be32 (command->data + pos - 4);
  if (area_size == 0 || area_size > command->size - pos)
    return TPM2_RC_AUTHSIZE;
  end = pos + area_size;
  while (pos < end)
    {
      gsize n;

      if (command->n_auths == COMMAND_MAX_AUTHS)
        return TPM2_RC_AUTHSIZE;
      n = parse_auth (command->data + pos, end - pos, &command->auths[command->n_auths]);
      if (n == 0)
        return TPM2_RC_AUTHSIZE;
      command->n_auths++;
      pos += n;
    }
  command->params = end;
  return TPM2_RC_SUCCESS;
}

guint32
command_parse (Command *command, guint8 *data, gsize size, guint32 attributes)
{
  *command = (Command){ .data = data, .size = size };
  if (size < COMMAND_HEADER_SIZE || get_be32 (data + 2) != size)
    return TPM2_RC_COMMAND_SIZE;
  command->tag = get_be16 (data);
  command->code = command_peek_code (data);
  command->attributes = attributes;
  if (command->tag != TPM2_ST_SESSIONS && command->tag != TPM2_ST_NO_SESSIONS)
    return TPM2_RC_BAD_TAG;

  command->n_handles = n_command_handles (attributes);
  command->params = COMMAND_HEADER_SIZE + 4 * (gsize)command->n_handles;
  if (size < command->params)
    {
      guint missing = (guint)(size - COMMAND_HEADER_SIZE) / 4 + 1;
      return TPM2_RC_INSUFFICIENT + TPM2_RC_H + (missing << 8);
    }
  return command->tag == TPM2_ST_SESSIONS ? parse_auth_area (command) : TPM2_RC_SUCCESS;
}

guint32
command_get_handle (const Command *command, guint i)
{
  return get_be32 (command->data + COMMAND_HEADER_SIZE + 4 * (gsize)i);
}

void
command_set_handle (Command *command, guint i, guint32 handle)
{
  put_be32 (command->data + COMMAND_HEADER_SIZE + 4 * (gsize)i, handle);
}

gsize
command_response_put_error (guint8 *response, guint32 rc)
{
  /* A TPM answers a bad tag in the format of TPM 1.2, Part 3, 5.3. */
  put_be16 (response, rc == TPM2_RC_BAD_TAG ? TPM2_ST_RSP_COMMAND : TPM2_ST_NO_SESSIONS);
  put_be32 (response + 2, COMMAND_HEADER_SIZE);
  put_be32 (response + 6, rc);
  return COMMAND_HEADER_SIZE;
}

guint32
command_response_get_rc (const guint8 *response)
{
  return get_be32 (response + 6);
}

gboolean
command_rc_is_format_one (TSS2_RC rc)
{
  return (rc & ~(TSS2_RC)0xfff) == 0 && (rc & TPM2_RC_FMT1) != 0;
}

gboolean
command_response_is_valid (const guint8 *response, gsize size)
{
  guint16 tag;
  guint32 rc;

  if (size < COMMAND_HEADER_SIZE || size > COMMAND_MAX_SIZE || get_be32 (response + 2) != size)
    return FALSE;
  tag = get_be16 (response);
  rc = command_response_get_rc (response);
  if (rc != TPM2_RC_SUCCESS)
    return size == COMMAND_HEADER_SIZE &&
           (tag == TPM2_ST_NO_SESSIONS || tag == TPM2_ST_RSP_COMMAND || tag == TPM2_ST_SESSIONS);
  return tag == TPM2_ST_NO_SESSIONS || tag == TPM2_ST_SESSIONS;
}

gsize
command_put_header (guint8 *data, gsize size, guint32 code)
{
  put_be16 (data, TPM2_ST_NO_SESSIONS);
  put_be32 (data + 2, (guint32)size);
  put_be32 (data + COMMAND_CODE_OFFSET, code);
  return size;
}

gsize
command_put_handle_only (guint8 *data, guint32 code, guint32 handle)
{
  put_be32 (data + COMMAND_HEADER_SIZE, handle);
  return command_put_header (data, COMMAND_HEADER_SIZE + 4, code);
}

struct _CommandTable
{
  GHashTable *by_code;
};

CommandTable *
command_table_new (void)
{
  CommandTable *table = g_new0 (CommandTable, 1);

  table->by_code = g_hash_table_new (NULL, NULL);
  return table;
}

void
command_table_free (CommandTable *table)
{
  g_hash_table_unref (table->by_code);
  g_free (table);
}

void
command_table_clear (CommandTable *table)
{
  g_hash_table_remove_all (table->by_code);
}

void
command_table_add (CommandTable *table, guint32 attributes)
{
  g_hash_table_insert (table->by_code, GUINT_TO_POINTER (attributes & TPMA_CC_CODE_MASK),
                       GUINT_TO_POINTER (attributes));
}

guint
command_table_size (const CommandTable *table)
{
  return g_hash_table_size (table->by_code);
}

gboolean
command_table_lookup (const CommandTable *table, guint32 code, guint32 *out_attributes)
{
  gpointer attributes;

  if (!g_hash_table_lookup_extended (table->by_code, GUINT_TO_POINTER (code), NULL, &attributes))
    return FALSE;
  *out_attributes = GPOINTER_TO_UINT (attributes);
  return TRUE;
}
