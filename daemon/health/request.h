/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "reading.h"

G_BEGIN_DECLS

/* Request: readings to come, merged into one, and who waits for it. For monitor.c. */
typedef struct
{
  gboolean wanted;
  gboolean fixed;         /* fixed properties too */
  gboolean tpm_was_reset; /* the first since the chip has lost what was in it */
  gboolean reset_lockout; /* a person wants it */
  GPtrArray *waiters;
} Request;

void request_init (Request *request);
/* Whoever waits is not called. */
void request_clear (Request *request);

/*
 * One more who waits for it.
 * @task: taken; a method call
 * @is_reset: it wants to know about the lockout reset
 */
void request_add_task (Request *request, GTask *task, gboolean is_reset);
/* @ready: called when the reading has ended, however; for the start of the service */
void request_add_ready (Request *request, GSourceFunc ready, gpointer user_data);

/* Tells all who wait, and clears it. @reading: NULL: it failed with @error */
void request_answer (Request *request, const Reading *reading, const GError *error);

G_END_DECLS
