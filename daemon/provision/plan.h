/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "common/config.h"
#include "common/secret.h"
#include "token/extensions.h"

G_BEGIN_DECLS

/* Of a PlanKey's certificate, or an absolute path: the file that it comes in. */
#define PLAN_CERTIFICATE_NONE        "none"
#define PLAN_CERTIFICATE_SELF_SIGNED "self-signed"

/* Names in ggtpmd's credentials directory, unless the file says others. */
#define PLAN_CREDENTIAL_PIN    "ggtpm.user-pin"
#define PLAN_CREDENTIAL_SO_PIN "ggtpm.so-pin"

/* Longest PIN that pkcs11-provider, and so nucleus lite, reads from a file whole, in bytes. */
#define PLAN_LITE_MAX_PIN 31
/* Bytes of a token's label. */
#define PLAN_MAX_TOKEN 31

/* [Key LABEL] */
typedef struct
{
  char *label;
  char *algorithm; /* Algorithm=; default ecc-p256 */
  char *subject;   /* Subject=; NULL: CN= and the label */
  ExtensionParams extensions;
  char *request_path; /* Request=; where the client puts the CSR; NULL: nowhere */
  char *certificate;  /* Certificate=; PLAN_CERTIFICATE_*, or a path; default none */
  guint days;         /* SelfSignedDays=; validity of a self-signed one */
} PlanKey;

/* [Greengrass]; NULL is the default of RenderConfig's option of that name. */
typedef struct
{
  char **flavours; /* Write= */
  char *key;       /* Key=; default the first */
  char *thing_name;
  char *thing_arn;
  char *region;
  char *data_endpoint;
  char *credentials_endpoint;
  char *role_alias;
  char *root_ca_path;
  char *certificate_path;
  char *root_path;
  char *nucleus_version;
  char *v1_path; /* where it goes; NULL: where the flavour looks for it */
  char *v2_path;
  char *lite_path;
  char *group;          /* of the files; NULL: the daemon's */
  gboolean directories; /* missing ones are made */
} PlanGreengrass;

/* What should be: from /etc/ggtpm/provision.conf or the options of Provisioning.Provision, completed with defaults. */
typedef struct
{
  char *token;                /* [Token] Label=; default greengrass */
  char **pin_readers;         /* PinReaders=; `user:NAME`, `group:NAME`; NULL: the daemon's group */
  char *pin_credential;       /* PinCredential= */
  char *so_pin_credential;    /* SoPinCredential= */
  GPtrArray *keys;            /* of PlanKey; at least one */
  PlanGreengrass *greengrass; /* NULL: no configurations */

  /* From a file: what it says of a token of ours may change. Else the options have to be those of before. */
  gboolean declared;
  gboolean
      exclusive; /* a token that is there and not ours is an error; default; else it is completed */
  Secret *pin;   /* NULL: stored, a credential, or generated */
  Secret *so_pin;   /* the same */
  gboolean dry_run; /* only find out what is missing */
} Plan;

/* With every default. */
Plan *plan_new (void);
/* A GKeyFile, values as they are written (no escapes); an unknown group, key or value is an error that names it, and
 * what is known. Errors: GGTPM_ERROR_INVALID_ARGS, G_FILE_ERROR. */
Plan *plan_load (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same from @text, into @plan, which is new. Errors: GGTPM_ERROR_INVALID_ARGS. */
gboolean
plan_read (Plan *plan, const char *text, gsize len, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Labels, algorithms, subjects, PINs. Errors: GGTPM_ERROR_INVALID_ARGS; NOT_SUPPORTED for the algorithm. */
gboolean plan_check (const Plan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void plan_free (Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Plan, plan_free)

/* Added to @plan, with its defaults; borrowed. */
PlanKey *plan_add_key (Plan *plan, const char *label);
/* Borrowed; NULL if there is none. */
PlanKey *plan_find_key (const Plan *plan, const char *label);
/* The subject in RFC 4514 notation, with its default. Free with g_free(). */
char *plan_key_dup_subject (const PlanKey *key);
/* The extensions as one text, to be compared; NULL: none. Free with g_free(). */
char *plan_key_dup_extensions (const PlanKey *key);
gboolean plan_key_is_self_signed (const PlanKey *key);
/* The file that its certificate comes in; NULL: it does not come in one. */
const char *plan_key_get_certificate_path (const PlanKey *key);

/* Where the file of @flavour (one of PlanGreengrass.flavours) goes; NULL: where it looks for it. */
const char *plan_greengrass_get_path (const PlanGreengrass *greengrass, const char *flavour);
void plan_greengrass_free (PlanGreengrass *greengrass);

G_END_DECLS
