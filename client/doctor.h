/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "client.h"
#include "common/checks.h"

G_BEGIN_DECLS

/*
 * Every check there is: those of common/checks.h and, where the daemon runs, what it knows. Does not start the daemon.
 * @client: gets connected, if that is possible. Of Check; free with g_ptr_array_unref().
 */
GPtrArray *doctor_run (Client *client);

/* One line for each check. Free with g_free(). @colours: see output_coloured() */
char *doctor_to_string (GPtrArray *checks, gboolean colours);
/* aa{sv}: id, verdict, text, remedy. Floating. */
GVariant *doctor_describe (GPtrArray *checks);

G_END_DECLS
