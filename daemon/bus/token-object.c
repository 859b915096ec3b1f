/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "token-object.h"

#include "bus/key-object.h"
#include "bus/object-path.h"
#include "bus/options.h"
#include "bus/reply.h"
#include "dbus/error.h"
#include "ggtpm-generated.h"

#define ID_MAX_BYTES 32

struct _TokenObject
{
  const Context *context;
  char *path;
  char *label;
  GgtpmToken *skeleton;
  GHashTable *keys; /* path -> KeyObject */
};

/* ---- CreateKey ---- */

typedef struct
{
  Tokens *tokens;
  Job *job;
  char *token;
  char *label;
  char *algorithm;
  GBytes *id; /* NULL: drawn */
  Secret *pin;
} CreateKeyArgs;

typedef struct
{
  char *token;
  TokenKey *key;
} CreateKeyResult;

static void
create_key_args_free (gpointer data)
{
  CreateKeyArgs *args = data;

  g_clear_pointer (&args->job, job_unref);
  g_free (args->token);
  g_free (args->label);
  g_free (args->algorithm);
  g_clear_pointer (&args->id, g_bytes_unref);
  g_clear_pointer (&args->pin, secret_free);
  g_free (args);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CreateKeyArgs, create_key_args_free)

static void
create_key_result_free (gpointer data)
{
  CreateKeyResult *result = data;

  token_key_free (result->key);
  g_free (result->token);
  g_free (result);
}

static gpointer
op_create_key (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  CreateKeyArgs *args = data;
  CreateKeyResult *result;
  TokenKey *key;

  job_report (args->job, "making the key pair", 0.1);
  key = tokens_create_key (args->tokens, tpm, args->token, args->label, args->id, args->algorithm,
                           args->pin, cancellable, error);
  if (key == NULL)
    return NULL;
  result = g_new0 (CreateKeyResult, 1);
  result->token = g_strdup (args->token);
  result->key = key;
  return result;
}

static GVariant *
make_create_key_result (gpointer data)
{
  CreateKeyResult *result = data;
  g_autofree char *path = object_path_for_key (result->token, result->key->id);
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "key", "o", path);
  g_variant_dict_insert (&dict, "uri", "s", result->key->uri);
  return g_variant_dict_end (&dict);
}

static gboolean
check_id (GBytes *id, GError **error)
{
  gsize len = id != NULL ? g_bytes_get_size (id) : 1;

  if (len >= 1 && len <= ID_MAX_BYTES)
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "option 'id' has 1 to %d bytes, not %" G_GSIZE_FORMAT, ID_MAX_BYTES, len);
  return FALSE;
}

static gboolean
handle_create_key (GgtpmToken *skeleton,
                   GDBusMethodInvocation *invocation,
                   GUnixFDList *fds,
                   const char *label,
                   const char *algorithm,
                   GVariant *options,
                   gpointer user_data)
{
  static const OperationType type = { op_create_key, create_key_args_free, create_key_result_free,
                                      TRUE };
  TokenObject *object = user_data;
  g_autoptr (CreateKeyArgs) args = g_new0 (CreateKeyArgs, 1);
  GError *error = NULL;
  int pin_fd = -1;
  const Option table[] = { { "id", "ay", &args->id },
                           { "pin", "h", &pin_fd },
                           { NULL, NULL, NULL } };
  Operation *operation;
  Job **job = &args->job;

  args->tokens = object->context->tokens;
  args->token = g_strdup (object->label);
  args->label = g_strdup (label);
  args->algorithm = g_strdup (algorithm);
  if (!options_parse (options, fds, table, &error) ||
      !tokens_check_label (label, "the label of the key", &error) ||
      !tokens_check_algorithm (algorithm, &error) || !check_id (args->id, &error))
    {
      reply_error (invocation, error);
      return TRUE;
    }
  operation = operation_new (object->context, &type, skeleton, invocation, args);
  operation_add_pin (operation, pin_fd, &args->pin);
  g_steal_pointer (&args);
  operation_start_job (operation, "create-key", job, make_create_key_result);
  return TRUE;
}

/* ---- Verify ---- */

typedef struct
{
  Tokens *tokens;
  Job *job;
  char *token;
  char *key; /* NULL: all */
  Secret *pin;
} VerifyArgs;

static void
verify_args_free (gpointer data)
{
  VerifyArgs *args = data;

  g_clear_pointer (&args->job, job_unref);
  g_free (args->token);
  g_free (args->key);
  g_clear_pointer (&args->pin, secret_free);
  g_free (args);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VerifyArgs, verify_args_free)

static gpointer
op_verify (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  VerifyArgs *args = data;

  job_report (args->job, "verifying the keys", 0.1);
  return tokens_verify (args->tokens, tpm, args->token, args->key, args->pin, cancellable, error);
}

static GVariant *
make_verify_result (gpointer data)
{
  GPtrArray *checks = data;
  GVariantBuilder rows = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(sssss)"));
  GVariantDict dict;
  gboolean good = TRUE;

  for (guint i = 0; i < checks->len; i++)
    {
      const TokenCheck *check = g_ptr_array_index (checks, i);

      good = good && !g_str_equal (check->verdict, "fault");
      g_variant_builder_add (&rows, "(sssss)", check->key, check->check, check->verdict,
                             check->text, check->remedy);
    }
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "good", "b", good);
  g_variant_dict_insert (&dict, "checks", "a(sssss)", &rows);
  return g_variant_dict_end (&dict);
}

static gboolean
handle_verify (GgtpmToken *skeleton,
               GDBusMethodInvocation *invocation,
               GUnixFDList *fds,
               GVariant *options,
               gpointer user_data)
{
  static const OperationType type = { op_verify, verify_args_free,
                                      (GDestroyNotify)g_ptr_array_unref, FALSE };
  TokenObject *object = user_data;
  g_autoptr (VerifyArgs) args = g_new0 (VerifyArgs, 1);
  GError *error = NULL;
  int pin_fd = -1;
  const Option table[] = { { "key", "s", &args->key },
                           { "pin", "h", &pin_fd },
                           { NULL, NULL, NULL } };
  Operation *operation;
  Job **job = &args->job;

  args->tokens = object->context->tokens;
  args->token = g_strdup (object->label);
  if (!options_parse (options, fds, table, &error))
    {
      reply_error (invocation, error);
      return TRUE;
    }
  operation = operation_new (object->context, &type, skeleton, invocation, args);
  operation_add_pin (operation, pin_fd, &args->pin);
  g_steal_pointer (&args);
  operation_start_job (operation, "verify", job, make_verify_result);
  return TRUE;
}

/* ---- PINs ---- */

typedef struct
{
  Tokens *tokens;
  char *token;
  TokensPinChange change;
  Secret *pin;
  Secret *new_pin;
} PinArgs;

static void
pin_args_free (gpointer data)
{
  PinArgs *args = data;

  g_free (args->token);
  g_clear_pointer (&args->pin, secret_free);
  g_clear_pointer (&args->new_pin, secret_free);
  g_free (args);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (PinArgs, pin_args_free)

static gpointer
op_change_pin (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  PinArgs *args = data;

  return GINT_TO_POINTER (tokens_change_pin (args->tokens, tpm, args->token, args->change,
                                             args->pin, args->new_pin, cancellable, error));
}

/* The three methods have no results: their answers are the same message. */
static void
answer_change_pin (gpointer skeleton, GDBusMethodInvocation *invocation, gpointer result)
{
  g_dbus_method_invocation_return_value (invocation, NULL);
}

static gboolean
start_change_pin (TokenObject *object,
                  GDBusMethodInvocation *invocation,
                  GUnixFDList *fds,
                  GVariant *options,
                  TokensPinChange change)
{
  static const OperationType type = { op_change_pin, pin_args_free, NULL, TRUE };
  g_autoptr (PinArgs) args = g_new0 (PinArgs, 1);
  GError *error = NULL;
  int pin_fd = -1;
  int new_pin_fd = -1;
  const Option table[] = { { change == TOKENS_CHANGE_PIN ? "pin" : "so-pin", "h", &pin_fd },
                           { "new-pin", "h", &new_pin_fd },
                           { NULL, NULL, NULL } };
  Operation *operation;
  PinArgs *taken;

  if (!options_parse (options, fds, table, &error))
    {
      reply_error (invocation, error);
      return TRUE;
    }
  args->tokens = object->context->tokens;
  args->token = g_strdup (object->label);
  args->change = change;
  taken = g_steal_pointer (&args);
  operation = operation_new (object->context, &type, object->skeleton, invocation, taken);
  operation_add_pin (operation, pin_fd, &taken->pin);
  operation_add_pin (operation, new_pin_fd, &taken->new_pin);
  operation_start (operation, answer_change_pin);
  return TRUE;
}

static gboolean
handle_change_pin (GgtpmToken *skeleton,
                   GDBusMethodInvocation *invocation,
                   GUnixFDList *fds,
                   GVariant *options,
                   gpointer user_data)
{
  return start_change_pin (user_data, invocation, fds, options, TOKENS_CHANGE_PIN);
}

static gboolean
handle_unblock_pin (GgtpmToken *skeleton,
                    GDBusMethodInvocation *invocation,
                    GUnixFDList *fds,
                    GVariant *options,
                    gpointer user_data)
{
  return start_change_pin (user_data, invocation, fds, options, TOKENS_UNBLOCK_PIN);
}

static gboolean
handle_change_so_pin (GgtpmToken *skeleton,
                      GDBusMethodInvocation *invocation,
                      GUnixFDList *fds,
                      GVariant *options,
                      gpointer user_data)
{
  return start_change_pin (user_data, invocation, fds, options, TOKENS_CHANGE_SO_PIN);
}

/* ---- the object ---- */

static int
compare_paths (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (*(const char *const *)a, *(const char *const *)b);
}

static void
show_keys (TokenObject *object)
{
  g_autoptr (GPtrArray) paths = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer path;

  g_hash_table_iter_init (&iter, object->keys);
  while (g_hash_table_iter_next (&iter, &path, NULL))
    g_ptr_array_add (paths, path);
  g_ptr_array_sort (paths, compare_paths);
  g_ptr_array_add (paths, NULL);
  ggtpm_token_set_keys (object->skeleton, (const char *const *)paths->pdata);
}

static void
update_keys (TokenObject *object, const TokenInfo *token)
{
  g_autoptr (GHashTable) before = g_steal_pointer (&object->keys);

  object->keys =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify)key_object_free);
  for (guint i = 0; i < token->keys->len; i++)
    {
      const TokenKey *key = g_ptr_array_index (token->keys, i);
      g_autofree char *path = object_path_for_key (token->label, key->id);
      KeyObject *known = NULL;

      /* other tools make two keys with one id: the first has it */
      if (g_hash_table_contains (object->keys, path))
        continue;
      if (before != NULL && g_hash_table_steal_extended (before, path, NULL, (gpointer *)&known))
        key_object_update (known, key);
      else
        known = key_object_new (object->context, token, key);
      g_hash_table_insert (object->keys, (gpointer)key_object_get_path (known), known);
    }
  show_keys (object);
}

void
token_object_update (TokenObject *object, const TokenInfo *token)
{
  GgtpmToken *skeleton = object->skeleton;

  ggtpm_token_set_label (skeleton, token->label);
  ggtpm_token_set_slot_id (skeleton, token->slot);
  ggtpm_token_set_manufacturer (skeleton, token->manufacturer);
  ggtpm_token_set_model (skeleton, token->model);
  ggtpm_token_set_serial (skeleton, token->serial);
  ggtpm_token_set_uri (skeleton, token->uri);
  ggtpm_token_set_pin_stored (skeleton, token->pin_stored);
  update_keys (object, token);
}

TokenObject *
token_object_new (const Context *context, const TokenInfo *token)
{
  TokenObject *object = g_new0 (TokenObject, 1);
  g_autoptr (GDBusObjectSkeleton) exported = NULL;

  object->context = context;
  object->path = object_path_for_token (token->label);
  object->label = g_strdup (token->label);
  object->skeleton = gate_new_skeleton (context->gate, GGTPM_TYPE_TOKEN_SKELETON);
  gate_set_detail (object->skeleton, "token", token->label);
  g_object_connect (object->skeleton, "signal::handle-create-key", handle_create_key, object,
                    "signal::handle-verify", handle_verify, object, "signal::handle-change-pin",
                    handle_change_pin, object, "signal::handle-unblock-pin", handle_unblock_pin,
                    object, "signal::handle-change-so-pin", handle_change_so_pin, object, NULL);
  token_object_update (object, token);
  exported = g_dbus_object_skeleton_new (object->path);
  g_dbus_object_skeleton_add_interface (exported, G_DBUS_INTERFACE_SKELETON (object->skeleton));
  g_dbus_object_manager_server_export (context->objects, exported);
  return object;
}

void
token_object_free (TokenObject *object)
{
  g_hash_table_unref (object->keys);
  g_dbus_object_manager_server_unexport (object->context->objects, object->path);
  g_object_unref (object->skeleton);
  g_free (object->label);
  g_free (object->path);
  g_free (object);
}
