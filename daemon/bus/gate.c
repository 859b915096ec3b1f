/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "gate.h"

#include "bus/callers.h"
#include "bus/gate-table.h"
#include "bus/polkit.h"
#include "bus/reply.h"
#include "bus/teller.h"
#include "dbus/error.h"

#include <grp.h>
#include <string.h>

struct _Gate
{
  GDBusConnection *connection;
  gid_t group;
  Callers *callers;
  GPtrArray *checks; /* of Check; not owned */
};

/* A call that waits for its answer. */
typedef struct
{
  Gate *gate; /* NULL: gone */
  GDBusInterfaceSkeleton *skeleton;
  GDBusMethodInvocation *invocation;
  const GateRule *rule;
  char *grant; /* what a yes is a yes to */
  gboolean interactive;
  GCancellable *cancellable;
} Check;

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

/* What polkit is asked: the action and the details, which its rules may look at: a yes is for all of a token. */
static char *
make_grant (gpointer skeleton, const char *action)
{
  g_autoptr (GVariant) details = g_variant_ref_sink (get_details (skeleton));
  g_autofree char *text = g_variant_print (details, FALSE);

  return g_strconcat (action, "\n", text, NULL);
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
    callers_remember (check->gate->callers, g_dbus_method_invocation_get_sender (check->invocation),
                      check->grant);
  pass (check->skeleton, check->invocation);
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
            check->rule->action,
            check->rule->extra == GATE_ROOT_ALONE ? "" : "and members of the group of the daemon ");
}

static void check_done (GObject *source, GAsyncResult *result, gpointer user_data);

static void
ask (Check *check, gboolean interactive)
{
  check->interactive = interactive;
  polkit_check_async (check->gate->connection,
                      g_dbus_method_invocation_get_sender (check->invocation), check->rule->action,
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
                check->rule->action);
      break;
    case POLKIT_ANSWER_ABSENT:
      polkit_fallback_async (check->gate->connection,
                             g_dbus_method_invocation_get_sender (check->invocation),
                             check->rule->extra == GATE_ROOT_ALONE ? (gid_t)-1 : check->gate->group,
                             check->cancellable, fallback_done, check);
      g_steal_pointer (&owned);
      break;
    case POLKIT_ANSWER_NO:
    default:
      refuse (check->invocation, GGTPM_ERROR_NOT_AUTHORIZED, "%s is not granted by polkit",
              check->rule->action);
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
             const GateRule *rule)
{
  Check *check = g_new0 (Check, 1);

  check->gate = gate;
  check->skeleton = g_object_ref (skeleton);
  check->invocation = invocation;
  check->rule = rule;
  check->grant = make_grant (skeleton, rule->action);
  check->cancellable = g_cancellable_new ();
  g_ptr_array_add (gate->checks, check);
  callers_watch (gate->callers, g_dbus_method_invocation_get_sender (invocation));
  ask (check, FALSE);
}

static gboolean
may_without_asking (const Ticket *ticket,
                    GDBusInterfaceSkeleton *skeleton,
                    const char *sender,
                    const GateRule *rule)
{
  g_autofree char *grant = NULL;

  if (rule->action == NULL)
    return TRUE;
  if (rule->extra == GATE_OWNER_TOO && g_strcmp0 (ticket->owner, sender) == 0)
    return TRUE;
  grant = make_grant (skeleton, rule->action);
  return callers_may (ticket->gate->callers, sender, grant);
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
  const GateRule *rule = gate_table_lookup (interface_name, method_name);

  if (rule == NULL || ticket == NULL)
    refuse (invocation, GGTPM_ERROR_NOT_AUTHORIZED, "nobody may call %s.%s", interface_name,
            method_name);
  else if (g_variant_get_size (parameters) > GATE_MAX_BYTES)
    refuse (invocation, GGTPM_ERROR_INVALID_ARGS, "the arguments are longer than %d bytes",
            GATE_MAX_BYTES);
  else if (!callers_admit (ticket->gate->callers, invocation, GATE_MAX_CALLS))
    refuse (invocation, GGTPM_ERROR_BUSY, "%d calls of yours are under way: wait for one to end",
            GATE_MAX_CALLS);
  else if (may_without_asking (ticket, skeleton, sender, rule))
    pass (skeleton, invocation);
  else
    begin_check (ticket->gate, skeleton, invocation, rule);
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

/* Nobody waits for what its calls ask of polkit. */
static void
on_caller_vanished (const char *name, gpointer user_data)
{
  Gate *gate = user_data;
  g_autoptr (GPtrArray) cancellables = g_ptr_array_new_with_free_func (g_object_unref);

  for (guint i = 0; i < gate->checks->len; i++)
    {
      Check *check = g_ptr_array_index (gate->checks, i);

      if (g_str_equal (g_dbus_method_invocation_get_sender (check->invocation), name))
        g_ptr_array_add (cancellables, g_object_ref (check->cancellable));
    }
  for (guint i = 0; i < cancellables->len; i++)
    g_cancellable_cancel (g_ptr_array_index (cancellables, i));
}

Gate *
gate_new (GDBusConnection *connection, const char *group)
{
  Gate *gate = g_new0 (Gate, 1);
  struct group *entry = getgrnam (group);

  gate->connection = g_object_ref (connection);
  gate->group = entry != NULL ? entry->gr_gid : (gid_t)-1;
  gate->callers = callers_new (connection, on_caller_vanished, gate);
  gate->checks = g_ptr_array_new ();
  return gate;
}

void
gate_free (Gate *gate)
{
  for (guint i = 0; i < gate->checks->len; i++)
    {
      Check *check = g_ptr_array_index (gate->checks, i);

      check->gate = NULL;
      g_cancellable_cancel (check->cancellable);
    }
  g_ptr_array_unref (gate->checks);
  callers_free (gate->callers);
  g_object_unref (gate->connection);
  g_free (gate);
}
