/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "gate.h"

#include "bus/polkit.h"
#include "bus/reply.h"
#include "bus/teller.h"
#include "dbus/error.h"
#include "dbus/names.h"

#include <grp.h>
#include <string.h>

/* Remembered answers of one sender; when there are more, all are asked for anew. */
#define MAX_GRANTS 64

struct _Gate
{
  GDBusConnection *connection;
  gid_t group;
  GHashTable *senders; /* unique name -> Sender */
  GHashTable *calls;   /* GDBusMethodInvocation -> Sender; not owned */
  GPtrArray *checks;   /* of Check; not owned */
  guint changed_id;
  guint polkit_watch;
};

typedef struct
{
  Gate *gate;
  char *name;
  guint n_calls;
  guint watch;
  GHashTable *grants; /* make_grant() */
} Sender;

/* A call that waits for its answer. */
typedef struct
{
  Gate *gate; /* NULL: gone */
  GDBusInterfaceSkeleton *skeleton;
  GDBusMethodInvocation *invocation;
  const char *action;
  char *grant; /* what a yes is a yes to */
  gboolean interactive;
  GCancellable *cancellable;
} Check;

/* ---- the table ---- */

typedef struct
{
  const char *interface;
  const char *method;
  const char *action; /* NULL: everybody may */
  gboolean owner;     /* whoever made the object may without the action */
} Rule;

static const Rule rules[] = {
  { "org.ggtpm1.Device", "Refresh", NULL, FALSE },
  { "org.ggtpm1.Device", "ReadClock", NULL, FALSE },
  { "org.ggtpm1.Device", "GetRandom", NULL, FALSE },
  { "org.ggtpm1.Device", "Hash", NULL, FALSE },
  { "org.ggtpm1.Device", "GetProperties", NULL, FALSE },
  { "org.ggtpm1.Health", "Check", NULL, FALSE },
  { "org.ggtpm1.Health", "SelfTest", GGTPM_ACTION_SELF_TEST, FALSE },
  { "org.ggtpm1.Health", "GetTestResult", NULL, FALSE },
  { "org.ggtpm1.Health", "ResetLockout", GGTPM_ACTION_RESET_LOCKOUT, FALSE },
  { "org.ggtpm1.Ownership", "Take", GGTPM_ACTION_OWN, FALSE },
  { "org.ggtpm1.Ownership", "Release", GGTPM_ACTION_OWN, FALSE },
  { "org.ggtpm1.Ownership", "Export", GGTPM_ACTION_OWN, FALSE },
  { "org.ggtpm1.Platform", "ReadPcrs", NULL, FALSE },
  { "org.ggtpm1.Platform", "ExtendPcr", GGTPM_ACTION_PCR, FALSE },
  { "org.ggtpm1.Platform", "ResetPcr", GGTPM_ACTION_PCR, FALSE },
  { "org.ggtpm1.Platform", "AllocatePcrs", GGTPM_ACTION_PCR, FALSE },
  { "org.ggtpm1.Provisioning", "Provision", GGTPM_ACTION_PROVISION, FALSE },
  { "org.ggtpm1.Provisioning", "RenderConfig", GGTPM_ACTION_WRITE_CONFIG, FALSE },
  { "org.ggtpm1.Provisioning", "Backup", GGTPM_ACTION_OWN, FALSE },
  { "org.ggtpm1.Provisioning", "Restore", GGTPM_ACTION_OWN, FALSE },
  { "org.ggtpm1.Provisioning", "RemoveToken", GGTPM_ACTION_PROVISION, FALSE },
  { "org.ggtpm1.Provisioning", "CheckConfig", GGTPM_ACTION_WRITE_CONFIG, FALSE },
  { "org.ggtpm1.Provisioning", "RememberConfig", GGTPM_ACTION_WRITE_CONFIG, FALSE },
  { "org.ggtpm1.Provisioning", "ForgetConfig", GGTPM_ACTION_WRITE_CONFIG, FALSE },
  { "org.ggtpm1.Provisioning", "CreateHandleKey", GGTPM_ACTION_MANAGE_KEYS, FALSE },
  { "org.ggtpm1.Provisioning", "RemoveHandleKey", GGTPM_ACTION_MANAGE_KEYS, FALSE },
  { "org.ggtpm1.Token", "CreateKey", GGTPM_ACTION_MANAGE_KEYS, FALSE },
  { "org.ggtpm1.Token", "Verify", GGTPM_ACTION_USE_KEY, FALSE },
  { "org.ggtpm1.Token", "ChangePin", GGTPM_ACTION_MANAGE_KEYS, FALSE },
  { "org.ggtpm1.Token", "UnblockPin", GGTPM_ACTION_MANAGE_KEYS, FALSE },
  { "org.ggtpm1.Token", "ChangeSoPin", GGTPM_ACTION_MANAGE_KEYS, FALSE },
  { "org.ggtpm1.Key", "CreateCsr", GGTPM_ACTION_USE_KEY, FALSE },
  { "org.ggtpm1.Key", "Sign", GGTPM_ACTION_USE_KEY, FALSE },
  { "org.ggtpm1.Key", "InstallCertificate", GGTPM_ACTION_MANAGE_KEYS, FALSE },
  { "org.ggtpm1.Key", "GetCertificate", NULL, FALSE },
  { "org.ggtpm1.Key", "ExportPublicKey", NULL, FALSE },
  { "org.ggtpm1.Key", "Verify", NULL, FALSE },
  { "org.ggtpm1.Key", "Decrypt", GGTPM_ACTION_USE_KEY, FALSE },
  { "org.ggtpm1.Key", "CreateSelfSigned", GGTPM_ACTION_USE_KEY, FALSE },
  { "org.ggtpm1.Key", "Rotate", GGTPM_ACTION_MANAGE_KEYS, FALSE },
  { "org.ggtpm1.Key", "Delete", GGTPM_ACTION_MANAGE_KEYS, FALSE },
  { "org.ggtpm1.Job", "Cancel", GGTPM_ACTION_CANCEL_JOB, TRUE },
};

static const Rule *
find_rule (const char *interface, const char *method)
{
  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
    if (g_str_equal (rules[i].interface, interface) && g_str_equal (rules[i].method, method))
      return &rules[i];
  return NULL;
}

gboolean
gate_lookup (const char *interface, const char *method, const char **out_action)
{
  const Rule *rule = find_rule (interface, method);

  if (rule == NULL)
    return FALSE;
  *out_action = rule->action;
  return TRUE;
}

/* ---- what the gate knows of an object ---- */

typedef struct
{
  Gate *gate;
  char *owner;
  GHashTable *details; /* name -> value */
} Ticket;

static void
ticket_free (Ticket *ticket)
{
  g_free (ticket->owner);
  g_hash_table_unref (ticket->details);
  g_free (ticket);
}

static GQuark
ticket_quark (void)
{
  return g_quark_from_static_string ("ggtpm-gate-ticket");
}

static Ticket *
get_ticket (gpointer skeleton)
{
  return g_object_get_qdata (G_OBJECT (skeleton), ticket_quark ());
}

void
gate_set_owner (gpointer skeleton, const char *sender)
{
  Ticket *ticket = get_ticket (skeleton);

  g_free (ticket->owner);
  ticket->owner = g_strdup (sender);
}

void
gate_set_detail (gpointer skeleton, const char *name, const char *value)
{
  g_hash_table_replace (get_ticket (skeleton)->details, g_strdup (name), g_strdup (value));
}

/* a{ss}, in the order of the names */
static GVariant *
get_details (gpointer skeleton)
{
  GHashTable *details = get_ticket (skeleton)->details;
  g_autoptr (GList) names = g_list_sort (g_hash_table_get_keys (details), (GCompareFunc)strcmp);
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{ss}"));
  for (GList *name = names; name != NULL; name = name->next)
    g_variant_builder_add (&builder, "{ss}", name->data, g_hash_table_lookup (details, name->data));
  return g_variant_builder_end (&builder);
}

/* ---- senders ---- */

static void
sender_free (Sender *sender)
{
  if (sender->watch != 0)
    g_bus_unwatch_name (sender->watch);
  g_hash_table_unref (sender->grants);
  g_free (sender->name);
  g_free (sender);
}

static Sender *
ensure_sender (Gate *gate, const char *name)
{
  Sender *sender = g_hash_table_lookup (gate->senders, name);

  if (sender != NULL)
    return sender;
  sender = g_new0 (Sender, 1);
  sender->gate = gate;
  sender->name = g_strdup (name);
  sender->grants = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_hash_table_insert (gate->senders, sender->name, sender);
  return sender;
}

static void
drop_idle_sender (Sender *sender)
{
  if (sender->n_calls == 0 && g_hash_table_size (sender->grants) == 0)
    g_hash_table_remove (sender->gate->senders, sender->name);
}

static void
on_sender_vanished (GDBusConnection *connection, const char *name, gpointer user_data)
{
  Sender *sender = user_data;
  g_autoptr (GPtrArray) cancellables = g_ptr_array_new_with_free_func (g_object_unref);

  for (guint i = 0; i < sender->gate->checks->len; i++)
    {
      Check *check = g_ptr_array_index (sender->gate->checks, i);

      if (g_str_equal (g_dbus_method_invocation_get_sender (check->invocation), sender->name))
        g_ptr_array_add (cancellables, g_object_ref (check->cancellable));
    }
  for (guint i = 0; i < cancellables->len; i++)
    g_cancellable_cancel (g_ptr_array_index (cancellables, i));
  g_hash_table_remove_all (sender->grants);
  drop_idle_sender (sender);
}

static void
watch_sender (Sender *sender)
{
  if (sender->watch == 0)
    sender->watch = g_bus_watch_name_on_connection (sender->gate->connection, sender->name,
                                                    G_BUS_NAME_WATCHER_FLAGS_NONE, NULL,
                                                    on_sender_vanished, sender, NULL);
}

/* A call is under way until its invocation is answered, which frees it. */
static void
on_call_ended (gpointer user_data, GObject *where_it_was)
{
  Gate *gate = user_data;
  Sender *sender = g_hash_table_lookup (gate->calls, where_it_was);

  g_hash_table_remove (gate->calls, where_it_was);
  sender->n_calls--;
  drop_idle_sender (sender);
}

static gboolean
admit (Gate *gate, GDBusMethodInvocation *invocation)
{
  Sender *sender = ensure_sender (gate, g_dbus_method_invocation_get_sender (invocation));

  if (sender->n_calls >= GATE_MAX_CALLS)
    return FALSE;
  sender->n_calls++;
  g_hash_table_insert (gate->calls, invocation, sender);
  g_object_weak_ref (G_OBJECT (invocation), on_call_ended, gate);
  return TRUE;
}

/* ---- remembered answers ---- */

/* What polkit is asked: the action and the details, which its rules may look at. An object path may later be that of a
 * key with another label. */
static char *
make_grant (gpointer skeleton, const char *action)
{
  g_autoptr (GVariant) details = g_variant_ref_sink (get_details (skeleton));
  g_autofree char *text = g_variant_print (details, FALSE);

  return g_strconcat (action, "\n", text, NULL);
}

static gboolean
has_grant (Gate *gate, gpointer skeleton, GDBusMethodInvocation *invocation, const char *action)
{
  Sender *sender =
      g_hash_table_lookup (gate->senders, g_dbus_method_invocation_get_sender (invocation));
  g_autofree char *grant = make_grant (skeleton, action);

  return sender != NULL && g_hash_table_contains (sender->grants, grant);
}

static void
remember_grant (Gate *gate, GDBusMethodInvocation *invocation, const char *grant)
{
  Sender *sender = ensure_sender (gate, g_dbus_method_invocation_get_sender (invocation));

  if (g_hash_table_size (sender->grants) >= MAX_GRANTS)
    g_hash_table_remove_all (sender->grants);
  g_hash_table_add (sender->grants, g_strdup (grant));
}

static gboolean
forget_grants (gpointer name, gpointer value, gpointer user_data)
{
  Sender *sender = value;

  g_hash_table_remove_all (sender->grants);
  return sender->n_calls == 0;
}

static void
on_polkit_changed (GDBusConnection *connection,
                   const char *sender_name,
                   const char *object_path,
                   const char *interface_name,
                   const char *signal_name,
                   GVariant *parameters,
                   gpointer user_data)
{
  Gate *gate = user_data;

  g_hash_table_foreach_remove (gate->senders, forget_grants, NULL);
}

static void
on_polkit_appeared (GDBusConnection *connection,
                    const char *name,
                    const char *owner,
                    gpointer user_data)
{
  Gate *gate = user_data;

  g_hash_table_foreach_remove (gate->senders, forget_grants, NULL);
}

static void
on_polkit_vanished (GDBusConnection *connection, const char *name, gpointer user_data)
{
  Gate *gate = user_data;

  g_hash_table_foreach_remove (gate->senders, forget_grants, NULL);
}

/* ---- one call ---- */

static void
check_free (Check *check)
{
  if (check->gate != NULL)
    g_ptr_array_remove_fast (check->gate->checks, check);
  g_object_unref (check->skeleton);
  g_object_unref (check->cancellable);
  g_free (check->grant);
  g_free (check);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Check, check_free)

static void refuse (GDBusMethodInvocation *invocation, GgtpmError code, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

static void
refuse (GDBusMethodInvocation *invocation, GgtpmError code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  reply_error (invocation, g_error_new_valist (GGTPM_ERROR, (gint)code, format, args));
  va_end (args);
}

static GDBusInterfaceVTable *
get_parent_vtable (GDBusInterfaceSkeleton *skeleton)
{
  GDBusInterfaceSkeletonClass *parent =
      g_type_class_peek_parent (G_DBUS_INTERFACE_SKELETON_GET_CLASS (skeleton));

  return parent->get_vtable (skeleton);
}

/* To the generated code, which takes @invocation and calls the handler. */
static void
pass (GDBusInterfaceSkeleton *skeleton, GDBusMethodInvocation *invocation)
{
  if (g_dbus_interface_skeleton_get_object_path (skeleton) == NULL)
    {
      refuse (invocation, GGTPM_ERROR_NOT_FOUND, "%s has gone meanwhile",
              g_dbus_method_invocation_get_object_path (invocation));
      return;
    }
  get_parent_vtable (skeleton)->method_call (
      g_dbus_method_invocation_get_connection (invocation),
      g_dbus_method_invocation_get_sender (invocation),
      g_dbus_method_invocation_get_object_path (invocation),
      g_dbus_method_invocation_get_interface_name (invocation),
      g_dbus_method_invocation_get_method_name (invocation),
      g_dbus_method_invocation_get_parameters (invocation), invocation, skeleton);
}

static void
pass_check (Check *check, gboolean remember)
{
  if (remember && !g_cancellable_is_cancelled (check->cancellable))
    remember_grant (check->gate, check->invocation, check->grant);
  pass (check->skeleton, check->invocation);
}

/* What gives out the auths of the chip, or makes what is sealed to PCRs useless, is not for the group of consumers. */
static gboolean
is_for_root (const char *action)
{
  return g_str_equal (action, GGTPM_ACTION_OWN) || g_str_equal (action, GGTPM_ACTION_PCR);
}

static void
fallback_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Check) check = user_data;
  g_autoptr (GError) local_error = NULL;
  gboolean allowed = FALSE;

  if (!polkit_fallback_finish (result, &allowed, &local_error))
    reply_error (check->invocation, g_steal_pointer (&local_error));
  else if (allowed && check->gate != NULL)
    /* uid and groups of a connection do not change; polkit's coming makes it be forgotten */
    pass_check (check, TRUE);
  else
    refuse (check->invocation, GGTPM_ERROR_NOT_AUTHORIZED, "%s: without polkit only root %smay",
            check->action,
            is_for_root (check->action) ? "" : "and members of the group of the daemon ");
}

static void check_done (GObject *source, GAsyncResult *result, gpointer user_data);

static void
ask (Check *check, gboolean interactive)
{
  check->interactive = interactive;
  polkit_check_async (check->gate->connection,
                      g_dbus_method_invocation_get_sender (check->invocation), check->action,
                      get_details (check->skeleton), interactive, check->cancellable, check_done,
                      check);
}

static gboolean
may_ask_person (Check *check)
{
  GDBusMessage *message = g_dbus_method_invocation_get_message (check->invocation);

  return !check->interactive && (g_dbus_message_get_flags (message) &
                                 G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION) != 0;
}

static void
act_on_answer (Check *check, PolkitAnswer answer)
{
  g_autoptr (Check) owned = check;

  switch (answer)
    {
    case POLKIT_ANSWER_YES:
      pass_check (check, !check->interactive);
      break;
    case POLKIT_ANSWER_YES_FOR_NOW:
      pass_check (check, FALSE);
      break;
    case POLKIT_ANSWER_CHALLENGE:
      if (may_ask_person (check))
        ask (g_steal_pointer (&owned), TRUE);
      else
        refuse (check->invocation, GGTPM_ERROR_NOT_AUTHORIZED,
                "%s needs an authentication, and this call does not allow to ask for one",
                check->action);
      break;
    case POLKIT_ANSWER_ABSENT:
      polkit_fallback_async (check->gate->connection,
                             g_dbus_method_invocation_get_sender (check->invocation),
                             is_for_root (check->action) ? (gid_t)-1 : check->gate->group,
                             check->cancellable, fallback_done, check);
      g_steal_pointer (&owned);
      break;
    case POLKIT_ANSWER_NO:
    default:
      refuse (check->invocation, GGTPM_ERROR_NOT_AUTHORIZED, "%s is not granted by polkit",
              check->action);
      break;
    }
}

static void
check_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Check) check = user_data;
  g_autoptr (GError) local_error = NULL;
  PolkitAnswer answer = POLKIT_ANSWER_NO;

  if (!polkit_check_finish (result, &answer, &local_error))
    reply_error (check->invocation, g_steal_pointer (&local_error));
  else if (check->gate == NULL)
    refuse (check->invocation, GGTPM_ERROR_NOT_AUTHORIZED, "ggtpmd is stopping");
  else
    act_on_answer (g_steal_pointer (&check), answer);
}

static void
begin_check (Gate *gate,
             GDBusInterfaceSkeleton *skeleton,
             GDBusMethodInvocation *invocation,
             const char *action)
{
  Check *check = g_new0 (Check, 1);

  check->gate = gate;
  check->skeleton = g_object_ref (skeleton);
  check->invocation = invocation;
  check->action = action;
  check->grant = make_grant (skeleton, action);
  check->cancellable = g_cancellable_new ();
  g_ptr_array_add (gate->checks, check);
  watch_sender (ensure_sender (gate, g_dbus_method_invocation_get_sender (invocation)));
  ask (check, FALSE);
}

static void
on_method_call (GDBusConnection *connection,
                const char *sender,
                const char *object_path,
                const char *interface_name,
                const char *method_name,
                GVariant *parameters,
                GDBusMethodInvocation *invocation,
                gpointer user_data)
{
  GDBusInterfaceSkeleton *skeleton = user_data;
  Ticket *ticket = get_ticket (skeleton);
  const Rule *rule = find_rule (interface_name, method_name);

  if (rule == NULL || ticket == NULL)
    refuse (invocation, GGTPM_ERROR_NOT_AUTHORIZED, "nobody may call %s.%s", interface_name,
            method_name);
  else if (g_variant_get_size (parameters) > GATE_MAX_BYTES)
    refuse (invocation, GGTPM_ERROR_INVALID_ARGS, "the arguments are longer than %d bytes",
            GATE_MAX_BYTES);
  else if (!admit (ticket->gate, invocation))
    refuse (invocation, GGTPM_ERROR_BUSY, "%d calls of yours are under way: wait for one to end",
            GATE_MAX_CALLS);
  else if (rule->action == NULL || (rule->owner && g_strcmp0 (ticket->owner, sender) == 0) ||
           has_grant (ticket->gate, skeleton, invocation, rule->action))
    pass (skeleton, invocation);
  else
    begin_check (ticket->gate, skeleton, invocation, rule->action);
}

/* ---- gated types ---- */

static GQuark
vtable_quark (void)
{
  return g_quark_from_static_string ("ggtpm-gate-vtable");
}

static GDBusInterfaceVTable *
get_vtable (GDBusInterfaceSkeleton *skeleton)
{
  GDBusInterfaceVTable *vtable = g_type_get_qdata (G_OBJECT_TYPE (skeleton), vtable_quark ());

  if (vtable == NULL)
    {
      vtable = g_memdup2 (get_parent_vtable (skeleton), sizeof *vtable);
      vtable->method_call = on_method_call;
      g_type_set_qdata (G_OBJECT_TYPE (skeleton), vtable_quark (), vtable);
    }
  return vtable;
}

static void
gated_class_init (gpointer klass, gpointer class_data)
{
  G_DBUS_INTERFACE_SKELETON_CLASS (klass)->get_vtable = get_vtable;
  teller_install (klass);
}

static GType
ensure_gated_type (GType parent)
{
  g_autofree char *name = g_strconcat ("Gated", g_type_name (parent), NULL);
  GType type = g_type_from_name (name);
  GTypeQuery query;

  if (type != 0)
    return type;
  g_type_query (parent, &query);
  return g_type_register_static_simple (parent, name, query.class_size, gated_class_init,
                                        query.instance_size, NULL, G_TYPE_FLAG_FINAL);
}

gpointer
gate_new_skeleton (Gate *gate, GType skeleton_type)
{
  GObject *skeleton = g_object_new (ensure_gated_type (skeleton_type), NULL);
  Ticket *ticket = g_new0 (Ticket, 1);

  ticket->gate = gate;
  ticket->details = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_object_set_qdata_full (skeleton, ticket_quark (), ticket, (GDestroyNotify)ticket_free);
  return skeleton;
}

Gate *
gate_new (GDBusConnection *connection, const char *group)
{
  Gate *gate = g_new0 (Gate, 1);
  struct group *entry = getgrnam (group);

  gate->connection = g_object_ref (connection);
  gate->group = entry != NULL ? entry->gr_gid : (gid_t)-1;
  gate->senders =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify)sender_free);
  gate->calls = g_hash_table_new (NULL, NULL);
  gate->checks = g_ptr_array_new ();
  gate->changed_id = g_dbus_connection_signal_subscribe (
      connection, POLKIT_BUS_NAME, POLKIT_INTERFACE, "Changed", POLKIT_PATH, NULL,
      G_DBUS_SIGNAL_FLAGS_NONE, on_polkit_changed, gate, NULL);
  gate->polkit_watch =
      g_bus_watch_name_on_connection (connection, POLKIT_BUS_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                      on_polkit_appeared, on_polkit_vanished, gate, NULL);
  return gate;
}

void
gate_free (Gate *gate)
{
  GHashTableIter iter;
  gpointer invocation;

  g_bus_unwatch_name (gate->polkit_watch);
  g_dbus_connection_signal_unsubscribe (gate->connection, gate->changed_id);
  for (guint i = 0; i < gate->checks->len; i++)
    {
      Check *check = g_ptr_array_index (gate->checks, i);

      check->gate = NULL;
      g_cancellable_cancel (check->cancellable);
    }
  g_hash_table_iter_init (&iter, gate->calls);
  while (g_hash_table_iter_next (&iter, &invocation, NULL))
    g_object_weak_unref (G_OBJECT (invocation), on_call_ended, gate);
  g_ptr_array_unref (gate->checks);
  g_hash_table_unref (gate->calls);
  g_hash_table_unref (gate->senders);
  g_object_unref (gate->connection);
  g_free (gate);
}
