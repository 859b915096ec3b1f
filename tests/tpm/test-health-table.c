/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Chip and state, and what health makes of them: the monitor before a software TPM that a proxy makes look like the
 * chip of the row. The last word of each row is where it comes from.
 */

#include "health/monitor.h"

#include "tests/lib/test-proxy.h"

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
  fixture.monitor = monitor_new (&fixture.config, fixture.worker, NULL);
  monitor_set_device (fixture.monitor, HEALTH_DEVICE_OK, "", TRUE, on_ready, &fixture);
  while (!fixture.done)
    g_main_context_iteration (NULL, TRUE);

  g_assert_cmpuint (G_N_ELEMENTS (rows), >=, 40);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      const Row *row = &rows[i];

      g_test_message ("%zu: %s; %s; %s", i, row->chip != NULL ? row->chip : "swtpm", row->ids,
                      row->source);
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
  return g_test_run ();
}
