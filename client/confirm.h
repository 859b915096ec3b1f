/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "client.h"

G_BEGIN_DECLS

/*
 * Before what cannot be undone: shows @text on the terminal and goes on only if @word is typed.
 * @text: what is lost, in lines; NULL: @what says all
 * @what: also for the error where nobody can be asked: `the token 'x' would be gone for ever`
 * Errors: GGTPM_ERROR_INVALID_ARGS: there is no terminal, or nothing may be asked: --yes; GGTPM_ERROR_CANCELLED:
 * something else was typed.
 */
gboolean confirm_word (Client *client,
                       const char *text,
                       const char *word,
                       const char *what,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
