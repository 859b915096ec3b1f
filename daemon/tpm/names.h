/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>
#include <tss2/tss2_tpm2_types.h>

G_BEGIN_DECLS

/* Names of the TCG's numbers; static; NULL: not known to us. */
const char *names_get_property (TPM2_PT property);         /* `TPM_PT_PERMANENT` */
const char *names_get_pcr_property (TPM2_PT_PCR property); /* `TPM_PT_PCR_SAVE` */
const char *names_get_algorithm (TPM2_ALG_ID algorithm);   /* `sha256` */
const char *names_get_curve (TPM2_ECC_CURVE curve);        /* `nist_p256` */
const char *names_get_command (TPM2_CC command);           /* `TPM2_GetRandom` */

/* The name, or the number in hexadecimal. Free with g_free(). */
char *names_describe_algorithm (TPM2_ALG_ID algorithm);

/* In bytes; 0: no hash, or not known to us. */
guint names_get_digest_size (TPM2_ALG_ID algorithm);
/* Errors: GGTPM_ERROR_INVALID_ARGS with the list. */
gboolean
names_parse_hash (const char *name, TPM2_ALG_ID *out, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
