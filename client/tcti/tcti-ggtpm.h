/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>
#include <tss2/tss2_tcti.h>

G_BEGIN_DECLS

/*
 * The TCTI of ggtpmd: raw TPM framing over a stream socket. libtss2-tcti-ggtpm.so.0 exports Tss2_Tcti_Ggtpm_Init() and
 * Tss2_Tcti_Info(); its configuration string is empty (/run/ggtpm/tpm.sock) or `path=SOCKET`. The daemon's own
 * connections use the same code on an in-process socketpair.
 */

/* TCTI initialisation as of the TSS 2.0 TCTI specification, 3.2.5.1; @conf as above. */
TSS2_RC Tss2_Tcti_Ggtpm_Init (TSS2_TCTI_CONTEXT *context, size_t *size, const char *conf);

/*
 * As Tss2_Tcti_Ggtpm_Init(), on a connected socket, which Tss2_Tcti_Finalize() closes; on failure it stays the
 * caller's.
 */
TSS2_RC tcti_ggtpm_init_fd (TSS2_TCTI_CONTEXT *context, size_t *size, int fd);

G_END_DECLS
