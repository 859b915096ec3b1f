/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "greengrass.h"

G_BEGIN_DECLS

/*
 * The writers behind greengrass_render(). @params has been checked and completed: NULL is possible only in
 * certificate_path, nucleus_version, handle, unit, and pin or pin_source where the flavour does without. The text is
 * the caller's; it may have a PIN in it. Errors: GGTPM_ERROR_INVALID_ARGS, GGTPM_ERROR_FAILED.
 */
char *v1_render (const GreengrassParams *params, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *v2_render (const GreengrassParams *params, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *lite_render (const GreengrassParams *params, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *drop_in_render (const GreengrassParams *params, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *module_file_render (const GreengrassParams *params, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* `amazonaws.com` or `amazonaws.com.cn` */
const char *greengrass_get_domain (const char *region);

G_END_DECLS
