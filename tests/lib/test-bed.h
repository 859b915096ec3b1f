/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "broker/broker.h"
#include "broker/socket-frontend.h"
#include "common/config.h"
#include "test-swtpm.h"
#include "tpm/tpm.h"

G_BEGIN_DECLS

/*
 * TestBed: a software TPM, our broker on it with its sockets, a configuration whose directories are private, and an
 * ESYS context of the daemon's kind: what operations run on. The token helper and the TCTI module are those of the
 * build tree, from GGTPM_TOKEN_HELPER and GGTPM_TCTI_MODULE. Main thread. What goes wrong here fails the test.
 */
typedef struct
{
  TestSwtpm *swtpm;
  Config *config;
  Broker *broker;
  SocketFrontend *sockets;
  Tpm *tpm;
  BrokerState state;
} TestBed;

TestBed *test_bed_new (void);
void test_bed_free (TestBed *bed);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestBed, test_bed_free)

/* Iterates the main context until the broker is READY, or not any more. */
void test_bed_wait (TestBed *bed, gboolean ready);
/* Power cut and power on; waits until the broker has the chip again. The state directory stays. */
void test_bed_power_cycle (TestBed *bed);
/* Another chip in its place, with nothing in it. */
void test_bed_replace_chip (TestBed *bed);

/* For other programs: TCTI configuration by which they reach the broker; free with g_free(). */
char *test_bed_get_tcti (TestBed *bed);
/* Runs a program with TPM2_PKCS11_STORE, _TCTI and TPM2TOOLS_TCTI set; returns its standard output, the caller's. Fails
 * the test if it fails. */
char *test_bed_run (TestBed *bed, const char *const *argv);

G_END_DECLS
