/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include <sys/types.h>

G_BEGIN_DECLS

/*
 * What can be said of a machine's way to its TPM by looking at files: board, kernel, device nodes, services, modules,
 * store, PIN files, Greengrass. Nothing is changed, no daemon is asked, no TPM command is sent. Blocks.
 */

/* Ordered: the greatest of several is the verdict on all. */
typedef enum
{
  CHECK_OK,
  CHECK_NOT_APPLICABLE, /* does not concern this machine */
  CHECK_UNKNOWN,        /* could not be found out */
  CHECK_WARNING,        /* works, and is not as it should be */
  CHECK_FAULT
} CheckVerdict;

typedef struct
{
  char *id; /* stable, as in `device.node`; several results may have the same */
  CheckVerdict verdict;
  char *text;   /* for people, one line */
  char *remedy; /* the same; empty where there is nothing to do */
} Check;

/* The machine that is looked at. */
typedef struct
{
  const char *root;       /* stands before every path; empty: this machine */
  gint64 now;             /* seconds since the epoch */
  int clock_synchronised; /* 1, 0, or -1: not known */
  uid_t chip_user;        /* owner of the chip's nodes; -1: there is no such user */
  gboolean is_root; /* only then PIN files are read, and other people's descriptors can be seen */
} ChecksTree;

/* This machine, seen by this process. */
ChecksTree checks_tree_new (void);

/* Of Check, in a fixed order. Never empty, never a PIN in it. */
GPtrArray *checks_run (const ChecksTree *tree);

/* @remedy: NULL for none */
void checks_add (GPtrArray *checks,
                 const char *id,
                 CheckVerdict verdict,
                 const char *remedy,
                 const char *format,
                 ...) G_GNUC_PRINTF (5, 6);
/* Free with g_ptr_array_unref(). */
GPtrArray *checks_new (void);
CheckVerdict checks_get_worst (GPtrArray *checks);

/* `ok`, `not applicable`, `unknown`, `warning`, `fault`. */
const char *check_verdict_to_string (CheckVerdict verdict);

/*
 * A certificate that ends or begins on another day than today: CHECK_FAULT outside of its validity, CHECK_WARNING in
 * its last 30 days. @what: whose, for people. @not_before: 0 if it is not known
 */
void checks_add_validity (GPtrArray *checks,
                          const char *id,
                          const char *what,
                          gint64 not_before,
                          gint64 not_after,
                          gint64 now);

/* Where Greengrass keeps its configuration, NULL-terminated; static. */
const char *const *checks_get_greengrass_files (void);

G_END_DECLS
