/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "broker/resource-manager.h"

G_BEGIN_DECLS

/* What must hold between any two commands: every handle in the chip is known once, and every thing has its owner.
 * NULL, or what is wrong: the caller's. */
char *rm_check (const ResourceManager *rm);

G_END_DECLS
