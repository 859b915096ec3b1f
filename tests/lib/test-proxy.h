/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "test-swtpm.h"

G_BEGIN_DECLS

/*
 * TestProxy: tpm-proxy.c as a child, in front of a TestSwtpm: another chip's identity, faults at any command. Needs
 * TPM_PROXY in the environment, the program's path, which tests/meson.build sets.
 */
typedef struct _TestProxy TestProxy;

/* @swtpm must outlive it. */
TestProxy *test_proxy_new (TestSwtpm *swtpm);
void test_proxy_free (TestProxy *proxy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestProxy, test_proxy_free)

/* From the next command on. The language is in tpm-proxy.c: "17c rc 101\nidentity SLB9670-7.85". */
void test_proxy_set_rules (TestProxy *proxy, const char *rules);

/* `swtpm:path=...`, through the proxy. */
const char *test_proxy_get_tcti (TestProxy *proxy);

/* A TpmConnect: @proxy is a TestProxy. */
int test_proxy_connect (gpointer proxy, GError **error);

G_END_DECLS
