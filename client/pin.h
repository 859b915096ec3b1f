/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "commands.h"

#include <gio/gunixfdlist.h>

G_BEGIN_DECLS

/*
 * One call that may need a PIN. @arguments: a{sv}, borrowed, with `pin`, `so-pin` and `new-pin` as indices into
 * @descriptors.
 * Errors: as they come from the bus.
 */
typedef gboolean (*PinCall) (Client *client,
                             GVariant *arguments,
                             GUnixFDList *descriptors,
                             gpointer user_data,
                             GError **error);

/*
 * Calls @call with the PINs of --pin-file, --so-pin-file and --new-pin-file, if they were given. If the daemon answers
 * that it needs a PIN, and a person may be asked for it, asks on the terminal, once, and calls again. A PIN that was
 * refused is never tried again.
 * @arguments: a{sv}, floating is sunk
 * @token: for the question; NULL: not known
 * Errors: GGTPM_ERROR.
 */
gboolean pin_call (Client *client,
                   const Options *options,
                   const char *token,
                   GVariant *arguments,
                   PinCall call,
                   gpointer user_data,
                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same where it is the SO PIN that the daemon may need. */
gboolean pin_call_so (Client *client,
                      const Options *options,
                      const char *token,
                      GVariant *arguments,
                      PinCall call,
                      gpointer user_data,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
