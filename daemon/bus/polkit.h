/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * polkit over the bus, asynchronously, without libpolkit. Stateless: what is remembered, is by the gate.
 */
#define POLKIT_BUS_NAME  "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

typedef enum
{
  POLKIT_ANSWER_NO,
  POLKIT_ANSWER_CHALLENGE, /* would be yes after an authentication */
  POLKIT_ANSWER_YES,
  POLKIT_ANSWER_YES_FOR_NOW, /* rests on an authentication that runs out: not to be remembered */
  POLKIT_ANSWER_ABSENT,      /* not installed */
} PolkitAnswer;

/*
 * @sender: unique name of the caller
 * @details: a{ss}, floating is sunk
 * @interactive: whether polkit may show a dialog; then it may take minutes
 * Cancelling closes the dialog.
 */
void polkit_check_async (GDBusConnection *connection,
                         const char *sender,
                         const char *action,
                         GVariant *details,
                         gboolean interactive,
                         GCancellable *cancellable,
                         GAsyncReadyCallback callback,
                         gpointer user_data);
/* Errors: GGTPM_ERROR_NOT_AUTHORIZED when polkit fails or does not answer, GGTPM_ERROR_CANCELLED. */
gboolean polkit_check_finish (GAsyncResult *result,
                              PolkitAnswer *out_answer,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Where there is no polkit: whether the process behind @sender is root or in @group, as the bus saw it when it
 * connected.
 * @group: (gid_t) -1: none
 */
void polkit_fallback_async (GDBusConnection *connection,
                            const char *sender,
                            gid_t group,
                            GCancellable *cancellable,
                            GAsyncReadyCallback callback,
                            gpointer user_data);
gboolean polkit_fallback_finish (GAsyncResult *result,
                                 gboolean *out_allowed,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
