/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Callers: what the gate knows of each sender: how many calls of it are under way, and to what polkit has said yes. A
 * yes is forgotten when polkit says that its rules have changed, when it comes or goes, and when the sender leaves.
 */
typedef struct _Callers Callers;

/* @vanished: of one that callers_watch() was called for; not during callers_free() */
typedef void (*CallersVanishedFunc) (const char *name, gpointer user_data);
Callers *
callers_new (GDBusConnection *connection, CallersVanishedFunc vanished, gpointer user_data);
void callers_free (Callers *callers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Callers, callers_free)

/* Counts @invocation for its sender until it is answered. FALSE: @max of its calls are under way already. */
gboolean callers_admit (Callers *callers, GDBusMethodInvocation *invocation, guint max);

/* From then on until it leaves. */
void callers_watch (Callers *callers, const char *name);

/* A yes, to what @grant names. There is a bound: beyond it all of @name's are asked for anew. */
void callers_remember (Callers *callers, const char *name, const char *grant);
gboolean callers_may (Callers *callers, const char *name, const char *grant);

G_END_DECLS
