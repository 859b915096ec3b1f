/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "fake-tpm.h"

#include <string.h>

static gsize
put_header (guint8 *data, guint16 tag, gsize size, guint32 code)
{
  put_be16 (data, tag);
  put_be32 (data + 2, (guint32)size);
  put_be32 (data + 6, code);
  return size;
}

static gsize
put_password_auth (guint8 *data, guint32 session, guint8 attributes)
{
  put_be32 (data, 9);
  put_be32 (data + 4, session);
  put_be16 (data + 8, 0);
  data[10] = attributes;
  put_be16 (data + 11, 0);
  return 13;
}

gsize
fake_tpm_put_create_primary_in (guint8 *data, guint32 hierarchy)
{
  put_be32 (data + 10, hierarchy);
  put_password_auth (data + 14, TPM2_RS_PW, 0);
  return put_header (data, TPM2_ST_SESSIONS, 27, TPM2_CC_CreatePrimary);
}

gsize
fake_tpm_put_create_primary (guint8 *data)
{
  return fake_tpm_put_create_primary_in (data, TPM2_RH_OWNER);
}

gsize
fake_tpm_put_hierarchy_control (guint8 *data, guint32 hierarchy, gboolean enabled)
{
  put_be32 (data + 10, TPM2_RH_PLATFORM);
  put_password_auth (data + 14, TPM2_RS_PW, 0);
  put_be32 (data + 27, hierarchy);
  data[31] = enabled ? TPM2_YES : TPM2_NO;
  return put_header (data, TPM2_ST_SESSIONS, 32, TPM2_CC_HierarchyControl);
}

gsize
fake_tpm_put_load (guint8 *data, guint32 parent)
{
  put_be32 (data + 10, parent);
  put_password_auth (data + 14, TPM2_RS_PW, 0);
  return put_header (data, TPM2_ST_SESSIONS, 27, TPM2_CC_Load);
}

gsize
fake_tpm_put_sign (guint8 *data, guint32 key, guint32 session, gboolean continue_session)
{
  put_be32 (data + 10, key);
  put_password_auth (data + 14, session, continue_session ? TPMA_SESSION_CONTINUESESSION : 0);
  return put_header (data, TPM2_ST_SESSIONS, 27, TPM2_CC_Sign);
}

gsize
fake_tpm_put_start_session (guint8 *data, gboolean policy)
{
  memset (data, 0, 43);
  put_be32 (data + 10, TPM2_RH_NULL);
  put_be32 (data + 14, TPM2_RH_NULL);
  put_be16 (data + 18, 16);
  data[38] = policy ? TPM2_SE_POLICY : TPM2_SE_HMAC;
  put_be16 (data + 39, TPM2_ALG_NULL);
  put_be16 (data + 41, TPM2_ALG_SHA256);
  return put_header (data, TPM2_ST_NO_SESSIONS, 43, TPM2_CC_StartAuthSession);
}

gsize
fake_tpm_put_handle (guint8 *data, guint32 code, guint32 handle)
{
  return command_put_handle_only (data, code, handle);
}

gsize
fake_tpm_put_simple (guint8 *data, guint32 code)
{
  return put_header (data, TPM2_ST_NO_SESSIONS, COMMAND_HEADER_SIZE, code);
}

gsize
fake_tpm_put_capability (guint8 *data, guint32 capability, guint32 property, guint32 count)
{
  put_be32 (data + 10, capability);
  put_be32 (data + 14, property);
  put_be32 (data + 18, count);
  return put_header (data, TPM2_ST_NO_SESSIONS, 22, TPM2_CC_GetCapability);
}

gsize
fake_tpm_put_context_load (guint8 *data, const guint8 *context, gsize size)
{
  memcpy (data + COMMAND_HEADER_SIZE, context, size);
  return put_header (data, TPM2_ST_NO_SESSIONS, COMMAND_HEADER_SIZE + size, TPM2_CC_ContextLoad);
}
