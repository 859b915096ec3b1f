/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "broker/resource-manager.h"

#include "broker/resource-manager-private.h"
#include "fake-tpm.h"

G_BEGIN_DECLS

/*
 * TestRm: the resource manager over a FakeTpm of three slots for objects and three for sessions, with two connections
 * of one user: a fixture for g_test_add(). After each command the tables are checked, in themselves and against the
 * chip.
 */
typedef struct
{
  FakeTpm *tpm;
  ResourceManager *rm;
  Space *a;
  Space *b;
  guint8 command[COMMAND_MAX_SIZE];
  guint8 response[COMMAND_MAX_SIZE];
  gsize size;
} TestRm;

#define TEST_RM_USER 1000

void test_rm_set_up (TestRm *f, gconstpointer data);
void test_rm_tear_down (TestRm *f, gconstpointer data);
/* The same for another chip. */
void test_rm_make (TestRm *f, guint n_objects, guint n_sessions, guint gap);
void test_rm_check (TestRm *f);

/* Sends @size bytes of the fixture's command; returns the response's code. */
guint32 test_rm_send (TestRm *f, Space *space, gsize size);
guint32 test_rm_send_handle (TestRm *f, Space *space, guint32 code, guint32 handle);
guint32 test_rm_response_handle (const TestRm *f);

guint32 test_rm_create_primary (TestRm *f, Space *space);
guint32 test_rm_sign (TestRm *f, Space *space, guint32 key);
guint32 test_rm_sign_with (TestRm *f, Space *space, guint32 key, guint32 session, gboolean keep);
guint32 test_rm_start_session (TestRm *f, Space *space, gboolean policy);
/* The blob; @blob's response code. */
GBytes *test_rm_save (TestRm *f, Space *space, guint32 handle);
guint32 test_rm_load (TestRm *f, Space *space, GBytes *blob);

G_END_DECLS
