/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"

G_BEGIN_DECLS

/*
 * What a method does with the chip: an operation, on a thread of the worker for the chip.
 * @parameters: the call's, checked by its handler
 * Returns the reply's body, floating; NULL with @error set.
 */
typedef GVariant *(*ChipCallRun) (Tpm *tpm, GVariant *parameters, GError **error);

/*
 * Answers @invocation, which is its to take, with what @run makes of its parameters. For methods that neither change
 * the store nor need a PIN; those are operation.h's. Without a chip: GGTPM_ERROR_UNAVAILABLE at once. Main thread.
 */
void chip_call_start (const Context *context, GDBusMethodInvocation *invocation, ChipCallRun run);

G_END_DECLS
