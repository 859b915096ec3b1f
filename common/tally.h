/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Tally: how often each of a few things has happened to the chip since the start. Who sees it adds, who wants to know
 * reads: any threads.
 */
typedef struct _Tally Tally;

typedef enum
{
  TALLY_AUTH_FAILED, /* an authorisation, with TPM_RC_AUTH_FAIL or TPM_RC_BAD_AUTH; nobody is called for that */
  TALLY_FLUSHED,   /* an object or session that was nobody's */
  TALLY_REOPENED,  /* the device, which had been open before */
  TALLY_SHUT_DOWN, /* TPM2_Shutdown, and the chip has carried it out */
  TALLY_N_KINDS
} TallyKind;

Tally *tally_new (void);
void tally_free (Tally *tally);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Tally, tally_free)

void tally_add (Tally *tally, TallyKind kind, guint n);
guint tally_get (Tally *tally, TallyKind kind);

/*
 * @func: called at once and after something was added, once for all that was, on the thread-default main context of
 *   this call, from whose thread it is ended, too; NULL: nobody any more
 */
void tally_watch (Tally *tally, GSourceOnceFunc func, gpointer user_data);

G_END_DECLS
