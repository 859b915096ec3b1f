/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "commands.h"

#include "client/cmd.h"

static const Command commands[] = {
  { "status", NULL, "", 0, 0, "", cmd_status,
    "Show the daemon, the chip, its health, tokens and keys on one screen",
    "Does not start the daemon. This is what ggtpmctl does without a verb." },
  { "info", NULL, "", 0, 0, "variable capability eltt2", cmd_info,
    "Show all properties of the chip and its health",
    "With one of its options: what TPM2_GetCapability tells, as it is now." },
  { "health", NULL, "", 0, 0, "", cmd_health,
    "Show everything that is looked for on the chip, and what was found",
    "One line for each rule: ok, issue, unknown, or not applicable to this chip or machine. Exit code 1 if the chip's "
    "state is failed." },
  { "doctor", NULL, "", 0, 0, "", cmd_doctor,
    "Check all of the way to the chip: board, kernel, services, store, Greengrass",
    "One line for each check, with what to do. Does not start the daemon, and works without it and without a chip. "
    "Exit code 1 if something is at fault. As root it sees more." },
  { "clock", NULL, "", 0, 0, "", cmd_clock, "Show the chip's clock and counters of resets", NULL },
  { "random", NULL, "N", 1, 1, "out", cmd_random, "Get random bytes from the chip, in hexadecimal",
    "At most 4096; --out gets them as they are." },
  { "hash", NULL, "", 0, 0, "hash in", cmd_hash, "Let the chip hash data",
    "At most 64 KiB; to see whether it can." },
  { "selftest", NULL, "", 0, 0, "full incremental result", cmd_selftest, "Let the chip test itself",
    "Without an option: what was not tested yet. Exit code 1 if the chip is not well." },
  { "pcr", "read", "[PCR...]", 0, 24, "bank", cmd_pcr_read, "Show platform configuration registers",
    "Without numbers all 24." },
  { "pcr", "extend", "PCR BANK:HEX...", 2, 9, "", cmd_pcr_extend, "Extend a PCR by a digest",
    NULL },
  { "pcr", "reset", "PCR", 1, 1, "", cmd_pcr_reset, "Reset PCR 16 or 23", NULL },
  { "pcr", "allocate", "BANK...", 1, 8, "", cmd_pcr_allocate,
    "Choose the PCR banks, from the next TPM reset on",
    "Banks that are not named will have no PCRs: what is sealed to them cannot be opened any more." },
  { "tpm", "raw", "HEX", 1, 1, "socket", cmd_tpm_raw, "Send one TPM command and print the answer",
    "Through the daemon's socket, which root and its group may open. Some commands are for root alone." },
  { "tpm", "pipe", "", 0, 0, "socket", cmd_tpm_pipe,
    "Carry TPM commands from standard input to the daemon and answers back",
    "For programs without the module: TPM2TOOLS_TCTI='cmd:ggtpmctl tpm pipe'." },
  { "tpm", "reset-lockout", "", 0, 0, "", cmd_tpm_reset_lockout,
    "Set the chip's counter of failed authorisations back",
    "Ends a lockout at once; who goes on with a wrong PIN brings it back." },
  { "tpm", "take-ownership", "", 0, 0, "", cmd_tpm_take_ownership,
    "Give the chip's owner and lockout hierarchies random auths",
    "ggtpmd keeps them and uses them where it needs them. A chip whose hierarchies have auths already is left alone." },
  { "tpm", "release-ownership", "", 0, 0, "", cmd_tpm_release_ownership,
    "Empty the auths of the owner and lockout hierarchies again", NULL },
  { "tpm", "export-auths", "FILE", 1, 1, "force", cmd_tpm_export_auths,
    "Write the owner and lockout auths to a file, once",
    "The file (0600) must not be there yet; - is a pipe. Whoever has it owns the chip." },
  { "metrics", NULL, "", 0, 0, "out", cmd_metrics,
    "Print metrics of daemon, chip and keys for Prometheus",
    "For node_exporter's textfile collector; ggtpm-metrics.timer writes them every minute. Does not start the daemon: "
    "ggtpm_up is 0 then." },
  { "monitor", NULL, "", 0, 0, "", cmd_monitor,
    "Follow what happens to daemon, chip, tokens, keys and jobs",
    "One line for each event, with --json one document on each line. Ctrl-C ends it, and so does --timeout." },
  { "report", NULL, "", 0, 0, "out", cmd_report,
    "Collect what a support case needs, without secrets",
    "What doctor finds, all properties, configurations and journals. PINs and private keys are taken out." },
  { "provision", NULL, "", 0, 0,
    "config plan token key algorithm subject alt-names key-usage ext-key-usage add pin-file so-pin-file "
    "csr-out no-wait",
    cmd_provision, "Make what is missing of token, PINs, key and certificate request",
    "Without options the daemon takes them from /etc/ggtpm/provision.conf if there is one, and its defaults "
    "otherwise. Ctrl-C ends the waiting, not the work." },
  { "token", "list", "", 0, 0, "", cmd_token_list, "List the tokens", NULL },
  { "token", "verify", "[TOKEN]", 0, 1, "key pin-file", cmd_token_verify,
    "Prove that keys work, from the PIN to TLS, and the configurations that name them",
    "One line for each check, with what to do. Exit code 1 if something is at fault. A wrong PIN is tried once." },
  { "token", "change-pin", "TOKEN", 1, 1, "pin-file new-pin-file", cmd_token_change_pin,
    "Change the user PIN", "Without --new-pin-file the daemon makes one and keeps it." },
  { "token", "unblock", "TOKEN", 1, 1, "so-pin-file new-pin-file", cmd_token_unblock,
    "Give a token another user PIN, by its SO PIN",
    "For a PIN that is lost; keys stay. Without --new-pin-file the daemon makes one and keeps it." },
  { "token", "reset-so-pin", "TOKEN", 1, 1, "so-pin-file new-pin-file", cmd_token_reset_so_pin,
    "Change the SO PIN", "Needs the old one, given or kept by the daemon." },
  { "token", "backup", "FILE", 1, 1, "with-pins", cmd_token_backup,
    "Write all tokens to a file (0600), for this chip only",
    "Without --with-pins nobody can use it who does not know the PINs." },
  { "token", "restore", "FILE", 1, 1, "force", cmd_token_restore,
    "Put the tokens of a backup in the place of those that are there",
    "Another chip's backup is refused. FILE - is standard input." },
  { "token", "remove", "TOKEN", 1, 1, "plan yes", cmd_token_remove,
    "Remove a token with all of its keys and PINs for good",
    "Shows what is lost and asks; needs no PIN. The storage root key goes with the last token that needs it, if "
    "ggtpmd has made it. A removal that was cut off is completed by the same command." },
  { "key", "list", "", 0, 0, "token", cmd_key_list, "List the key pairs", NULL },
  { "key", "show", "KEY", 1, 1, "token", cmd_key_show, "Print all that is known of a key", NULL },
  { "key", "create", "LABEL", 1, 1, "token algorithm id pin-file", cmd_key_create,
    "Make a key pair in the chip", NULL },
  { "key", "csr", "KEY", 1, 1, "token subject alt-names key-usage ext-key-usage out pin-file",
    cmd_key_csr, "Make a certificate request (PKCS#10, PEM)", NULL },
  { "key", "self-sign", "KEY", 1, 1,
    "token subject alt-names key-usage ext-key-usage days out pin-file", cmd_key_self_sign,
    "Make a self-signed certificate (PEM)",
    "It is not installed: `ggtpmctl key install-cert` does that." },
  { "key", "rotate", "KEY", 1, 1,
    "token algorithm subject alt-names key-usage ext-key-usage out pin-file", cmd_key_rotate,
    "Make a successor of a key, and a certificate request for it",
    "The key stays in use until `ggtpmctl key install-cert` gets the successor's certificate for it; then the "
    "successor takes its place, with its label and id." },
  { "key", "public-key", "KEY", 1, 1, "token format out", cmd_key_public_key,
    "Print the public key of a key", NULL },
  { "key", "uri", "KEY", 1, 1, "token", cmd_key_uri, "Print the PKCS#11 URI of a key", NULL },
  { "key", "install-cert", "KEY FILE", 2, 2, "token force pin-file", cmd_key_install_cert,
    "Put a certificate (PEM) beside its key in the token", "FILE - is standard input." },
  { "key", "sign", "KEY", 1, 1, "token mechanism hash digest in out pin-file", cmd_key_sign,
    "Sign data, or a digest of it", NULL },
  { "key", "verify", "KEY SIGNATURE", 2, 2, "token mechanism hash digest in", cmd_key_verify,
    "Verify a signature with the public key", "SIGNATURE is a file; - is standard input." },
  { "key", "decrypt", "KEY", 1, 1, "token in out pin-file", cmd_key_decrypt,
    "Decrypt with an RSA key (PKCS#1 v1.5)", NULL },
  { "key", "delete", "KEY", 1, 1, "token yes pin-file", cmd_key_delete,
    "Remove a key pair and its certificate for good", NULL },
  { "handle", "list", "", 0, 0, "", cmd_handle_list,
    "List the persistent keys that `handle create` has made", NULL },
  { "handle", "create", "", 0, 0, "", cmd_handle_create,
    "Make a persistent key for programs that have tpm2-openssl and no PKCS#11",
    "Prints its handle, for `handle:` URIs. It is ECC P-256 and does TLS 1.3 only. The key has no PIN: "
    "whoever may send commands to the chip, the group tss, signs with it." },
  { "handle", "remove", "HANDLE", 1, 1, "yes", cmd_handle_remove, "Remove such a key for good",
    NULL },
  { "config", "write", "v1|v2|lite|p11-kit|drop-in UNIT", 0, 2,
    "all token key handle path force group mkdir print thing-name thing-arn region iot-data-endpoint iot-cred-endpoint "
    "role-alias root-ca-path certificate-path root-path nucleus-version",
    cmd_config_write, "Write a configuration of Greengrass, p11-kit or a systemd unit",
    "Greengrass' files get mode 0640, since they may contain the PIN. A file that ggtpmctl did not write is left "
    "alone unless --force is given; into one of Greengrass that was changed since, only what the token decides and "
    "these options state is put. --all renews what was written before." },
  { "config", "check", "", 0, 0, "", cmd_config_check,
    "Check the configurations that were written, and what they point at",
    "One line for each check, with what to do. Exit code 1 if something is at fault." },
  { "config", "remove", "FILE", 1, 1, "force", cmd_config_remove,
    "Remove a configuration that was written, and keep it current no more", NULL },
};

typedef struct
{
  const char *noun; /* of which commands; NULL: of all that name it */
  GOptionEntry entry;
} OptionRow;

#define FIELD(name) GSIZE_TO_POINTER (G_STRUCT_OFFSET (Options, name))
/* FILENAME: bytes as they are, whatever the locale. */
#define FLAG(name, field, text)                                                                    \
  {                                                                                                \
    name, 0, 0, G_OPTION_ARG_NONE, FIELD (field), text, NULL                                       \
  }
#define TEXT(name, field, text, value)                                                             \
  {                                                                                                \
    name, 0, 0, G_OPTION_ARG_FILENAME, FIELD (field), text, value                                  \
  }

/* arg_data is the offset in Options. */
static const OptionRow option_rows[] = {
  { NULL, FLAG ("add", add, "Add what is missing to a token that was made otherwise") },
  { NULL, FLAG ("all", all, "Renew all that were written, where they are out of date") },
  { NULL, TEXT ("algorithm", algorithm, "ecc-p256 (default) or rsa-2048", "NAME") },
  { NULL,
    TEXT ("alt-names", alt_names, "Alternative names, as in DNS:core-1,IP:192.0.2.1", "LIST") },
  { NULL, TEXT ("bank", bank, "PCR bank (default: sha256)", "NAME") },
  { NULL,
    TEXT ("capability",
          capability,
          "fixed, variable, algorithms, commands, pp-commands, audit-commands, curves, pcr-banks, "
          "pcr-properties, handles, auth-policies, acts or vendor",
          "GROUP") },
  { NULL, TEXT ("certificate-path", certificate_path, "Value of the file", "PATH") },
  { NULL, TEXT ("config", config, "Take what should be from FILE (-: standard input)", "FILE") },
  { NULL, TEXT ("csr-out", csr_out, "Write the certificate request to FILE", "FILE") },
  { NULL, TEXT ("days", days, "Validity of the certificate (default: 365)", "N") },
  { NULL, FLAG ("digest", digest, "The input is the digest, not the data") },
  { NULL, FLAG ("eltt2", eltt2, "In the layout of eltt2's -g and -v") },
  { NULL, TEXT ("ext-key-usage", ext_key_usage, "Purposes, as in clientAuth,serverAuth", "LIST") },
  { "key", FLAG ("force", force, "Also a certificate that is expired or not valid yet") },
  { "token", FLAG ("force", force, "Also over tokens that are there: they are lost") },
  { "tpm", FLAG ("force", force, "Also where they were given out before; for root") },
  { "config", FLAG ("force", force, "Also over a file that is not ours or was changed") },
  { NULL, TEXT ("format", format, "pem (default) or jwk", "NAME") },
  { NULL, FLAG ("full", full, "Test everything, also what was tested already") },
  { NULL, TEXT ("group", group, "Group of the file (default: ggtpm where it exists)", "GROUP") },
  { NULL,
    TEXT ("handle", handle, "Persistent key in the place of token and key (lite)", "HANDLE") },
  { "hash", TEXT ("hash", hash, "sha256 (default), sha1, sha384, sha512 or sm3_256", "NAME") },
  { NULL, TEXT ("hash", hash, "sha256 (default), sha384 or sha512", "NAME") },
  { NULL, TEXT ("id", id, "CKA_ID (default: eight random bytes)", "HEX") },
  { NULL, TEXT ("in", in, "Read from FILE instead of standard input (-)", "FILE") },
  { NULL,
    FLAG ("incremental", incremental, "Test in the background, and list what is to be tested") },
  { NULL, TEXT ("iot-cred-endpoint", iot_cred_endpoint, "Value of the file", "HOST") },
  { NULL, TEXT ("iot-data-endpoint", iot_data_endpoint, "Value of the file", "HOST") },
  { NULL, TEXT ("key", key, "Label of the key (default: greenkey)", "LABEL") },
  { NULL, TEXT ("key-usage", key_usage, "Uses, as in digitalSignature,keyAgreement", "LIST") },
  { NULL, TEXT ("mechanism", mechanism, "ecdsa, rsa-pkcs or rsa-pss", "NAME") },
  { NULL, FLAG ("mkdir", mkdir, "Make missing directories above the file") },
  { NULL,
    TEXT ("new-pin-file", new_pin_file, "Read the new PIN from FILE (-: standard input)", "FILE") },
  { NULL, FLAG ("no-wait", no_wait, "Print the job's path and do not wait for its end") },
  { NULL, TEXT ("nucleus-version", nucleus_version, "Value of the file (v2)", "VERSION") },
  { NULL, TEXT ("out", out, "Write to FILE instead of standard output (-)", "FILE") },
  { NULL, TEXT ("path", path, "Write there instead of where the flavour looks for it", "FILE") },
  { NULL, TEXT ("pin-file", pin_file, "Read the user PIN from FILE (-: standard input)", "FILE") },
  { "token", FLAG ("plan", plan, "Show what would be removed, remove nothing") },
  { NULL, FLAG ("plan", plan, "Show what would be made, make nothing") },
  { NULL, FLAG ("print", print, "Print the file, write nothing") },
  { NULL, TEXT ("region", region, "Value of the file", "NAME") },
  { NULL, FLAG ("result", result, "Test nothing, show the result of the last test") },
  { NULL, TEXT ("role-alias", role_alias, "Value of the file", "NAME") },
  { NULL, TEXT ("root-ca-path", root_ca_path, "Value of the file", "PATH") },
  { NULL, TEXT ("root-path", root_path, "Value of the file", "PATH") },
  { NULL,
    TEXT ("so-pin-file", so_pin_file, "Read the SO PIN from FILE (-: standard input)", "FILE") },
  { NULL, TEXT ("socket", socket, "The daemon's socket (default: /run/ggtpm/tpm.sock)", "FILE") },
  { NULL, TEXT ("subject", subject, "Subject of the request, as in CN=core-1,O=Example", "NAME") },
  { NULL, TEXT ("thing-arn", thing_arn, "Value of the file", "ARN") },
  { NULL, TEXT ("thing-name", thing_name, "Value of the file", "NAME") },
  { "key", TEXT ("token", token, "Token of the key, where there are several", "LABEL") },
  { NULL, TEXT ("token", token, "Label of the token (default: greengrass)", "LABEL") },
  { NULL, FLAG ("variable", variable, "The variable properties") },
  { NULL, FLAG ("with-pins", with_pins, "The stored PINs, too: then the file is a secret") },
  { NULL, FLAG ("yes", yes, "Do not ask whether it is meant") },
};

static const GOptionEntry global_entries[] = {
  { "help", 'h', 0, G_OPTION_ARG_NONE, FIELD (help), "Show this", NULL },
  FLAG ("version", version, "Show the version"),
  FLAG ("json", json, "Print JSON (errors too), no progress"),
  FLAG ("no-ask-password",
        no_ask_password,
        "Never ask: neither for a PIN nor, by polkit, for a password"),
  { "timeout", 0, 0, G_OPTION_ARG_INT, FIELD (timeout_s), "Give up after S seconds", "S" },
};

void
options_free (Options *options)
{
  if (options == NULL)
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (option_rows); i++)
    if (option_rows[i].entry.arg == G_OPTION_ARG_FILENAME)
      {
        gsize offset = GPOINTER_TO_SIZE (option_rows[i].entry.arg_data);

        g_clear_pointer ((char **)G_STRUCT_MEMBER_P (options, offset), g_free);
      }
  g_strfreev (options->arguments);
  g_free (options);
}

static const OptionRow *
find_option (const char *noun, const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (option_rows); i++)
    if (g_str_equal (option_rows[i].entry.long_name, name) &&
        (option_rows[i].noun == NULL || g_strcmp0 (option_rows[i].noun, noun) == 0))
      return &option_rows[i];
  return NULL;
}

const char *
options_get (const Options *options, const char *name)
{
  const OptionRow *row = find_option (NULL, name);

  g_return_val_if_fail (row != NULL && row->entry.arg == G_OPTION_ARG_FILENAME, NULL);
  return G_STRUCT_MEMBER (const char *, options, GPOINTER_TO_SIZE (row->entry.arg_data));
}

GArray *
commands_make_entries (const Command *command, Options *options)
{
  GArray *entries = g_array_new (TRUE, TRUE, sizeof (GOptionEntry));
  g_auto (GStrv) names = g_strsplit (command != NULL ? command->options : "", " ", -1);

  for (guint i = 0; names[i] != NULL; i++)
    g_array_append_val (entries, find_option (command->noun, names[i])->entry);
  g_array_append_vals (entries, global_entries, G_N_ELEMENTS (global_entries));
  for (guint i = 0; i < entries->len; i++)
    {
      GOptionEntry *entry = &g_array_index (entries, GOptionEntry, i);

      entry->arg_data = G_STRUCT_MEMBER_P (options, GPOINTER_TO_SIZE (entry->arg_data));
    }
  return entries;
}

GPtrArray *
commands_list_names (const char *noun)
{
  GPtrArray *names = g_ptr_array_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      const char *name = noun == NULL ? commands[i].noun : commands[i].verb;

      if (noun != NULL && !g_str_equal (commands[i].noun, noun))
        continue;
      if (names->len == 0 || g_strcmp0 (g_ptr_array_index (names, names->len - 1), name) != 0)
        g_ptr_array_add (names, (gpointer)name);
    }
  return names;
}

const Command *
commands_find (const char *noun, const char *verb)
{
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    if (g_str_equal (commands[i].noun, noun) &&
        (commands[i].verb == NULL || g_strcmp0 (commands[i].verb, verb) == 0))
      return &commands[i];
  return NULL;
}

const char *
commands_find_noun (const char *noun)
{
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    if (g_str_equal (commands[i].noun, noun))
      return commands[i].noun;
  return NULL;
}

const Command *
commands_get_table (gsize *out_n)
{
  *out_n = G_N_ELEMENTS (commands);
  return commands;
}
