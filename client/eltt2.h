/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * What `eltt2 -g -v` prints, line for line, for scripts and people that are used to it; with its mistakes corrected:
 * texts end where they end and are printable, only Infineon's firmware words are decoded as Infineon's,
 * TPM_PT_PERMANENT is always there, and its second line reads Endorsement.
 *
 * @fixed, @variable: a(uus), of Device.GetProperties
 * Free with g_free().
 */
char *eltt2_format (GVariant *fixed, GVariant *variable);

G_END_DECLS
