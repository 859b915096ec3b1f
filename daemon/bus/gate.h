/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Gate: nothing reaches a handler without it. Who may call what is the table in gate-table.c (interface, method, polkit
 * action); what is not in it is denied. polkit is asked over the bus, asynchronously; where it is not installed, root
 * and the group `ggtpm` may. A positive answer without interaction is kept per (sender, action, token) until polkit's
 * Changed signal or until the sender leaves.
 *
 * The gate is the first to refuse, too: a sender that has GATE_MAX_CALLS calls under way (asked of polkit or at work)
 * gets GGTPM_ERROR_BUSY at once for the next, and arguments of more than GATE_MAX_BYTES are not kept while polkit
 * thinks.
 *
 * The gate stands in the skeleton's own vtable: gate_new_skeleton() makes an instance of a subclass of the generated
 * skeleton whose method calls pass it first, so an object that is exported cannot be without it.
 */
typedef struct _Gate Gate;

/* Calls of one sender that may be under way at once. */
#define GATE_MAX_CALLS 16
/* Of arguments: more than the longest data to sign with their options. */
#define GATE_MAX_BYTES (128 * 1024)

/* @group: name of the group for the fallback */
Gate *gate_new (GDBusConnection *connection, const char *group);
/* Calls that still wait for polkit are answered NOT_AUTHORIZED. */
void gate_free (Gate *gate);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Gate, gate_free)

/* An object of the gated subclass of @skeleton_type (GGTPM_TYPE_*_SKELETON); its handlers are called as if there were
 * no gate, for allowed calls only. */
gpointer gate_new_skeleton (Gate *gate, GType skeleton_type);

/* For methods that whoever made the object may call without rights (Job.Cancel): @sender, a unique name. */
void gate_set_owner (gpointer skeleton, const char *sender);
/* What polkit's dialogs and rules are told of the object, beside the action: `token`. */
void gate_set_detail (gpointer skeleton, const char *name, const char *value);

G_END_DECLS
