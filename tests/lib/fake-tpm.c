/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "fake-tpm.h"

#include <string.h>

#define MAX_OBJECTS   64
#define CONTEXT_MAGIC 0x66616b65U
#define HASH_SEQUENCE 0x80000001U
#define RC_HANDLE_1   (TPM2_RC_HANDLE | TPM2_RC_1)
#define RC_INTEGRITY  (TPM2_RC_INTEGRITY | TPM2_RC_P | TPM2_RC_1)

typedef struct
{
  guint32 number; /* 0: free */
  guint32 updates;
  gboolean sequence;
  guint32 hierarchy;
} FakeObject;

/* Owner, endorsement, platform, null: by their handles' order. */
#define N_HIERARCHIES 4

typedef struct
{
  guint32 proof; /* contexts of another one are not its own */
  gboolean disabled;
} FakeHierarchy;

typedef struct
{
  gboolean active;
  gboolean loaded;
  gboolean policy;
  guint64 context; /* counter of its saved context */
} FakeSession;

struct _FakeTpm
{
  guint n_objects;
  guint n_loaded;
  guint gap;
  gboolean started;
  FakeObject objects[MAX_OBJECTS];
  FakeSession sessions[FAKE_TPM_MAX_SESSIONS];
  FakeHierarchy hierarchies[N_HIERARCHIES];
  gboolean broken;
  guint64 n_contexts; /* counter of session contexts */
  guint32 n_made;
  guint32 reset_count;
  guint32 restart_count;
  GHashTable *counts;
  guint n_commands;
  guint fail_at;
  gboolean fail_tcti;
  gboolean fail_carried_out;
  TSS2_RC fail_rc;
  /* The command under way */
  const guint8 *command;
  gsize size;
  guint8 *response;
  gsize response_size;
};

#define RH    TPMA_CC_RHANDLE
#define FL    TPMA_CC_FLUSHED
#define EX    TPMA_CC_EXTENSIVE
#define CH(n) ((guint32)(n) << TPMA_CC_CHANDLES_SHIFT)

static const guint32 commands[] = {
  TPM2_CC_HierarchyControl | CH (1) | EX,
  TPM2_CC_ChangeEPS | CH (1) | EX,
  TPM2_CC_ChangePPS | CH (1) | EX,
  TPM2_CC_Clear | CH (1) | EX,
  TPM2_CC_CreatePrimary | CH (1) | RH,
  TPM2_CC_SequenceComplete | CH (1) | FL,
  TPM2_CC_SetAlgorithmSet | CH (1),
  TPM2_CC_SelfTest,
  TPM2_CC_Startup,
  TPM2_CC_Shutdown,
  TPM2_CC_Create | CH (1),
  TPM2_CC_HMAC_Start | CH (1) | RH,
  TPM2_CC_Load | CH (1) | RH,
  TPM2_CC_SequenceUpdate | CH (1),
  TPM2_CC_Sign | CH (1),
  TPM2_CC_ContextLoad | RH,
  TPM2_CC_ContextSave | CH (1),
  TPM2_CC_FlushContext,
  TPM2_CC_LoadExternal | RH,
  TPM2_CC_StartAuthSession | CH (2) | RH,
  TPM2_CC_GetCapability,
  TPM2_CC_GetRandom,
  TPM2_CC_GetTestResult,
  TPM2_CC_PolicyRestart | CH (1),
  TPM2_CC_ReadClock,
  TPM2_CC_HashSequenceStart | RH,
  TPM2_CC_TestParms,
  TPM2_CC_CreateLoaded | CH (1) | RH,
};

FakeTpm *
fake_tpm_new (guint n_objects, guint n_loaded_sessions, guint gap)
{
  FakeTpm *tpm = g_new0 (FakeTpm, 1);

  g_assert (n_objects <= MAX_OBJECTS && n_loaded_sessions <= FAKE_TPM_MAX_SESSIONS);
  tpm->n_objects = n_objects;
  tpm->n_loaded = n_loaded_sessions;
  tpm->gap = gap;
  tpm->counts = g_hash_table_new (NULL, NULL);
  return tpm;
}

void
fake_tpm_free (FakeTpm *tpm)
{
  g_hash_table_unref (tpm->counts);
  g_free (tpm);
}

void
fake_tpm_reset (FakeTpm *tpm)
{
  memset (tpm->objects, 0, sizeof tpm->objects);
  memset (tpm->sessions, 0, sizeof tpm->sessions);
  tpm->started = FALSE;
  tpm->reset_count++;
}

void
fake_tpm_restart (FakeTpm *tpm)
{
  memset (tpm->objects, 0, sizeof tpm->objects);
  for (guint i = 0; i < FAKE_TPM_MAX_SESSIONS; i++)
    if (tpm->sessions[i].loaded)
      tpm->sessions[i].active = FALSE;
  tpm->started = FALSE;
  tpm->restart_count++;
}

void
fake_tpm_set_broken (FakeTpm *tpm, gboolean broken)
{
  tpm->broken = broken;
}

guint
fake_tpm_count (const FakeTpm *tpm, guint32 code)
{
  return code == 0 ? tpm->n_commands
                   : GPOINTER_TO_UINT (g_hash_table_lookup (tpm->counts, GUINT_TO_POINTER (code)));
}

void
fake_tpm_reset_counts (FakeTpm *tpm)
{
  g_hash_table_remove_all (tpm->counts);
  tpm->n_commands = 0;
}

guint
fake_tpm_n_objects (const FakeTpm *tpm)
{
  guint n = 0;

  for (guint i = 0; i < tpm->n_objects; i++)
    n += tpm->objects[i].number != 0;
  return n;
}

guint
fake_tpm_n_loaded_sessions (const FakeTpm *tpm)
{
  guint n = 0;

  for (guint i = 0; i < FAKE_TPM_MAX_SESSIONS; i++)
    n += tpm->sessions[i].active && tpm->sessions[i].loaded;
  return n;
}

guint
fake_tpm_n_active_sessions (const FakeTpm *tpm)
{
  guint n = 0;

  for (guint i = 0; i < FAKE_TPM_MAX_SESSIONS; i++)
    n += tpm->sessions[i].active != FALSE;
  return n;
}

static FakeObject *
find_object (const FakeTpm *tpm, guint32 handle)
{
  guint i = handle & 0xffffff;

  if (handle_type (handle) != TPM2_HT_TRANSIENT || i >= tpm->n_objects ||
      tpm->objects[i].number == 0)
    return NULL;
  return (FakeObject *)&tpm->objects[i];
}

static guint32
session_handle (const FakeTpm *tpm, guint i)
{
  return (tpm->sessions[i].policy ? TPM2_POLICY_SESSION_FIRST : TPM2_HMAC_SESSION_FIRST) + i;
}

/* Active; loaded or not. */
static FakeSession *
find_session (const FakeTpm *tpm, guint32 handle)
{
  guint i = handle & 0xffffff;

  if (!handle_is_session (handle) || i >= FAKE_TPM_MAX_SESSIONS || !tpm->sessions[i].active ||
      session_handle (tpm, i) != handle)
    return NULL;
  return (FakeSession *)&tpm->sessions[i];
}

gboolean
fake_tpm_has_object (const FakeTpm *tpm, guint32 handle)
{
  return find_object (tpm, handle) != NULL;
}

gboolean
fake_tpm_has_loaded_session (const FakeTpm *tpm, guint32 handle)
{
  const FakeSession *session = find_session (tpm, handle);

  return session != NULL && session->loaded;
}

void
fake_tpm_fail (FakeTpm *tpm, guint n, gboolean tcti, gboolean carried_out, TSS2_RC rc)
{
  tpm->fail_at = n;
  tpm->fail_tcti = tcti;
  tpm->fail_carried_out = carried_out;
  tpm->fail_rc = rc;
}

/* Responses */

static void
add_u8 (FakeTpm *tpm, guint8 value)
{
  tpm->response[tpm->response_size++] = value;
}

static void
add_u16 (FakeTpm *tpm, guint16 value)
{
  put_be16 (tpm->response + tpm->response_size, value);
  tpm->response_size += 2;
}

static void
add_u32 (FakeTpm *tpm, guint32 value)
{
  put_be32 (tpm->response + tpm->response_size, value);
  tpm->response_size += 4;
}

static guint32
get_param (const FakeTpm *tpm, gsize offset)
{
  return tpm->size >= COMMAND_HEADER_SIZE + offset + 4
             ? get_be32 (tpm->command + COMMAND_HEADER_SIZE + offset)
             : 0;
}

/* Objects */

static FakeHierarchy *
find_hierarchy (const FakeTpm *tpm, guint32 handle)
{
  const guint32 handles[N_HIERARCHIES] = { TPM2_RH_OWNER, TPM2_RH_ENDORSEMENT, TPM2_RH_PLATFORM,
                                           TPM2_RH_NULL };

  for (guint i = 0; i < N_HIERARCHIES; i++)
    if (handles[i] == handle)
      return (FakeHierarchy *)&tpm->hierarchies[i];
  return (FakeHierarchy *)&tpm->hierarchies[0];
}

/* Its objects leave the chip. */
static void
flush_hierarchy (FakeTpm *tpm, guint32 handle)
{
  for (guint i = 0; i < MAX_OBJECTS; i++)
    if (tpm->objects[i].number != 0 && tpm->objects[i].hierarchy == handle)
      tpm->objects[i].number = 0;
}

/* And their contexts are of no use any more. */
static TSS2_RC
renew_hierarchy (FakeTpm *tpm, guint32 handle)
{
  flush_hierarchy (tpm, handle);
  find_hierarchy (tpm, handle)->proof++;
  return TPM2_RC_SUCCESS;
}

static TSS2_RC
control_hierarchy (FakeTpm *tpm)
{
  guint32 handle = get_param (tpm, 17);

  if (tpm->size < COMMAND_HEADER_SIZE + 22)
    return TPM2_RC_INSUFFICIENT;
  find_hierarchy (tpm, handle)->disabled = tpm->command[COMMAND_HEADER_SIZE + 21] == TPM2_NO;
  if (find_hierarchy (tpm, handle)->disabled)
    flush_hierarchy (tpm, handle);
  return TPM2_RC_SUCCESS;
}

static TSS2_RC
make_object (FakeTpm *tpm, guint32 number, gboolean sequence, guint32 updates, guint32 hierarchy)
{
  for (guint i = 0; i < tpm->n_objects; i++)
    if (tpm->objects[i].number == 0)
      {
        tpm->objects[i] = (FakeObject){
          .number = number, .sequence = sequence, .updates = updates, .hierarchy = hierarchy
        };
        add_u32 (tpm, COMMAND_TRANSIENT_FIRST + i);
        return TPM2_RC_SUCCESS;
      }
  return TPM2_RC_OBJECT_MEMORY;
}

static TSS2_RC
make_new_object (FakeTpm *tpm, gboolean sequence, guint32 hierarchy)
{
  TSS2_RC rc = make_object (tpm, tpm->n_made + 1, sequence, 0, hierarchy);

  if (rc == TPM2_RC_SUCCESS)
    tpm->n_made++;
  return rc;
}

/* NULL: none is saved. */
static const FakeSession *
oldest_saved (const FakeTpm *tpm)
{
  const FakeSession *oldest = NULL;

  for (guint i = 0; i < FAKE_TPM_MAX_SESSIONS; i++)
    if (tpm->sessions[i].active && !tpm->sessions[i].loaded &&
        (oldest == NULL || tpm->sessions[i].context < oldest->context))
      oldest = &tpm->sessions[i];
  return oldest;
}

static gboolean
gap_is_full (const FakeTpm *tpm)
{
  const FakeSession *oldest = oldest_saved (tpm);

  return oldest != NULL && tpm->n_contexts - oldest->context >= tpm->gap;
}

/* With the gap full, the last free slot is for the oldest session. */
static TSS2_RC
check_session_slot (const FakeTpm *tpm, const FakeSession *session)
{
  guint n_free = tpm->n_loaded - fake_tpm_n_loaded_sessions (tpm);

  if (n_free == 0)
    return TPM2_RC_SESSION_MEMORY;
  if (n_free == 1 && gap_is_full (tpm) && session != oldest_saved (tpm))
    return TPM2_RC_CONTEXT_GAP;
  return TPM2_RC_SUCCESS;
}

static TSS2_RC
start_session (FakeTpm *tpm)
{
  gboolean policy = tpm->size > 38 && tpm->command[38] == TPM2_SE_POLICY;
  TSS2_RC rc = check_session_slot (tpm, NULL);

  if (rc != TPM2_RC_SUCCESS)
    return rc;
  for (guint i = 0; i < FAKE_TPM_MAX_SESSIONS; i++)
    if (!tpm->sessions[i].active)
      {
        tpm->sessions[i] = (FakeSession){ .active = TRUE, .loaded = TRUE, .policy = policy };
        add_u32 (tpm, session_handle (tpm, i));
        return TPM2_RC_SUCCESS;
      }
  return TPM2_RC_SESSION_HANDLES;
}

static void
add_context (FakeTpm *tpm,
             guint64 counter,
             guint32 saved_handle,
             guint32 hierarchy,
             guint32 a,
             guint32 b)
{
  add_u32 (tpm, (guint32)(counter >> 32));
  add_u32 (tpm, (guint32)counter);
  add_u32 (tpm, saved_handle);
  add_u32 (tpm, hierarchy);
  add_u16 (tpm, 20);
  add_u32 (tpm, CONTEXT_MAGIC);
  add_u32 (tpm, tpm->reset_count);
  add_u32 (tpm, a);
  add_u32 (tpm, b);
  add_u32 (tpm, find_hierarchy (tpm, hierarchy)->proof);
}

static TSS2_RC
save_context (FakeTpm *tpm)
{
  guint32 handle = get_param (tpm, 0);
  FakeObject *object = find_object (tpm, handle);
  FakeSession *session = find_session (tpm, handle);

  if (object != NULL)
    {
      add_context (tpm, 1, object->sequence ? HASH_SEQUENCE : COMMAND_TRANSIENT_FIRST,
                   object->hierarchy, object->number, object->updates);
      return TPM2_RC_SUCCESS;
    }
  if (session == NULL || !session->loaded)
    return TPM2_RC_REFERENCE_H0;
  if (gap_is_full (tpm))
    return TPM2_RC_CONTEXT_GAP;
  session->loaded = FALSE;
  session->context = ++tpm->n_contexts;
  add_context (tpm, session->context, handle, TPM2_RH_NULL, handle, 0);
  return TPM2_RC_SUCCESS;
}

static TSS2_RC
load_context (FakeTpm *tpm)
{
  guint32 saved = get_param (tpm, 8);
  FakeSession *session = find_session (tpm, saved);
  TSS2_RC rc;

  if (tpm->size != COMMAND_HEADER_SIZE + 38 || get_param (tpm, 18) != CONTEXT_MAGIC ||
      get_param (tpm, 22) != tpm->reset_count ||
      get_param (tpm, 34) != find_hierarchy (tpm, get_param (tpm, 12))->proof)
    return RC_INTEGRITY;
  if (find_hierarchy (tpm, get_param (tpm, 12))->disabled)
    return TPM2_RC_HIERARCHY | TPM2_RC_P | TPM2_RC_1;
  if (!handle_is_session (saved))
    return make_object (tpm, get_param (tpm, 26), saved == HASH_SEQUENCE, get_param (tpm, 30),
                        get_param (tpm, 12));
  if (session == NULL || session->loaded || session->context != get_param (tpm, 4))
    return TPM2_RC_HANDLE | TPM2_RC_P | TPM2_RC_1;
  rc = check_session_slot (tpm, session);
  if (rc != TPM2_RC_SUCCESS)
    return rc;
  session->loaded = TRUE;
  add_u32 (tpm, saved);
  return TPM2_RC_SUCCESS;
}

static TSS2_RC
flush_context (FakeTpm *tpm)
{
  guint32 handle = get_param (tpm, 0);
  FakeObject *object = find_object (tpm, handle);
  FakeSession *session = find_session (tpm, handle);

  if (object != NULL)
    object->number = 0;
  else if (session != NULL)
    session->active = FALSE;
  else
    return RC_HANDLE_1 | TPM2_RC_P;
  return TPM2_RC_SUCCESS;
}

/* TPM2_GetCapability */

static void
add_list (FakeTpm *tpm, guint32 capability, const GArray *values, guint32 count, gsize width)
{
  guint n = MIN (values->len / (guint)width, MIN (count, 127));

  add_u8 (tpm, n < values->len / width);
  add_u32 (tpm, capability);
  add_u32 (tpm, n);
  for (guint i = 0; i < n * width; i++)
    add_u32 (tpm, g_array_index (values, guint32, i));
}

static void
list_handles (const FakeTpm *tpm, guint32 first, GArray *values)
{
  for (guint i = first & 0xffffff; i < MAX_OBJECTS; i++)
    {
      guint32 handle = COMMAND_TRANSIENT_FIRST + i;
      const FakeSession *session = i < FAKE_TPM_MAX_SESSIONS ? &tpm->sessions[i] : NULL;

      if (handle_type (first) == TPM2_HT_TRANSIENT && find_object (tpm, handle) != NULL)
        g_array_append_val (values, handle);
      if (session == NULL || !session->active)
        continue;
      handle = session->loaded ? session_handle (tpm, i) : TPM2_HMAC_SESSION_FIRST + i;
      if (handle_type (first) == (session->loaded ? TPM2_HT_LOADED_SESSION : TPM2_HT_SAVED_SESSION))
        g_array_append_val (values, handle);
    }
}

static TSS2_RC
get_capability (FakeTpm *tpm)
{
  g_autoptr (GArray) values = g_array_new (FALSE, FALSE, sizeof (guint32));
  guint32 capability = get_param (tpm, 0);
  guint32 property = get_param (tpm, 4);
  guint32 count = get_param (tpm, 8);
  const guint32 properties[] = { TPM2_PT_HR_TRANSIENT_MIN, 3, TPM2_PT_CONTEXT_GAP_MAX, tpm->gap };

  if (tpm->size != COMMAND_HEADER_SIZE + 12)
    return TPM2_RC_SIZE;
  switch (capability)
    {
    case TPM2_CAP_COMMANDS:
      for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
        if ((commands[i] & 0xffff) >= property)
          g_array_append_val (values, commands[i]);
      add_list (tpm, capability, values, count, 1);
      return TPM2_RC_SUCCESS;
    case TPM2_CAP_HANDLES:
      list_handles (tpm, property, values);
      add_list (tpm, capability, values, count, 1);
      return TPM2_RC_SUCCESS;
    case TPM2_CAP_TPM_PROPERTIES:
      for (guint i = 0; i < G_N_ELEMENTS (properties); i += 2)
        if (properties[i] >= property)
          g_array_append_vals (values, &properties[i], 2);
      add_list (tpm, capability, values, count, 2);
      return TPM2_RC_SUCCESS;
    default:
      return TPM2_RC_VALUE | TPM2_RC_P | TPM2_RC_1;
    }
}

/* Commands */

/* The sessions of the authorisation area must be loaded; those that end are ended on success. */
static TSS2_RC
check_auths (FakeTpm *tpm, const Command *command, gboolean end)
{
  for (guint i = 0; i < command->n_auths; i++)
    {
      guint32 handle = command->auths[i].handle;
      FakeSession *session = find_session (tpm, handle);

      if (!handle_is_session (handle))
        continue;
      if (session == NULL || !session->loaded)
        return TPM2_RC_REFERENCE_S0 + i;
      if (end && (command->auths[i].attributes & TPMA_SESSION_CONTINUESESSION) == 0)
        session->active = FALSE;
    }
  return TPM2_RC_SUCCESS;
}

static TSS2_RC
check_handles (const FakeTpm *tpm, const Command *command)
{
  for (guint i = 0; i < command->n_handles; i++)
    {
      guint32 handle = command_get_handle (command, i);

      if (handle_type (handle) == TPM2_HT_TRANSIENT && find_object (tpm, handle) == NULL)
        return TPM2_RC_REFERENCE_H0 + i;
      if (handle_is_session (handle) && !fake_tpm_has_loaded_session (tpm, handle))
        return TPM2_RC_REFERENCE_H0 + i;
    }
  return TPM2_RC_SUCCESS;
}

static TSS2_RC
sign (FakeTpm *tpm)
{
  const FakeObject *object = find_object (tpm, get_param (tpm, 0));

  if (object == NULL || object->sequence)
    return RC_HANDLE_1;
  add_u32 (tpm, object->number);
  return TPM2_RC_SUCCESS;
}

static TSS2_RC
update_sequence (FakeTpm *tpm, gboolean complete)
{
  FakeObject *object = find_object (tpm, get_param (tpm, 0));

  if (object == NULL || !object->sequence)
    return RC_HANDLE_1;
  object->updates++;
  if (!complete)
    return TPM2_RC_SUCCESS;
  add_u32 (tpm, object->updates);
  object->number = 0;
  return TPM2_RC_SUCCESS;
}

static TSS2_RC
clear (FakeTpm *tpm)
{
  renew_hierarchy (tpm, TPM2_RH_OWNER);
  return renew_hierarchy (tpm, TPM2_RH_ENDORSEMENT);
}

static TSS2_RC
get_test_result (FakeTpm *tpm)
{
  add_u16 (tpm, 0);
  add_u32 (tpm, tpm->broken ? TPM2_RC_FAILURE : TPM2_RC_SUCCESS);
  return TPM2_RC_SUCCESS;
}

static TSS2_RC
read_clock (FakeTpm *tpm)
{
  for (guint i = 0; i < 4; i++)
    add_u32 (tpm, 0);
  add_u32 (tpm, tpm->reset_count);
  add_u32 (tpm, tpm->restart_count);
  add_u8 (tpm, 1);
  return TPM2_RC_SUCCESS;
}

static TSS2_RC
startup (FakeTpm *tpm)
{
  if (tpm->started)
    return TPM2_RC_INITIALIZE;
  tpm->started = TRUE;
  return TPM2_RC_SUCCESS;
}

static TSS2_RC
run (FakeTpm *tpm, guint32 code)
{
  switch (code)
    {
    case TPM2_CC_Startup:
      return startup (tpm);
    case TPM2_CC_CreatePrimary:
      return make_new_object (tpm, FALSE, get_param (tpm, 0));
    case TPM2_CC_LoadExternal:
    case TPM2_CC_Load:
    case TPM2_CC_CreateLoaded:
      return make_new_object (tpm, FALSE, TPM2_RH_OWNER);
    case TPM2_CC_HashSequenceStart:
    case TPM2_CC_HMAC_Start:
      return make_new_object (tpm, TRUE, TPM2_RH_NULL);
    case TPM2_CC_Create:
      return fake_tpm_n_objects (tpm) < tpm->n_objects ? TPM2_RC_SUCCESS : TPM2_RC_OBJECT_MEMORY;
    case TPM2_CC_Sign:
      return sign (tpm);
    case TPM2_CC_SequenceUpdate:
      return update_sequence (tpm, FALSE);
    case TPM2_CC_SequenceComplete:
      return update_sequence (tpm, TRUE);
    case TPM2_CC_StartAuthSession:
      return start_session (tpm);
    case TPM2_CC_ContextSave:
      return save_context (tpm);
    case TPM2_CC_ContextLoad:
      return load_context (tpm);
    case TPM2_CC_FlushContext:
      return flush_context (tpm);
    case TPM2_CC_GetCapability:
      return get_capability (tpm);
    case TPM2_CC_Clear:
      return clear (tpm);
    case TPM2_CC_ChangeEPS:
      return renew_hierarchy (tpm, TPM2_RH_ENDORSEMENT);
    case TPM2_CC_ChangePPS:
      return renew_hierarchy (tpm, TPM2_RH_PLATFORM);
    case TPM2_CC_HierarchyControl:
      return control_hierarchy (tpm);
    case TPM2_CC_GetTestResult:
      return get_test_result (tpm);
    case TPM2_CC_ReadClock:
      return read_clock (tpm);
    default:
      return TPM2_RC_SUCCESS;
    }
}

static guint32
find_attributes (guint32 code)
{
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    if ((commands[i] & 0xffff) == code)
      return commands[i];
  return 0;
}

static TSS2_RC
execute (FakeTpm *tpm, guint8 *data, gsize size)
{
  Command command;
  guint32 code = command_peek_code (data);
  guint32 attributes = find_attributes (code);
  TSS2_RC rc = command_parse (&command, data, size, attributes);

  if (rc != TPM2_RC_SUCCESS)
    return rc;
  if (attributes == 0)
    return TPM2_RC_COMMAND_CODE;
  if (tpm->broken && code != TPM2_CC_GetTestResult && code != TPM2_CC_GetCapability)
    return TPM2_RC_FAILURE;
  if (!tpm->started && code != TPM2_CC_Startup)
    return TPM2_RC_INITIALIZE;
  rc = check_handles (tpm, &command);
  if (rc == TPM2_RC_SUCCESS)
    rc = check_auths (tpm, &command, FALSE);
  if (rc == TPM2_RC_SUCCESS)
    rc = run (tpm, code);
  if (rc == TPM2_RC_SUCCESS)
    check_auths (tpm, &command, TRUE);
  return rc;
}

static TSS2_RC
transact (gpointer data,
          const guint8 *command,
          gsize size,
          guint8 locality,
          guint8 *response,
          gsize *out_size)
{
  FakeTpm *tpm = data;
  g_autofree guint8 *copy = g_memdup2 (command, size);
  guint32 code = command_peek_code (command);
  gboolean fails = tpm->fail_at > 0 && --tpm->fail_at == 0;
  TSS2_RC rc;

  tpm->n_commands++;
  g_hash_table_insert (tpm->counts, GUINT_TO_POINTER (code),
                       GUINT_TO_POINTER (fake_tpm_count (tpm, code) + 1));
  tpm->command = copy;
  tpm->size = size;
  tpm->response = response;
  tpm->response_size = COMMAND_HEADER_SIZE;
  rc = fails && !tpm->fail_carried_out ? tpm->fail_rc : execute (tpm, copy, size);
  if (fails && tpm->fail_tcti)
    return tpm->fail_rc;
  if (rc != TPM2_RC_SUCCESS)
    {
      *out_size = command_response_put_error (response, rc);
      return TSS2_RC_SUCCESS;
    }
  put_be16 (response, get_be16 (copy));
  put_be32 (response + 2, (guint32)tpm->response_size);
  put_be32 (response + 6, TPM2_RC_SUCCESS);
  *out_size = tpm->response_size;
  return TSS2_RC_SUCCESS;
}

ChipBelow
fake_tpm_get_chip (FakeTpm *tpm)
{
  return (ChipBelow){ .transact = transact, .data = tpm };
}
