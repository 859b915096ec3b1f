/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "commands.h"

G_BEGIN_DECLS

/* One function for each row of the table in commands.c: connects, asks, prints. Errors: GGTPM_ERROR. */
gboolean cmd_status (Client *client, const Options *options, GError **error);
gboolean cmd_info (Client *client, const Options *options, GError **error);
gboolean cmd_doctor (Client *client, const Options *options, GError **error);
gboolean cmd_clock (Client *client, const Options *options, GError **error);
gboolean cmd_random (Client *client, const Options *options, GError **error);
gboolean cmd_hash (Client *client, const Options *options, GError **error);
gboolean cmd_health (Client *client, const Options *options, GError **error);
gboolean cmd_selftest (Client *client, const Options *options, GError **error);
gboolean cmd_pcr_read (Client *client, const Options *options, GError **error);
gboolean cmd_pcr_extend (Client *client, const Options *options, GError **error);
gboolean cmd_pcr_reset (Client *client, const Options *options, GError **error);
gboolean cmd_pcr_allocate (Client *client, const Options *options, GError **error);
gboolean cmd_tpm_raw (Client *client, const Options *options, GError **error);
gboolean cmd_tpm_pipe (Client *client, const Options *options, GError **error);
gboolean cmd_tpm_take_ownership (Client *client, const Options *options, GError **error);
gboolean cmd_tpm_reset_lockout (Client *client, const Options *options, GError **error);
gboolean cmd_tpm_release_ownership (Client *client, const Options *options, GError **error);
gboolean cmd_tpm_export_auths (Client *client, const Options *options, GError **error);
gboolean cmd_metrics (Client *client, const Options *options, GError **error);
gboolean cmd_monitor (Client *client, const Options *options, GError **error);
gboolean cmd_report (Client *client, const Options *options, GError **error);
gboolean cmd_provision (Client *client, const Options *options, GError **error);
gboolean cmd_token_verify (Client *client, const Options *options, GError **error);
gboolean cmd_token_list (Client *client, const Options *options, GError **error);
gboolean cmd_token_change_pin (Client *client, const Options *options, GError **error);
gboolean cmd_token_unblock (Client *client, const Options *options, GError **error);
gboolean cmd_token_reset_so_pin (Client *client, const Options *options, GError **error);
gboolean cmd_token_backup (Client *client, const Options *options, GError **error);
gboolean cmd_token_restore (Client *client, const Options *options, GError **error);
gboolean cmd_token_remove (Client *client, const Options *options, GError **error);
gboolean cmd_key_list (Client *client, const Options *options, GError **error);
gboolean cmd_key_show (Client *client, const Options *options, GError **error);
gboolean cmd_key_create (Client *client, const Options *options, GError **error);
gboolean cmd_key_csr (Client *client, const Options *options, GError **error);
gboolean cmd_key_uri (Client *client, const Options *options, GError **error);
gboolean cmd_key_install_cert (Client *client, const Options *options, GError **error);
gboolean cmd_key_sign (Client *client, const Options *options, GError **error);
gboolean cmd_key_verify (Client *client, const Options *options, GError **error);
gboolean cmd_key_decrypt (Client *client, const Options *options, GError **error);
gboolean cmd_key_public_key (Client *client, const Options *options, GError **error);
gboolean cmd_key_self_sign (Client *client, const Options *options, GError **error);
gboolean cmd_key_rotate (Client *client, const Options *options, GError **error);
gboolean cmd_key_delete (Client *client, const Options *options, GError **error);
gboolean cmd_handle_list (Client *client, const Options *options, GError **error);
gboolean cmd_handle_create (Client *client, const Options *options, GError **error);
gboolean cmd_handle_remove (Client *client, const Options *options, GError **error);
gboolean cmd_config_write (Client *client, const Options *options, GError **error);
gboolean cmd_config_check (Client *client, const Options *options, GError **error);
gboolean cmd_config_remove (Client *client, const Options *options, GError **error);

G_END_DECLS
