/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * How `ggtpmctl config write` knows that a file is ours. JSON has no comments and an extended attribute does not
 * survive a copy, so every flavour has the same mark: a stamp beside the file, `.config.json.ggtpmd` for `config.json`
 * (GGTPM_STAMP_SUFFIX of dbus/names.h), with the file's mode, owner and group. p11-kit takes every file in its
 * directory for a configuration and gives up at one that is none: the stamp of its module file is one directory further
 * up, `.modules.tpm2_pkcs11.module.ggtpmd`. A stamp holds SHA-256 sums of whole files,
 * lower-case hexadecimal, one a line. A file is ours if its own sum is among them: one edited by hand is not ours any
 * more. The stamp of the new file is written before the file, together with the old sum, and again without the old one
 * after it, so that a power cut between them leaves no file that is ours and looks as if it were not.
 *
 * Files that can have comments say in their first line who wrote them; that line is for people and decides nothing.
 */
typedef enum
{
  GREENGRASS_V1,
  GREENGRASS_V2,
  GREENGRASS_LITE,
  GREENGRASS_DROP_IN, /* systemd's, for a unit that uses keys: environment and groups */
  GREENGRASS_P11_KIT, /* p11-kit's module file, out of process, for whoever has OpenSSL in the same one */
} GreengrassFlavour;

/*
 * What goes into a configuration. NULL takes the default of the AWS documentation or a placeholder in capitals
 * (`THING-NAME`, `REGION`, `ACCOUNT-ID`) that is easily found and leaves a file that parses. A region fills the
 * placeholders of the endpoints.
 */
typedef struct
{
  char *token;
  char *key;
  guint64 slot;     /* CK_SLOT_ID, for v2; changes when tokens are removed and made anew */
  char *pin;        /* for v1, v2; wiped by greengrass_params_free() */
  char *pin_source; /* path, for lite */
  gboolean rsa;     /* the key is RSA: what needs RSA may be offered */
  char *pkcs11_module;
  char *pkcs11_engine; /* libp11's for OpenSSL, for v1 */
  char *thing_name;
  char *thing_arn;
  char *region;
  char *iot_data_endpoint;
  char *iot_cred_endpoint;
  char *role_alias;
  char *root_ca_path;
  char *certificate_path; /* a file; v2 and lite take the certificate in the token without it */
  char *root_path;
  char *nucleus_version; /* for v2; NULL: left out, the installed nucleus' own */
  char *handle;    /* `0x81008001`, for lite: a persistent key in the place of @token and @key */
  char *unit;      /* for the drop-in: `greengrass.service` */
  char *store_dir; /* for the drop-in and p11-kit; NULL: /var/lib/ggtpm/pkcs11 */
  char *tcti;      /* as well, how libtpm2_pkcs11 reaches the chip; NULL: `ggtpm` */
} GreengrassParams;

void greengrass_params_free (GreengrassParams *params);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GreengrassParams, greengrass_params_free)

/* Members that people may set, under the names that they know them by (`thing-name`), ended by NULL. */
const char *const *greengrass_params_get_names (void);
/* The member of that name, for reading and writing; NULL: there is none. */
char **greengrass_params_find (GreengrassParams *params, const char *name);

/* `v1`, `v2`, `lite`, `drop-in`, `p11-kit`. Errors: GGTPM_ERROR_INVALID_ARGS with the list. */
gboolean greengrass_flavour_from_string (const char *text,
                                         GreengrassFlavour *out_flavour,
                                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
const char *greengrass_flavour_to_string (GreengrassFlavour flavour);
/* Where the flavour looks for it by default. @unit: for the drop-in. Free with g_free(). */
char *greengrass_make_default_path (GreengrassFlavour flavour, const char *unit);
/* Whether it names a key of a token, which then must be there. */
gboolean greengrass_needs_key (GreengrassFlavour flavour, const GreengrassParams *params);
/* Whether the file must contain the PIN. */
gboolean greengrass_needs_pin (GreengrassFlavour flavour);

/*
 * The file's text. The caller wipes it if it has a PIN.
 * Errors: GGTPM_ERROR_INVALID_ARGS naming the value that the flavour cannot have; GGTPM_ERROR_AUTH_REQUIRED without a
 * PIN where greengrass_needs_pin().
 */
char *greengrass_render (GreengrassFlavour flavour,
                         const GreengrassParams *params,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
