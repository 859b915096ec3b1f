/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "resource-manager-private.h"

/*
 * TPM2_GetCapability as if the connection had the chip to itself. With sessions in the command the answer passes as it
 * is: an HMAC covers it.
 */

#define PARAMS_SIZE 12 /* capability, property, propertyCount */
#define MAX_HANDLES ((TPM2_MAX_CAP_BUFFER - 8) / 4)

typedef struct
{
  guint8 *response;
  guint32 first;
  guint max;
  guint n;
  gboolean more;
} HandleList;

static void
add_handle (HandleList *list, guint32 handle)
{
  if ((handle & 0xffffff) < (list->first & 0xffffff))
    return;
  if (list->n == list->max)
    {
      list->more = TRUE;
      return;
    }
  put_be32 (list->response + COMMAND_CAPABILITY_LIST + 4 * (gsize)list->n, handle);
  list->n++;
}

static gsize
finish_list (HandleList *list)
{
  gsize size = COMMAND_CAPABILITY_LIST + 4 * (gsize)list->n;

  list->response[COMMAND_HEADER_SIZE] = list->more;
  put_be32 (list->response + COMMAND_HEADER_SIZE + 1, TPM2_CAP_HANDLES);
  put_be32 (list->response + COMMAND_CAPABILITY_COUNT, list->n);
  return command_put_header (list->response, size, TPM2_RC_SUCCESS);
}

static void
list_objects (const Space *space, HandleList *list)
{
  for (guint i = 0; i < handle_map_size (space->objects); i++)
    add_handle (list, handle_map_nth (space->objects, i, NULL));
}

/* @saved: those that the client has saved, whose kind a TPM does not tell; else those that it can use. */
static void
list_sessions (const ResourceManager *rm, const Space *space, gboolean saved, HandleList *list)
{
  g_autoptr (GPtrArray) sessions = session_table_list (rm->sessions);

  for (guint i = 0; i < sessions->len; i++)
    {
      const Session *session = g_ptr_array_index (sessions, i);

      if (session->owner == space && session->client_saved == saved)
        add_handle (list, saved ? TPM2_HMAC_SESSION_FIRST | (session->handle & 0xffffff)
                                : session->handle);
    }
}

/* FALSE: not one of the lists that are virtual. */
static gboolean
list_handles (const ResourceManager *rm,
              const Space *space,
              guint32 property,
              guint32 count,
              guint8 *response,
              gsize *out_size)
{
  HandleList list = { .response = response, .first = property, .max = MIN (count, MAX_HANDLES) };

  switch (handle_type (property))
    {
    case TPM2_HT_TRANSIENT:
      list_objects (space, &list);
      break;
    case TPM2_HT_LOADED_SESSION:
      list_sessions (rm, space, FALSE, &list);
      break;
    case TPM2_HT_SAVED_SESSION:
      list_sessions (rm, space, TRUE, &list);
      break;
    default:
      return FALSE;
    }
  *out_size = finish_list (&list);
  return TRUE;
}

/*
 * @used: of @space; @value: the chip's own; @evictable: what would make room. An unlimited space has the chip's whole
 * room: what is in it of others is put out where room is needed.
 */
static guint32
left_of (const Space *space, guint32 max, guint32 used, guint32 value, guint32 evictable)
{
  return space->unlimited ? value + evictable : max > used ? max - used : 0;
}

/* The value of a property for @space; @value: the chip's own. */
static guint32
virtual_property (const ResourceManager *rm, const Space *space, guint32 property, guint32 value)
{
  guint32 n_sessions = session_table_count_owned (rm->sessions, space);

  switch (property)
    {
    case TPM2_PT_CONTEXT_GAP_MAX:
      return G_MAXUINT32;
    case TPM2_PT_HR_LOADED:
    case TPM2_PT_HR_ACTIVE:
      return n_sessions;
    case TPM2_PT_HR_LOADED_AVAIL:
      return left_of (space, rm->limits.max_sessions, n_sessions, value,
                      session_table_n_loaded (rm->sessions));
    case TPM2_PT_HR_ACTIVE_AVAIL:
      return left_of (space, rm->limits.max_sessions, n_sessions, value, 0);
    case TPM2_PT_HR_TRANSIENT_AVAIL:
      return left_of (space, rm->limits.max_objects, handle_map_size (space->objects), value,
                      object_table_get_loaded (rm->objects)->len);
    default:
      return value;
    }
}

static void
rewrite_properties (const ResourceManager *rm, const Space *space, guint8 *response, gsize size)
{
  guint32 n;

  if (size < COMMAND_CAPABILITY_LIST)
    return;
  n = get_be32 (response + COMMAND_CAPABILITY_COUNT);
  for (gsize i = 0; i < n && COMMAND_CAPABILITY_LIST + 8 * (i + 1) <= size; i++)
    {
      guint8 *entry = response + COMMAND_CAPABILITY_LIST + 8 * i;

      put_be32 (entry + 4, virtual_property (rm, space, get_be32 (entry), get_be32 (entry + 4)));
    }
}

TSS2_RC
resource_manager_virtual_capability (ResourceManager *rm,
                                     Space *space,
                                     Command *command,
                                     guint8 *response,
                                     gsize *out_size)
{
  const guint8 *params = command->data + command->params;
  gboolean rewritable =
      command->tag == TPM2_ST_NO_SESSIONS && command->size == command->params + PARAMS_SIZE;
  TSS2_RC rc;

  if (rewritable && get_be32 (params) == TPM2_CAP_HANDLES &&
      list_handles (rm, space, get_be32 (params + 4), get_be32 (params + 8), response, out_size))
    return TSS2_RC_SUCCESS;
  if (!rewritable)
    return resource_manager_process_any (rm, space, 0, command, response, out_size);
  rc = slots_forward (rm->slots, command, 0, FALSE, FALSE, response, out_size);
  if (rc == TSS2_RC_SUCCESS && command_response_get_rc (response) == TSS2_RC_SUCCESS &&
      get_be32 (params) == TPM2_CAP_TPM_PROPERTIES)
    rewrite_properties (rm, space, response, *out_size);
  return rc;
}
