/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "tpm.h"

G_BEGIN_DECLS

/*
 * Vendor properties of Infineon's chips (TPM_CAP_VENDOR_PROPERTY), of which no TSS knows the form: a TPML of TPM2Bs
 * (wolfTPM's tpm2_wrap.c and Infineon's firmware update tool read them so). Asked of other vendors' chips, too: they
 * say that there is none.
 */
guint vendor_properties_get_count (void);

/*
 * The property at @index.
 * @out_name: static
 * @out_value: the caller's; NULL: this chip does not have it
 * One TPM command. Errors: rc_check()'s.
 */
gboolean vendor_properties_read (Tpm *tpm,
                                 guint index,
                                 guint32 *out_number,
                                 const char **out_name,
                                 GBytes **out_value,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
