/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "token/tokens.h"

G_BEGIN_DECLS

/*
 * Signer: the short way to the warm token helper: signatures by keys for which it has given a ticket, straight from the
 * main loop, with no thread between. Whatever is not plain success is not explained here but done again on the token
 * lane by tokens_sign(), which looks at the store, the chip and the helper. Main thread; never blocks.
 */
typedef struct _Signer Signer;

Signer *signer_new (void);
/* What waits is answered with GGTPM_ERROR_CANCELLED. */
void signer_free (Signer *signer);

/* Takes what is in @ticket. A ticket of another helper than before ends all that there are. */
void signer_add (Signer *signer, const char *token, GBytes *id, TokenTicket *ticket);

/*
 * @signature: borrowed; NULL: @error, which is the callee's
 * @line: that was used, for tokens_distrust(). Errors: GGTPM_ERROR_FAILED: to be done on the token lane;
 * GGTPM_ERROR_BUSY: too many wait; GGTPM_ERROR_TIMEOUT: the helper has been ended; GGTPM_ERROR_CANCELLED.
 */
typedef void (*SignerDone) (GBytes *signature, HelperLine *line, GError *error, gpointer user_data);

/* FALSE: there is no ticket, and @done is not called; else it is, once, maybe before this returns. */
gboolean signer_sign (Signer *signer,
                      const char *token,
                      GBytes *id,
                      const char *mechanism,
                      const char *hash,
                      GBytes *digest,
                      SignerDone done,
                      gpointer user_data);

G_END_DECLS
