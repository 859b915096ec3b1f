/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Gate: nothing reaches a handler without it. Who may call what is the table in gate.c (interface, method, polkit
 * action); what is not in it is denied. polkit is asked over the bus, asynchronously; where it is not installed, root
 * and the group `ggtpm` may. A positive answer without interaction is kept per (sender, action, object) until polkit's
 * Changed signal or until the sender leaves.
 *
 * The gate stands in the skeleton's own vtable: gate_new_skeleton() makes an instance of a subclass of the generated
 * skeleton whose method calls pass it first, so an object that is exported cannot be without it.
 */
typedef struct _Gate Gate;

/* @group: name of the group for the fallback */
Gate *gate_new (GDBusConnection *connection, const char *group);
void gate_free (Gate *gate);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Gate, gate_free)

/* An object of the gated subclass of @skeleton_type (GGTPM_TYPE_*_SKELETON); its handlers are called as if there were
 * no gate, for allowed calls only. */
gpointer gate_new_skeleton (Gate *gate, GType skeleton_type);

/* The table, for the test that walks the generated interfaces against it. NULL action: everybody may. */
gboolean gate_lookup (const char *interface, const char *method, const char **out_action);

G_END_DECLS
