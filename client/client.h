/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "ggtpm-generated.h"

G_BEGIN_DECLS

/* Seconds for one answer where --timeout says nothing: a person may be asked for a password meanwhile. */
#define CLIENT_TIMEOUT_S 120

/* Of ggtpm_error_exit_code(): what may pass by itself. */
#define EXIT_BUSY        5
#define EXIT_UNAVAILABLE 6

/*
 * Client: the connection to ggtpmd and what the options for every verb say. One thread, blocking calls; only
 * progress.c runs a main loop.
 */
typedef struct
{
  gboolean json;
  gboolean no_ask_password;
  int timeout_s; /* for the whole run; 0: CLIENT_TIMEOUT_S for each answer, and no end for jobs */
  gint64 start;  /* g_get_monotonic_time() */

  int exit_code; /* of a verb that printed what it had to: 0 */

  GDBusConnection *connection;
  GDBusObjectManager *objects;
  GgtpmManager *manager;
  GgtpmProvisioning *provisioning;
} Client;

Client *client_new (gboolean json, gboolean no_ask_password, int timeout_s);
void client_free (Client *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Client, client_free)

/*
 * Connects to the system bus and loads the daemon's objects.
 * @start: let the bus start the daemon where it does not run
 * Errors: GGTPM_ERROR_UNAVAILABLE (no bus, no daemon), GGTPM_ERROR_TIMEOUT, GGTPM_ERROR_NOT_AUTHORIZED.
 */
gboolean client_connect (Client *client, gboolean start, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* For every method call. */
GDBusCallFlags client_get_flags (const Client *client);
int client_get_timeout_ms (const Client *client);

/*
 * Makes an error of a call one of ours, with a text for people: what is not running, and what to do. Takes and
 * returns @error's content in place.
 */
void client_convert_error (GError **error);

/*
 * For a verb that goes on after @error and ends with the exit code of what went wrong: what may pass by itself goes
 * before what is for a person to look at, since the units try again then.
 */
void client_note_failure (Client *client, const GError *error);

G_END_DECLS
