/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "rules-private.h"

#define FAILED   HEALTH_STATE_FAILED
#define DEGRADED HEALTH_STATE_DEGRADED
#define INFO     HEALTH_STATE_OK

#define LIBRARY      "TPM 2.0 Library "
#define LOCKOUT_RULE LIBRARY "Part 1, 19.8"

/*
 * Every issue but those of firmware, which are data (advisories.conf). Each id has its text in systemd/ggtpmd.catalog
 * and in docs/man/ggtpmd.8; tests/style/check-issues.py holds the three together.
 */
static const Rule rules[] = {
  { "device.missing", FAILED, rules_judge_device_missing, rules_add_device_evidence,
    "Check that the TPM is fitted, switched on in the firmware and named in the device tree "
    "(dtoverlay=tpm-slb9670), then see `dmesg | grep tpm`.",
    "open(2): ENOENT" },
  { "device.busy", FAILED, rules_judge_device_busy, rules_add_device_evidence,
    "Stop the program that holds the device (`fuser -v /dev/tpm0`), usually tpm2-abrmd, or set "
    "Mode=alongside.",
    "open(2): EBUSY; amazon-greengrass-hsi-optiga-tpm issue 2" },
  { "device.io", FAILED, rules_judge_device_io, rules_add_device_evidence,
    "See `dmesg | grep tpm`; check the SPI wiring and the rights on the device node; switch the "
    "device off and on.",
    LIBRARY "Part 1, 18: what an answer looks like" },
  { "tpm.not20", FAILED, rules_judge_not20, rules_add_family_evidence, "Use a TPM 2.0.",
    "fwupd's org.fwupd.hsi.Tpm.Version20" },
  /* Only TPM2_GetTestResult and some of TPM2_GetCapability still answer. Left by _TPM_Init only. */
  { "tpm.failure_mode", FAILED, rules_judge_failure_mode, rules_add_test_evidence,
    "Switch the device off and on again; if it comes back, the chip is broken.",
    LIBRARY "Part 1, 12.4" },
  { "tpm.selftest_pending", DEGRADED, rules_judge_selftest_pending, rules_add_test_evidence,
    "Wait a minute; if it stays, switch the device off and on again.",
    LIBRARY "Part 3, 10.4 (TPM_RC_TESTING)" },
  { "tpm.slow", INFO, rules_judge_slow, rules_add_slow_evidence,
    "See who else keeps the TPM busy (`ggtpmctl monitor`), and `dmesg | grep -i spi`; a chip that stays slow is "
    "wearing out.",
    "the chip's own baseline; Azure's aziotctl check" },
  { "tpm.hierarchy_disabled", FAILED, rules_judge_storage_disabled, rules_add_startup_evidence,
    "Enable it in the firmware's set-up, or switch the device off and on again.",
    LIBRARY "Part 2, 8.7 (shEnable); canonical/secboot" },
  { "tpm.hierarchy_disabled", DEGRADED, rules_judge_endorsement_disabled,
    rules_add_startup_evidence,
    "Enable it in the firmware's set-up, or switch the device off and on again.",
    LIBRARY "Part 2, 8.7 (ehEnable); canonical/secboot" },
  { "lockout.active", FAILED, rules_judge_lockout_active, rules_add_lockout_evidence,
    "Find who uses a wrong PIN, then `ggtpmctl tpm reset-lockout`, or wait.",
    LOCKOUT_RULE "; Windows' Get-Tpm LockedOut" },
  /* Also an unclean shutdown after a DA-protected authorisation counts, so that power cuts alone lead here. */
  { "lockout.near", DEGRADED, rules_judge_lockout_near, rules_add_lockout_evidence,
    "Find who uses a wrong PIN or cuts the power, then `ggtpmctl tpm reset-lockout`.",
    LOCKOUT_RULE "; tpm2-tss issue 2400, tpm2-tools issue 3371" },
  { "lockout.foreseen", DEGRADED, rules_judge_lockout_foreseen, rules_add_trend_evidence,
    "Find who uses a wrong PIN or cuts the power (`journalctl -u ggtpmd`) before the TPM locks up.",
    LOCKOUT_RULE "; the counter's own course" },
  { "lockout.policy_drift", DEGRADED, rules_judge_lockout_policy, rules_add_lockout_evidence,
    "Set it (`tpm2_dictionarylockout -s -n 32 -t 7200 -l 86400`), or say in ggtpmd.conf what is "
    "wanted (LockoutMax= and its like).",
    LIBRARY "Part 3, 25.3; systemd issue 20668" },
  /* An info, not a fault: with an empty auth ggtpmd heals, and its broker lets nobody but root clear the chip. */
  { "lockout.auth_unset", INFO, rules_judge_auth_unset, rules_add_permanent_evidence,
    "`ggtpmctl tpm take-ownership` sets one and keeps it; leave it if only ggtpmd reaches the TPM.",
    "secureblue issue 1867" },
  /* One wrong lockoutAuth locks the lockout hierarchy, so we do not guess. */
  { "lockout.auth_unknown", INFO, rules_judge_auth_unknown, rules_add_permanent_evidence,
    "Reset lockouts with the owner's tool, or remove the lockout auth "
    "(`tpm2_changeauth -c lockout -p OLD`).",
    LOCKOUT_RULE "; tpm2-tools issue 2257" },
  /* GetCapability does not show it, only what a reset was answered with does. */
  { "lockout.auth_locked", DEGRADED, rules_judge_auth_locked, rules_add_refusal_evidence,
    "Wait until it is tried again (LockoutAuthLockedUntil), or clear the TPM in the firmware's "
    "set-up; find out who has tried a wrong lockout auth.",
    LOCKOUT_RULE "; canonical/secboot issue 415" },
  { "power.unclean", DEGRADED, rules_judge_power_habit, rules_add_power_evidence,
    "Look for what cuts the power; each cut may count towards a lockout.",
    LOCKOUT_RULE "; tpm2-tools issue 3371" },
  { "power.unclean", INFO, rules_judge_power_cut, rules_add_power_evidence,
    "Shut the system down before the power is cut; each cut may count towards a lockout.",
    LIBRARY "Part 2, 8.7 (orderly)" },
  { "identity.changed", FAILED, rules_judge_identity, rules_add_run_evidence,
    "Provision the device anew, or put the former TPM back.",
    LIBRARY "Part 1, 36.4: resetCount only grows, until TPM2_Clear" },
  { "resources.low", DEGRADED, rules_judge_room, rules_add_room_evidence,
    "Remove persistent objects that nobody uses (`tpm2_getcap handles-persistent`, "
    "`tpm2_evictcontrol`).",
    LIBRARY "Part 2, 6.13 (TPM_PT_HR_PERSISTENT_AVAIL)" },
  { "resources.low", DEGRADED, rules_judge_slots, rules_add_room_evidence,
    "Find who uses the TPM beside ggtpmd (`fuser -v /dev/tpm0 /dev/tpmrm0`) and have it flush what it has left "
    "there; switching the device off and on flushes all.",
    LIBRARY
    "Part 2, 6.13 (TPM_PT_HR_TRANSIENT_AVAIL, TPM_PT_HR_LOADED_AVAIL); trunks flushes all at its start" },
  { "resources.low", DEGRADED, rules_judge_sessions, rules_add_room_evidence,
    "Find the program that saves sessions and does not flush them, and end it: ggtpmd flushes what it has left.",
    LIBRARY "Part 2, 6.13 (TPM_PT_HR_ACTIVE_AVAIL)" },
  { "resources.low", INFO, rules_judge_nv, rules_add_room_evidence,
    "Remove NV indices that nobody uses (`tpm2_getcap handles-nv-index`, `tpm2_nvundefine`).",
    LIBRARY "Part 2, 6.13 (TPM_PT_NV_COUNTERS_AVAIL); canonical/secboot" },
  { "firmware.update_mode", FAILED, rules_judge_update_mode, rules_add_update_evidence,
    "Finish the update with the vendor's tool; until then the TPM serves nobody.",
    "Infineon's firmware update tool (OPERATION_MODE)" },
  { "pcr.bank", DEGRADED, rules_judge_pcr_bank, rules_add_pcr_evidence,
    "Allocate it (`ggtpmctl pcr allocate sha256`, or the firmware's set-up) and restart.",
    "canonical/secboot" },
  { "pcr.empty", DEGRADED, rules_judge_pcr_empty, rules_add_pcr_evidence,
    "Update the machine's firmware, or look in its set-up for measured boot: what is sealed to "
    "these PCRs is not protected.",
    "CVE-2021-42299; fwupd's org.fwupd.hsi.Tpm.EmptyPcr" },
  { "eventlog.mismatch", DEGRADED, rules_judge_event_log, rules_add_pcr_evidence,
    "Find out what has extended the PCR; do not trust the log until then.",
    "TCG PC Client Platform Firmware Profile, 10; systemd-pcrlock" },
  { "key.unusable", FAILED, rules_judge_key_unusable, rules_add_unusable_evidence,
    "See the reason; a key whose storage key is gone has to be made anew.",
    "Azure's aziotctl check key-pairs-read; ChromeOS' tpm_manager" },
  { "key.roca", FAILED, rules_judge_key_roca, rules_add_roca_evidence,
    "Replace it: `ggtpmctl key rotate KEY --algorithm ecc-p256`, and revoke its certificate.",
    "CVE-2017-15361" },
  { "cert.expired", FAILED, rules_judge_cert_expired, rules_add_validity_evidence,
    "`ggtpmctl key rotate` or `key csr`, then `key install-cert`.", "RFC 5280, 4.1.2.5" },
  { "cert.expiring", DEGRADED, rules_judge_cert_expiring, rules_add_validity_evidence,
    "`ggtpmctl key rotate` or `key csr`, then `key install-cert`.",
    "RFC 5280, 4.1.2.5; Azure's aziotctl check" },
  { "cert.key_mismatch", FAILED, rules_judge_cert_mismatch, rules_add_mismatch_evidence,
    "Install the certificate that was made from this key's request.",
    "RFC 5280, 4.1.2.7; Azure's aziotctl check" },
  { "time.skew", DEGRADED, rules_judge_time_skew, rules_add_validity_evidence,
    "Set the clock (`timedatectl`): until it is right no peer is believed.",
    "RFC 5280, 4.1.2.5; Azure's aziotctl check" },
  { "store.permissions", DEGRADED, rules_judge_store_access, rules_add_access_evidence,
    "Take the rights away (`ggtpmctl doctor` names the file) and change the PINs.",
    "application note: chmod 777" },
};

const Rule *
rules_table_get (gsize *out_n)
{
  *out_n = G_N_ELEMENTS (rules);
  return rules;
}
