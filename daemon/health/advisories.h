/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "tpm/properties.h"

G_BEGIN_DECLS

/*
 * Advisories: firmware with known faults, as data: advisories.conf says what the file looks like. What nobody has said
 * stays unknown.
 */
typedef enum
{
  ADVISORY_UNKNOWN,
  ADVISORY_AFFECTED,
  ADVISORY_NOT_AFFECTED,
  ADVISORY_NOT_APPLICABLE, /* another manufacturer's */
} AdvisoryVerdict;

typedef struct
{
  char *id;
  char *manufacturer;
  GArray *affected; /* of AdvisoryRange */
  GArray *unknown;
  char *severity; /* `info`, `degraded`, `failed` */
  char
      *severity_with_rsa; /* the same, where the token store has an RSA key; NULL: as without one */
  gboolean has_refusal;   /* the file says whether */
  gboolean refuses_rsa;   /* no RSA keys are to be made on what is affected */
  char *text;
  char *remedy;
  char *source;
} Advisory;

typedef struct
{
  guint32 first; /* as FIRMWARE_VERSION_1: major << 16 | minor */
  guint32 last;
} AdvisoryRange;

/*
 * @name: of the file, for errors
 * Returns Advisories; free with g_ptr_array_unref(). Errors: GGTPM_ERROR_INVALID_ARGS, with name and line.
 */
GPtrArray *
advisories_parse (const char *name, const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * @paths: the first that is there is taken; NULL-terminated. If it is broken or there is none: the built-in ones.
 * Blocks, for a small file. A broken one is named in the log.
 */
GPtrArray *advisories_load (const char *const *paths);

/* @have_fixed: FALSE: the chip was not read */
AdvisoryVerdict
advisory_judge (const Advisory *advisory, gboolean have_fixed, const FixedProperties *fixed);

/* Why no RSA keys are to be made on this chip, with the remedy; NULL: nothing is known against it. Free with g_free().
 */
char *advisories_explain_refusal (GPtrArray *advisories,
                                  gboolean have_fixed,
                                  const FixedProperties *fixed);

G_END_DECLS
