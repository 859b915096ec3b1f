/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Chip and state, and what health makes of them: the monitor before a software TPM that a proxy makes look like the
 * chip of the row. The last word of each row is where it comes from.
 */

#include "dbus/error.h"
#include "health/monitor.h"
#include "tests/lib/test-proxy.h"

#include <glib/gstdio.h>

/* Rules of the proxy: variable properties (TPM 2.0 Library Part 2, 6.13 and 8.6, 8.7). */
#define COUNTER(n)  "property 20e " n "\n"
#define LIMIT(n)    "property 20f " n "\n"
#define PERMANENT   "property 200 "
#define STARTUP     "property 201 "
#define ROOM(n)     "property 209 " n "\n"
#define MAX_32      LIMIT ("20")
#define TEST_RESULT "17c raw 800100000010000000000000"

typedef struct
{
  const char *chip; /* an identity of the proxy; NULL: as swtpm is */
  const char *rules;
  HealthState state;
  const char *ids;
  const char *source;
} Row;

#define OK       HEALTH_STATE_OK
#define DEGRADED HEALTH_STATE_DEGRADED
#define FAILED   HEALTH_STATE_FAILED
#define OLD_740  "firmware.erratum firmware.outdated firmware.roca"
#define OLD_761  "firmware.outdated firmware.roca"
#define CVE_2025 "firmware.cve.2025-2884"

static const Row rows[] = {
  /* firmware */
  { NULL, "", OK, "", "no advisory is on this vendor's firmware" },
  { "SLB9670-7.40", "", DEGRADED, OLD_740, "ADV170012; tpm2-tss 1700, 1865; application note" },
  { "SLB9670-7.61", "", DEGRADED, OLD_761, "ADV170012: 7.61 is the last affected" },
  { "SLB9670-7.62", "", DEGRADED, "firmware.outdated", "ADV170012: 7.62 is fixed" },
  { "SLB9670-7.85", "", OK, "", "application note: what the boards ship with" },
  { "SLI9670-13.11", "", OK, "", "application note: what the boards ship with" },
  { "SLM9670-13.11", "", OK, "", "application note: what the boards ship with" },
  { "SLB9672-15.21", "", DEGRADED, CVE_2025, "vendor's notice: 15.21 to 15.23" },
  { "SLB9672-15.23", "", OK, "", "vendor's notice: 15.23 has the cure" },
  { "SLB9670-7.85", "property 10b 00070054\n", DEGRADED, "firmware.outdated", "application note" },
  { "SLM9670-13.11", "property 10b 000d000a\n", DEGRADED, "firmware.outdated", "application note" },
  { "SLB9670-7.40", "property 10b 00050000\n", DEGRADED, "firmware.roca",
    "SLB 9665 5.0: ADV170012" },
  { "SLB9670-7.40", "property 10b 0005003d\n", DEGRADED, "firmware.roca", "5.61: ADV170012" },
  { "SLB9670-7.40", "property 10b 0005003e\n", OK, "", "5.62 is fixed: ADV170012" },
  { "SLB9670-7.40", "property 10b 00040021\n", DEGRADED, "firmware.roca", "4.33: ADV170012" },
  { "SLB9670-7.40", "property 10b 00040022\n", OK, "", "4.34: ADV170012" },
  { "SLB9670-7.40", "property 10b 0004002a\n", DEGRADED, "firmware.roca", "4.42: ADV170012" },
  { "SLB9670-7.40", "property 10b 0006002a\n", DEGRADED, "firmware.roca", "6.42: ADV170012" },
  { "SLB9670-7.40", "property 10b 00850020\n", DEGRADED, "firmware.roca", "133.32: ADV170012" },
  { "SLB9672-15.21", "property 10b 00100a00\n", OK, "", "16.x: nobody has said, so no issue" },
  { NULL, "property 10b 00070028\n", OK, "", "another vendor's 7.40 is not Infineon's" },
  /* lockout */
  { "SLB9670-7.85", MAX_32 COUNTER ("f"), OK, "", "below half of MAX_AUTH_FAIL" },
  { "SLB9670-7.85", MAX_32 COUNTER ("10"), DEGRADED, "lockout.near", "half of MAX_AUTH_FAIL" },
  { "SLB9670-7.85", MAX_32 COUNTER ("1f"), DEGRADED, "lockout.near", "one is left" },
  { "SLB9670-7.85", MAX_32 COUNTER ("20") PERMANENT "200\n", FAILED, "lockout.active",
    "Part 2, 8.6: inLockout; Get-Tpm LockedOut" },
  { NULL, LIMIT ("3") COUNTER ("1"), OK, "", "swtpm's and a Steam Deck's limit (systemd 20668)" },
  { NULL, LIMIT ("3") COUNTER ("2"), DEGRADED, "lockout.near", "systemd 20668" },
  { "SLM9670-13.11", PERMANENT "4\n", OK, "lockout.auth_unknown", "tpm2-tools 2257" },
  { "SLM9670-13.11", PERMANENT "204\n" COUNTER ("3"), FAILED, "lockout.active lockout.auth_unknown",
    "tpm2-tools 2257" },
  { "SLM9670-13.11", PERMANENT "3\n", OK, "", "owner and endorsement auth are the owner's matter" },
  { "SLB9670-7.40", MAX_32 COUNTER ("10"), DEGRADED, OLD_740 " lockout.near", "both" },
  /* hierarchies */
  { "SLB9670-7.85", STARTUP "8000000d\n", FAILED, "tpm.hierarchy_disabled", "shEnable; secboot" },
  { "SLB9670-7.85", STARTUP "8000000b\n", DEGRADED, "tpm.hierarchy_disabled", "ehEnable; secboot" },
  { "SLB9670-7.85", STARTUP "8000000e\n", OK, "", "phEnable: as firmware leaves it" },
  /* self-test */
  { "SLB9670-7.85", TEST_RESULT "00000101\n", FAILED, "tpm.failure_mode", "Part 1, 12.4; secboot" },
  { "SLB9670-7.85", TEST_RESULT "00000153\n", OK, "", "Part 3, 10.4: tests at first use" },
  { "SLB9670-7.85", TEST_RESULT "00000000\n", OK, "", "Part 3, 10.4" },
  { "SLB9670-7.85", TEST_RESULT "0000090a\n", OK, "", "Part 3, 10.4: has just begun" },
  { "SLB9670-7.40", "any rc 101\n", FAILED, OLD_740 " tpm.failure_mode", "tpm2-tss 1865" },
  { "SLB9670-7.85", "17a rc 101\n", FAILED, "tpm.failure_mode", "secboot: capabilities lie then" },
  /* room */
  { "SLB9670-7.85", ROOM ("2"), OK, "", "room for a primary and a repair" },
  { "SLB9670-7.85", ROOM ("1"), DEGRADED, "resources.low", "Part 2, 6.13" },
  { "SLB9670-7.85", ROOM ("0"), DEGRADED, "resources.low", "Part 2, 6.13" },
  { "SLB9670-7.85", "property 207 1\n", OK, "", "one slot for objects is free" },
  { "SLB9670-7.85", "property 207 0\n", DEGRADED, "resources.low", "Part 2, 6.13; trunks" },
  { "SLB9670-7.85", "property 204 0\n", DEGRADED, "resources.low", "Part 2, 6.13; trunks" },
  { "SLB9670-7.85", "property 206 4\n", OK, "", "sessions for one client" },
  { "SLB9670-7.85", "property 206 3\n", DEGRADED, "resources.low", "Part 2, 6.13" },
  { "SLB9670-7.85", "property 20b 1\n", OK, "", "one NV counter" },
  { "SLB9670-7.85", "property 20b 0\n", OK, "resources.low", "secboot: NV counters" },
  /* what it is */
  { NULL, "property 100 312e3200\n", FAILED, "tpm.not20", "fwupd Tpm.Version20" },
  { "SLB9670-7.85", "property 100 322e3000\n", OK, "", "fwupd Tpm.Version20" },
  /* the wire */
  { "SLB9670-7.85", "any garbage\n", FAILED, "device.io", "answers garbage" },
  { "SLB9670-7.85", "any short 7\n", FAILED, "device.io", "answers too short" },
  { "SLB9670-7.85", "any size 9000\n", FAILED, "device.io", "answers too long" },
  { "SLB9670-7.85", "any eof\n", FAILED, "device.io", "does not answer" },
  { "SLB9670-7.85", "17a noise\n", FAILED, "device.io", "answers something else" },
};

/* ---- what is no matter of the wire: rows of facts ---- */

#define NOW  G_GINT64_CONSTANT (1800000000)
#define DAY  G_GINT64_CONSTANT (86400)
#define YEAR (365 * DAY)
/* a lockout auth that is empty is for information where there are keys */
#define AUTH_UNSET  "lockout.auth_unset"
#define CERTIFICATE NULL, FALSE, FALSE, FALSE, TRUE, TRUE
#define MEASURED    .has_sha256 = TRUE, .is_measured = TRUE, .have_pcrs = TRUE

static HealthFacts
make_facts (void)
{
  return (HealthFacts){
    .device = HEALTH_DEVICE_OK,
    .have_fixed = TRUE,
    .fixed = { .family = "2.0", .manufacturer = "IFX", .firmware_1 = 0x00070055 },
    .have_variable = TRUE,
    .variable = { .startup_clear = 0x8000000f,
                  .max_auth_fail = 32,
                  .lockout_interval = 7200,
                  .lockout_recovery = 86400,
                  .persistent_available = 5,
                  .transient_available = 3,
                  .loaded_available = 3,
                  .active_available = 64,
                  .nv_counters_available = 8 },
    .have_test_result = TRUE,
    .have_last_shutdown = TRUE,
    .last_shutdown_orderly = TRUE,
    .have_run = TRUE,
    .have_access = TRUE,
  };
}

static void
assert_facts (const HealthFacts *facts, HealthState state, const char *ids)
{
  g_autoptr (GPtrArray) issues = rules_evaluate (facts, NOW, NULL);
  g_autoptr (GString) got = g_string_new (NULL);

  for (guint i = 0; i < issues->len; i++)
    g_string_append_printf (got, "%s%s", i == 0 ? "" : " ", ((HealthIssue *)issues->pdata[i])->id);
  g_assert_cmpstr (got->str, ==, ids);
  g_assert_cmpstr (health_state_to_string (rules_get_state (facts, issues)), ==,
                   health_state_to_string (state));
}

/* One key in one token of the chip. */
static const struct
{
  StoreKey key;
  guint16 firmware_major; /* of the chip; 0: 7.85 */
  HealthState state;
  const char *ids;
  const char *source;
} key_rows[] = {
  { { .name = NULL }, 0, OK, AUTH_UNSET, "no certificate yet" },
  { { .is_rsa = TRUE }, 0, OK, AUTH_UNSET, "CVE-2017-15361: an RSA key without the fingerprint" },
  { { .is_rsa = TRUE, .is_roca = TRUE }, 0, FAILED, "key.roca " AUTH_UNSET, "CVE-2017-15361" },
  { { .is_rsa = TRUE },
    6,
    FAILED,
    "firmware.roca " AUTH_UNSET,
    "ADV170012: an RSA key that such a chip has made" },
  { { .is_rsa = TRUE, .is_imported = TRUE },
    6,
    DEGRADED,
    "firmware.roca " AUTH_UNSET,
    "ADV170012: an RSA key that was made elsewhere" },
  { { .is_rsa = FALSE }, 6, DEGRADED, "firmware.roca " AUTH_UNSET, "VU#307015: RSA only" },
  { { CERTIFICATE, NOW - YEAR, NOW + YEAR }, 0, OK, AUTH_UNSET, "valid" },
  { { CERTIFICATE, NOW - YEAR, NOW + 30 * DAY }, 0, OK, AUTH_UNSET, "aziotctl: 30 days" },
  { { CERTIFICATE, NOW - YEAR, NOW + 30 * DAY - 1 },
    0,
    DEGRADED,
    "cert.expiring " AUTH_UNSET,
    "aziotctl: 30 days" },
  { { CERTIFICATE, NOW - YEAR, NOW }, 0, DEGRADED, "cert.expiring " AUTH_UNSET, "RFC 5280" },
  { { CERTIFICATE, NOW - YEAR, NOW - 1 }, 0, FAILED, "cert.expired " AUTH_UNSET, "RFC 5280" },
  { { CERTIFICATE, NOW, NOW + YEAR }, 0, OK, AUTH_UNSET, "valid from now" },
  { { CERTIFICATE, NOW + 1, NOW + YEAR }, 0, DEGRADED, "time.skew " AUTH_UNSET, "aziotctl" },
  { { .has_certificate = TRUE }, 0, FAILED, "cert.key_mismatch " AUTH_UNSET, "aziotctl" },
};

static void
test_keys (void)
{
  const char *const paths[] = { NULL };
  g_autoptr (GPtrArray) advisories = advisories_load (paths);

  for (gsize i = 0; i < G_N_ELEMENTS (key_rows); i++)
    {
      HealthFacts facts = make_facts ();
      g_autoptr (StoreFacts) store = store_facts_new_empty ();
      StoreKey *key = store_facts_add_key (store, NULL);

      g_test_message ("%zu: %s; %s", i, key_rows[i].ids, key_rows[i].source);
      *key = key_rows[i].key;
      key->name = g_strdup ("token/key");
      store->n_tokens = 1;
      facts.store = store;
      facts.advisories = advisories;
      if (key_rows[i].firmware_major != 0)
        facts.fixed.firmware_1 = (guint32)key_rows[i].firmware_major << 16;
      assert_facts (&facts, key_rows[i].state, key_rows[i].ids);
    }
}

/* The chip's place in its machine. */
static const struct
{
  PlatformFacts platform;
  HealthState state;
  const char *ids;
  const char *source;
} platform_rows[] = {
  { { .has_sha256 = TRUE }, OK, "", "a board without measured boot" },
  { { .has_sha256 = FALSE }, DEGRADED, "pcr.bank", "secboot" },
  { { .has_sha256 = TRUE, .empty_pcrs = 0xff }, OK, "", "fwupd's check where nobody measures" },
  { { MEASURED, .have_replay = TRUE }, OK, "", "measured, as the log says" },
  { { MEASURED, .have_replay = TRUE, .empty_pcrs = 0x80 },
    DEGRADED,
    "pcr.empty",
    "CVE-2021-42299" },
  { { MEASURED, .have_replay = TRUE, .mismatches = 0x01 },
    DEGRADED,
    "eventlog.mismatch",
    "systemd-pcrlock" },
  { { MEASURED, .log_error = (char *)"no permission" }, OK, "", "a log that only root may read" },
  { { .has_sha256 = TRUE, .update_mode = (char *)"normal" }, OK, "", "OPERATION_MODE 0" },
  { { .has_sha256 = TRUE, .update_mode = (char *)"update" },
    FAILED,
    "firmware.update_mode",
    "OPERATION_MODE 1 to 4" },
  { { .has_sha256 = TRUE, .update_mode = (char *)"recovery" },
    FAILED,
    "firmware.update_mode",
    "OPERATION_MODE 81 to 84" },
};

static void
test_platforms (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (platform_rows); i++)
    {
      HealthFacts facts = make_facts ();
      PlatformFacts platform = platform_rows[i].platform;

      g_test_message ("%zu: %s; %s", i, platform_rows[i].ids, platform_rows[i].source);
      if (platform.update_mode == NULL)
        platform.update_mode = (char *)"";
      facts.platform = &platform;
      assert_facts (&facts, platform_rows[i].state, platform_rows[i].ids);
    }
}

static void
make_missing (HealthFacts *facts)
{
  facts->device = HEALTH_DEVICE_MISSING;
}

static void
make_busy (HealthFacts *facts)
{
  facts->device = HEALTH_DEVICE_BUSY;
}

static void
make_testing (HealthFacts *facts)
{
  facts->test_result = TPM2_RC_TESTING;
  facts->testing_since = NOW - 10;
}

static void
make_test_begin (HealthFacts *facts)
{
  make_testing (facts);
  facts->testing_since++;
}

static void
make_tries_few (HealthFacts *facts)
{
  facts->variable.max_auth_fail = 7;
}

static void
make_tries_enough (HealthFacts *facts)
{
  facts->variable.max_auth_fail = 8;
}

static void
make_tries_wanted (HealthFacts *facts)
{
  make_tries_few (facts);
  facts->policy.max = 7;
}

static void
make_tries_other (HealthFacts *facts)
{
  facts->policy.max = 31;
}

static void
make_interval_other (HealthFacts *facts)
{
  facts->policy.interval_s = 600;
}

static void
make_recovery_other (HealthFacts *facts)
{
  facts->policy.recovery_s = 600;
}

static void
make_recovery_same (HealthFacts *facts)
{
  facts->policy = (LockoutPolicy){ 32, 7200, 86400 };
}

static void
make_refused (HealthFacts *facts)
{
  facts->lockout = (LockoutRecord){ 0x921, NOW - 999, 1000 };
}

static void
make_refused_long_ago (HealthFacts *facts)
{
  facts->lockout = (LockoutRecord){ 0x921, NOW - 1000, 1000 };
}

static void
make_cut (HealthFacts *facts)
{
  facts->last_shutdown_orderly = FALSE;
}

static void
make_cuts (HealthFacts *facts)
{
  facts->power = (PowerRecord){ .n_unclean = 3, .times = { NOW, NOW, NOW }, .n_times = 3 };
}

static void
make_other_chip (HealthFacts *facts)
{
  facts->went_back = TRUE;
}

static void
make_store_open (HealthFacts *facts)
{
  facts->access = STORE_ACCESS_DIRECTORY_OPEN;
}

static void
make_store_closed (HealthFacts *facts)
{
  facts->access = STORE_ACCESS_OK;
}

/* @n failed authorisations, one every ten minutes, the last one now. */
static void
make_rises (HealthFacts *facts, guint n)
{
  for (guint i = 1; i <= n; i++)
    trend_record_take (&facts->trend, i, NOW - (gint64)(n - i) * 600);
  facts->variable.lockout_counter = n;
}

static void
make_rising (HealthFacts *facts)
{
  make_rises (facts, 3);
}

static void
make_mistyped (HealthFacts *facts)
{
  make_rises (facts, 2);
}

/* A signature takes @p50_us, and took 70 ms at first; a primary takes long. */
static void
make_latency (HealthFacts *facts, guint32 p50_us)
{
  static GArray *latencies;
  const HealthLatency primary = { { TPM2_CC_CreatePrimary, 100, 9000000, 9000000, 9000000 },
                                  300000 };
  const HealthLatency sign = { { TPM2_CC_Sign, 100, p50_us, p50_us, p50_us }, 70000 };

  g_clear_pointer (&latencies, g_array_unref);
  latencies = g_array_new (FALSE, FALSE, sizeof (HealthLatency));
  g_array_append_val (latencies, primary);
  g_array_append_val (latencies, sign);
  facts->latencies = latencies;
}

static void
make_slow (HealthFacts *facts)
{
  make_latency (facts, 350000);
}

static void
make_slower (HealthFacts *facts)
{
  make_latency (facts, 163000);
}

static void
make_nothing (HealthFacts *facts)
{
}

static const struct
{
  void (*change) (HealthFacts *facts);
  HealthState state;
  const char *ids;
  const char *source;
} other_rows[] = {
  { make_nothing, OK, "", "nothing is wrong" },
  { make_missing, FAILED, "device.missing", "ENOENT" },
  { make_busy, FAILED, "device.busy", "EBUSY; amazon-greengrass-hsi-optiga-tpm 2" },
  { make_testing, DEGRADED, "tpm.selftest_pending", "Part 3, 10.4" },
  { make_test_begin, OK, "", "Part 3, 10.4" },
  { make_tries_few, DEGRADED, "lockout.policy_drift", "systemd 20668" },
  { make_tries_enough, OK, "", "systemd 20668" },
  { make_tries_wanted, OK, "", "configured so" },
  { make_tries_other, DEGRADED, "lockout.policy_drift", "configured otherwise" },
  { make_interval_other, DEGRADED, "lockout.policy_drift", "configured otherwise" },
  { make_recovery_other, DEGRADED, "lockout.policy_drift", "configured otherwise" },
  { make_recovery_same, OK, "", "configured so" },
  { make_refused, DEGRADED, "lockout.auth_locked", "secboot 415" },
  { make_refused_long_ago, OK, "", "secboot 415" },
  { make_rising, DEGRADED, "lockout.foreseen", "29 more at one every 10 minutes" },
  { make_mistyped, OK, "", "two are no trend" },
  { make_slow, OK, "tpm.slow", "aziotctl: against its baseline" },
  { make_slower, OK, "", "wolfTPM: RSA takes 163 ms, P-256 69 ms" },
  { make_cut, OK, "power.unclean", "tpm2-tools 3371" },
  { make_cuts, DEGRADED, "power.unclean", "tpm2-tools 3371" },
  { make_other_chip, FAILED, "identity.changed", "systemd-tpm2-setup" },
  { make_store_open, DEGRADED, "store.permissions", "application note: chmod 777" },
  { make_store_closed, OK, "", "as ggtpmd makes it" },
};

static void
test_others (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (other_rows); i++)
    {
      HealthFacts facts = make_facts ();

      g_test_message ("%zu: %s; %s", i, other_rows[i].ids, other_rows[i].source);
      other_rows[i].change (&facts);
      assert_facts (&facts, other_rows[i].state, other_rows[i].ids);
    }
}

/* Through the monitor: only what says something of the key counts, and the next success ends it. */
static void
test_key_unusable (void)
{
  g_autofree char *dir = g_dir_make_tmp ("gg-XXXXXX", NULL);
  Config config = { .state_dir = dir };
  g_autoptr (Monitor) monitor = monitor_new (&config, NULL, NULL, NULL);
  g_autoptr (GError) wrong_pin = g_error_new (GGTPM_ERROR, GGTPM_ERROR_AUTH_FAILED, "wrong PIN");
  g_autoptr (GError) stale = g_error_new (GGTPM_ERROR, GGTPM_ERROR_STORE, "another storage key");
  StoreFacts *store = store_facts_new_empty ();
  GPtrArray *issues;

  store->n_tokens = 1;
  store_facts_add_key (store, g_strdup ("token/key"));
  monitor_set_store (monitor, store, STORE_ACCESS_OK);
  monitor_note_key_use (monitor, "token/key", wrong_pin);
  monitor_note_key_use (monitor, "token/key", NULL);
  g_assert_cmpuint (monitor_get_issues (monitor)->len, ==, 0);
  monitor_note_key_use (monitor, "token/key", stale);
  issues = monitor_get_issues (monitor);
  g_assert_cmpuint (issues->len, ==, 1);
  g_assert_cmpstr (((HealthIssue *)issues->pdata[0])->id, ==, "key.unusable");
  g_assert_nonnull (strstr (((HealthIssue *)issues->pdata[0])->text, "another storage key"));
  monitor_note_key_use (monitor, "token/key", NULL);
  g_assert_cmpuint (monitor_get_issues (monitor)->len, ==, 0);

  monitor_note_key_use (monitor, "token/key", stale);
  store = store_facts_new_empty ();
  monitor_set_store (monitor, store, STORE_ACCESS_OK); /* it was deleted */
  g_assert_cmpuint (monitor_get_issues (monitor)->len, ==, 0);
  g_assert_cmpint (g_rmdir (dir), ==, 0);
}

static RuleVerdict
get_verdict (const HealthFacts *facts, const char *id)
{
  g_autoptr (GPtrArray) rules = rules_judge (facts, NOW);

  for (guint i = 0; i < rules->len; i++)
    {
      const HealthRule *rule = rules->pdata[i];

      g_assert_cmpstr (rule->source, !=, "");
      g_assert_cmpstr (rule->remedy, !=, "");
      /* whatever is not ok says why */
      g_assert_true ((rule->verdict == RULE_OK) == (*rule->text == '\0'));
      if (g_str_equal (rule->id, id))
        return rule->verdict;
    }
  g_assert_not_reached ();
}

/* What does not apply says so, and is neither good nor unknown. */
static void
test_not_applicable (void)
{
  static const char *const store_rules[] = { "key.unusable",      "key.roca",  "cert.expired",
                                             "cert.expiring",     "time.skew", "cert.key_mismatch",
                                             "lockout.auth_unset" };
  const char *const paths[] = { NULL };
  g_autoptr (GPtrArray) advisories = advisories_load (paths);
  g_autoptr (StoreFacts) store = store_facts_new_empty ();
  PlatformFacts platform = { .has_sha256 = TRUE, .update_mode = (char *)"" };
  HealthFacts facts = make_facts ();

  facts.advisories = advisories;
  for (gsize i = 0; i < G_N_ELEMENTS (store_rules); i++)
    g_assert_cmpint (get_verdict (&facts, store_rules[i]), ==, RULE_UNKNOWN);
  g_assert_cmpint (get_verdict (&facts, "pcr.empty"), ==, RULE_UNKNOWN);
  g_assert_cmpint (get_verdict (&facts, "store.permissions"), ==, RULE_NOT_APPLICABLE);
  facts.store = store;
  facts.platform = &platform;
  for (gsize i = 0; i < G_N_ELEMENTS (store_rules); i++)
    g_assert_cmpint (get_verdict (&facts, store_rules[i]), ==, RULE_NOT_APPLICABLE);
  g_assert_cmpint (get_verdict (&facts, "pcr.empty"), ==, RULE_NOT_APPLICABLE);
  g_assert_cmpint (get_verdict (&facts, "eventlog.mismatch"), ==, RULE_NOT_APPLICABLE);
  g_assert_cmpint (get_verdict (&facts, "firmware.update_mode"), ==, RULE_NOT_APPLICABLE);
  g_assert_cmpint (get_verdict (&facts, "pcr.bank"), ==, RULE_OK);
  g_assert_cmpint (get_verdict (&facts, "firmware.cve.2019-16863"), ==, RULE_NOT_APPLICABLE);
  g_assert_cmpint (get_verdict (&facts, "firmware.cve.2024-45678"), ==, RULE_UNKNOWN);
  g_assert_cmpint (get_verdict (&facts, "firmware.roca"), ==, RULE_OK);

  g_assert_cmpint (get_verdict (&facts, "device.busy"), ==, RULE_OK);
  facts.is_alongside = TRUE;
  g_assert_cmpint (get_verdict (&facts, "device.busy"), ==, RULE_NOT_APPLICABLE);
  g_assert_cmpint (get_verdict (&facts, "device.missing"), ==, RULE_NOT_APPLICABLE);
  g_assert_cmpint (get_verdict (&facts, "device.io"), ==, RULE_OK);
  facts.device = HEALTH_DEVICE_MISSING;
  g_assert_cmpint (get_verdict (&facts, "device.missing"), ==, RULE_ISSUE);

  facts.variable.max_auth_fail = 3;
  g_assert_cmpint (get_verdict (&facts, "lockout.policy_drift"), ==, RULE_ISSUE);
  g_strlcpy (facts.fixed.manufacturer, "IBM", sizeof (facts.fixed.manufacturer));
  g_assert_cmpint (get_verdict (&facts, "lockout.policy_drift"), ==, RULE_NOT_APPLICABLE);
  g_assert_cmpint (get_verdict (&facts, "firmware.roca"), ==, RULE_NOT_APPLICABLE);
}

/* ---- rows of the wire ---- */

typedef struct
{
  TestSwtpm *swtpm;
  TestProxy *proxy;
  Config config;
  Worker *worker;
  Monitor *monitor;
  gboolean done;
} Fixture;

static void
check_done (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  Fixture *fixture = data;

  if (!monitor_check_finish (result, &error))
    g_test_message ("%s", error->message);
  fixture->done = TRUE;
}

static void
check (Fixture *fixture)
{
  fixture->done = FALSE;
  monitor_check_async (fixture->monitor, NULL, check_done, fixture);
  while (!fixture->done)
    g_main_context_iteration (NULL, TRUE);
}

static gboolean
on_ready (gpointer data)
{
  ((Fixture *)data)->done = TRUE;
  return G_SOURCE_REMOVE;
}

/* @rules: of the proxy */
static void
look (Fixture *fixture, const char *chip, const char *rules)
{
  g_autofree char *identity =
      chip != NULL ? g_strdup_printf ("identity %s\n", chip) : g_strdup ("");
  g_autofree char *all = g_strconcat (identity, rules, NULL);

  test_proxy_set_rules (fixture->proxy, identity);
  check (fixture);
  test_proxy_set_rules (fixture->proxy, all);
  check (fixture);
}

static int
compare_ids (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (*(const char *const *)a, *(const char *const *)b);
}

static void
assert_row (Fixture *fixture, const Row *row)
{
  GPtrArray *issues = monitor_get_issues (fixture->monitor);
  g_autoptr (GPtrArray) ids = g_ptr_array_new ();
  g_autofree char *got = NULL;

  for (guint i = 0; i < issues->len; i++)
    g_ptr_array_add (ids, (gpointer)((HealthIssue *)issues->pdata[i])->id);
  g_ptr_array_sort (ids, compare_ids);
  g_ptr_array_add (ids, NULL);
  got = g_strjoinv (" ", (char **)ids->pdata);
  g_assert_cmpstr (got, ==, row->ids);
  g_assert_cmpstr (health_state_to_string (monitor_get_state (fixture->monitor)), ==,
                   health_state_to_string (row->state));
}

static void
test_table (void)
{
  Fixture fixture = { .swtpm = test_swtpm_new () };

  fixture.proxy = test_proxy_new (fixture.swtpm);
  fixture.config.state_dir = (char *)test_swtpm_get_dir (fixture.swtpm);
  fixture.worker = worker_new (test_proxy_connect, fixture.proxy, 1, 4);
  fixture.monitor = monitor_new (&fixture.config, fixture.worker, NULL, NULL);
  monitor_set_device (fixture.monitor, HEALTH_DEVICE_OK, "", TRUE, on_ready, &fixture);
  while (!fixture.done)
    g_main_context_iteration (NULL, TRUE);

  g_assert_cmpuint (G_N_ELEMENTS (rows), >=, 40);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      const Row *row = &rows[i];

      g_test_message ("%zu: %s; %s; %s", i, row->chip != NULL ? row->chip : "swtpm", row->ids,
                      row->source);
      /* each row is a day of its own */
      ((HealthFacts *)monitor_get_facts (fixture.monitor))->trend.n_rises = 0;
      look (&fixture, row->chip, row->rules);
      assert_row (&fixture, row);
    }
  g_clear_object (&fixture.monitor);
  worker_free (fixture.worker);
  test_proxy_free (fixture.proxy);
  test_swtpm_free (fixture.swtpm);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  test_swtpm_require ();
  g_test_add_func ("/health-table/rows", test_table);
  g_test_add_func ("/health-table/keys", test_keys);
  g_test_add_func ("/health-table/key-unusable", test_key_unusable);
  g_test_add_func ("/health-table/platforms", test_platforms);
  g_test_add_func ("/health-table/others", test_others);
  g_test_add_func ("/health-table/not-applicable", test_not_applicable);
  return g_test_run ();
}
