/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "token-object.h"

#include "bus/key-object.h"
#include "bus/object-path.h"
#include "bus/token-args.h"
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

/* @out_args: the operation's, with the token */
static Operation *
new_operation (TokenObject *object,
               const OperationType *type,
               GDBusMethodInvocation *invocation,
               TokenArgs **out_args)
{
  TokenArgs *args = token_args_new (object->context, object->label, NULL);

  *out_args = args;
  return operation_new (object->context, type, object->skeleton, invocation, args);
}

/* ---- CreateKey ---- */

static gpointer
op_create_key (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  TokenArgs *args = data;
  TokenKey *key;

  job_report (args->job, "making the key pair", 0.1);
  key = tokens_create_key (args->tokens, tpm, args->token, args->label, args->id, args->algorithm,
                           args->pin, cancellable, error);
  return key != NULL ? new_key_new (args->token, key, NULL) : NULL;
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
  static const OperationType type = { .run = op_create_key,
                                      .args_free = token_args_free,
                                      .result_free = new_key_free,
                                      .changes_store = TRUE,
                                      .job = "create-key",
                                      .job_result = new_key_to_variant };
  TokenArgs *args = NULL;
  Operation *operation = new_operation (user_data, &type, invocation, &args);
  const Option table[] = { { "id", "ay", &args->id },
                           operation_pin_option (operation, "pin", &args->pin),
                           { NULL, NULL, NULL } };
  GError *error = NULL;

  args->label = g_strdup (label);
  args->algorithm = g_strdup (algorithm);
  if (!options_parse (options, fds, table, &error) ||
      !tokens_check_label (label, "the label of the key", &error) ||
      !tokens_check_algorithm (algorithm, &error) || !check_id (args->id, &error))
    operation_refuse (operation, error);
  else
    operation_start_job (operation, &args->job);
  return TRUE;
}

/* ---- Verify ---- */

typedef struct
{
  char *token;
  GPtrArray *checks; /* of TokenCheck */
} Verified;

static void
verified_free (gpointer data)
{
  Verified *result = data;

  g_free (result->token);
  g_ptr_array_unref (result->checks);
  g_free (result);
}

static gpointer
op_verify (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  TokenArgs *args = data;
  GPtrArray *checks;
  Verified *result;

  job_report (args->job, "verifying the keys", 0.1);
  checks =
      tokens_verify (args->tokens, tpm, args->token, args->label, args->pin, cancellable, error);
  if (checks == NULL)
    return NULL;
  result = g_new0 (Verified, 1);
  result->token = g_strdup (args->token);
  result->checks = checks;
  return result;
}

/* A key that has signed, in whatever way, can be used. */
static void
note_verified (const Context *context, gpointer data)
{
  const Verified *result = data;

  for (guint i = 0; i < result->checks->len; i++)
    {
      const TokenCheck *check = g_ptr_array_index (result->checks, i);
      gboolean has_signed =
          g_str_equal (check->check, "sign") && g_str_equal (check->verdict, "ok");
      g_autofree char *name = g_strdup_printf ("%s/%s", result->token, check->key);

      if (has_signed || check->error != NULL)
        operation_note_use (context, name, check->error);
    }
}

static GVariant *
make_verify_result (gpointer data)
{
  const GPtrArray *checks = ((Verified *)data)->checks;
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
  static const OperationType type = { .run = op_verify,
                                      .args_free = token_args_free,
                                      .result_free = verified_free,
                                      .job = "verify",
                                      .job_result = make_verify_result,
                                      .note_uses = note_verified };
  TokenArgs *args = NULL;
  Operation *operation = new_operation (user_data, &type, invocation, &args);
  const Option table[] = { { "key", "s", &args->label },
                           operation_pin_option (operation, "pin", &args->pin),
                           { NULL, NULL, NULL } };
  GError *error = NULL;

  if (!options_parse (options, fds, table, &error))
    operation_refuse (operation, error);
  else
    operation_start_job (operation, &args->job);
  return TRUE;
}

/* ---- PINs ---- */

static gpointer
op_change_pin (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  TokenArgs *args = data;

  return GINT_TO_POINTER (tokens_change_pin (args->tokens, tpm, args->token, args->change,
                                             args->pin, args->new_pin, cancellable, error));
}

static gboolean
start_change_pin (TokenObject *object,
                  GDBusMethodInvocation *invocation,
                  GUnixFDList *fds,
                  GVariant *options,
                  TokensPinChange change)
{
  static const OperationType type = { .run = op_change_pin,
                                      .args_free = token_args_free,
                                      .changes_store = TRUE,
                                      .answer = operation_answer_nothing };
  TokenArgs *args = NULL;
  Operation *operation = new_operation (object, &type, invocation, &args);
  const char *pin = change == TOKENS_CHANGE_PIN ? "pin" : "so-pin";
  const Option table[] = { operation_pin_option (operation, pin, &args->pin),
                           operation_pin_option (operation, "new-pin", &args->new_pin),
                           { NULL, NULL, NULL } };
  GError *error = NULL;

  args->change = change;
  if (!options_parse (options, fds, table, &error))
    operation_refuse (operation, error);
  else
    operation_start (operation);
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
