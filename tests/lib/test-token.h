/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "test-bed.h"
#include "token/tokens.h"

G_BEGIN_DECLS

/*
 * TestToken: a test bed with one token, made as provisioning does it: a fixture for g_test_add(), whose data are the
 * algorithm of its key (NULL: no token, an empty store). What goes wrong here fails the test.
 */
#define TEST_TOKEN_LABEL     "greengrass"
#define TEST_TOKEN_KEY       "greenkey"
#define TEST_TOKEN_PIN       "user-pin-0123456789abcdef"
#define TEST_TOKEN_SO_PIN    "so-pin-0123456789abcdef"
#define TEST_TOKEN_OTHER_PIN "123456" /* of a token that tpm2_ptool makes */

typedef struct
{
  TestBed *bed;
  Tokens *tokens;
  Store *store;
  GBytes *id; /* of the key */
} TestToken;

void test_token_set_up (TestToken *fixture, gconstpointer algorithm);
void test_token_tear_down (TestToken *fixture, gconstpointer algorithm);

/* TPM commands so far. */
guint test_token_count (TestToken *fixture);
guint test_token_get_lockout_counter (TestToken *fixture);

/* SHA-256 of the database. */
char *test_token_get_sum (TestToken *fixture);
/* It has that sum, and nothing is staged. */
void test_token_assert_unchanged (TestToken *fixture, const char *sum);
void test_token_assert_contains (const char *text, const char *part);

/* Of the key. */
GBytes *test_token_get_spki (TestToken *fixture);
/* By OpenSSL. */
gboolean
test_token_verifies (GBytes *spki, const TokenSignParams *params, GBytes *data, GBytes *signature);
/* A signature by the key; @pin_text: NULL: the stored PIN. */
GBytes *test_token_try_sign (TestToken *fixture, const char *pin_text, GError **error);
void test_token_assert_signs (TestToken *fixture);

G_END_DECLS
