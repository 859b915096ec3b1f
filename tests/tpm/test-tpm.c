/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* tpm/tpm.c on a software TPM: what a context costs, what a handle leaves behind. */

#include "tpm/tpm.h"

#include "dbus/error.h"
#include "health/platform-facts.h"
#include "tests/lib/test-proxy.h"
#include "tpm/rc.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

static ESYS_CONTEXT *
get_esys (Tpm *tpm)
{
  g_autoptr (GError) error = NULL;
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, &error);

  g_assert_no_error (error);
  return esys;
}

static void
test_context_is_free (void)
{
  g_autoptr (TestSwtpm) swtpm = test_swtpm_new ();
  g_autoptr (Tpm) tpm = tpm_new (test_swtpm_connect, swtpm);

  g_assert_nonnull (get_esys (tpm));
  g_assert_true (get_esys (tpm) == get_esys (tpm));
  tpm_disconnect (tpm);
  g_assert_nonnull (get_esys (tpm));
  g_assert_cmpuint (test_swtpm_count (swtpm, 0), ==, 0);
}

static void
test_random (void)
{
  g_autoptr (TestSwtpm) swtpm = test_swtpm_new ();
  g_autoptr (Tpm) tpm = tpm_new (test_swtpm_connect, swtpm);
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *bytes = tpm_get_random (tpm, 200, &error);
  g_autofree guint8 *others = NULL;
  g_autofree guint8 *none = NULL;

  g_assert_no_error (error);
  g_assert_cmpuint (test_swtpm_count (swtpm, TPM2_CC_GetRandom), ==, 4); /* 64 + 64 + 64 + 8 */
  others = tpm_get_random (tpm, 200, &error);
  g_assert_no_error (error);
  g_assert_cmpint (memcmp (bytes, others, 200), !=, 0);
  g_assert_cmpint (memcmp (bytes, bytes + 64, 64), !=, 0);
  none = tpm_get_random (tpm, 0, &error);
  g_assert_nonnull (none);
}

/* No bytes: an error, not an endless loop. */
static void
test_random_nonsense (void)
{
  g_autoptr (TestSwtpm) swtpm = test_swtpm_new ();
  g_autoptr (TestProxy) proxy = test_proxy_new (swtpm);
  g_autoptr (Tpm) tpm = tpm_new (test_proxy_connect, proxy);
  g_autoptr (GError) error = NULL;

  test_proxy_set_rules (proxy, "17b raw 80010000000c000000000000");
  g_assert_null (tpm_get_random (tpm, 16, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE);
}

static ESYS_TR
create_primary (Tpm *tpm)
{
  static const TPM2B_PUBLIC template = {
    .publicArea = {
      .type = TPM2_ALG_ECC,
      .nameAlg = TPM2_ALG_SHA256,
      .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN
                          | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED
                          | TPMA_OBJECT_DECRYPT,
      .parameters.eccDetail = {
        .symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB },
        .scheme.scheme = TPM2_ALG_NULL,
        .curveID = TPM2_ECC_NIST_P256,
        .kdf.scheme = TPM2_ALG_NULL,
      },
    },
  };
  const TPM2B_SENSITIVE_CREATE sensitive = { 0 };
  const TPM2B_DATA outside = { 0 };
  const TPML_PCR_SELECTION pcrs = { 0 };
  g_autoptr (GError) error = NULL;
  ESYS_TR tr = ESYS_TR_NONE;
  TSS2_RC rc = Esys_CreatePrimary (get_esys (tpm), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                   ESYS_TR_NONE, &sensitive, &template, &outside, &pcrs, &tr, NULL,
                                   NULL, NULL, NULL);

  (void)!rc_check (rc, "creating a primary", &error);
  g_assert_no_error (error);
  return tr;
}

static guint
count_transients (Tpm *tpm)
{
  g_autoptr (TPMS_CAPABILITY_DATA) data = NULL;

  g_assert_cmphex (Esys_GetCapability (get_esys (tpm), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                       TPM2_CAP_HANDLES, (guint32)TPM2_HT_TRANSIENT << 24, 16, NULL,
                                       &data),
                   ==, TSS2_RC_SUCCESS);
  return data->data.handles.count;
}

static void
test_handle (void)
{
  g_autoptr (TestSwtpm) swtpm = test_swtpm_new ();
  g_autoptr (Tpm) tpm = tpm_new (test_swtpm_connect, swtpm);
  TpmHandle *flushed = tpm_handle_new (tpm, create_primary (tpm), TRUE);
  TpmHandle *closed;

  g_assert_cmpuint (count_transients (tpm), ==, 1);
  tpm_handle_free (flushed);
  g_assert_cmpuint (count_transients (tpm), ==, 0);
  g_assert_cmpuint (test_swtpm_count (swtpm, TPM2_CC_FlushContext), ==, 1);

  closed = tpm_handle_new (tpm, create_primary (tpm), FALSE);
  tpm_handle_free (closed);
  g_assert_cmpuint (count_transients (tpm), ==, 1);
  g_assert_cmpuint (test_swtpm_count (swtpm, TPM2_CC_FlushContext), ==, 1);
}

/* A chip that is off, and on again: the same Tpm goes on once it has been disconnected. */
static void
test_power_cut (void)
{
  g_autoptr (TestSwtpm) swtpm = test_swtpm_new ();
  g_autoptr (Tpm) tpm = tpm_new (test_swtpm_connect, swtpm);
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *bytes = NULL;

  get_esys (tpm);
  test_swtpm_kill (swtpm);
  g_assert_null (tpm_get_random (tpm, 8, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE);
  g_clear_error (&error);
  tpm_disconnect (tpm);
  g_assert_null (tpm_get_random (tpm, 8, &error));
  g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE);
  g_clear_error (&error);

  test_swtpm_start (swtpm);
  bytes = tpm_get_random (tpm, 8, &error);
  g_assert_no_error (error);
  g_assert_nonnull (bytes);
}

/* A handle outlives its connection: freeing it does no harm. */
static void
test_handle_after_power_cut (void)
{
  g_autoptr (TestSwtpm) swtpm = test_swtpm_new ();
  g_autoptr (Tpm) tpm = tpm_new (test_swtpm_connect, swtpm);
  TpmHandle *handle = tpm_handle_new (tpm, create_primary (tpm), TRUE);

  test_swtpm_kill (swtpm);
  tpm_handle_free (handle);
}

/* A log that only root may read: said so, with what root can do. */
static void
test_private_log (void)
{
  g_autoptr (TestSwtpm) swtpm = test_swtpm_new ();
  g_autoptr (Tpm) tpm = tpm_new (test_swtpm_connect, swtpm);
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  const Abilities abilities = { .pcr_banks = (char *[]){ (char *)"sha256", NULL },
                                .update_mode = (char *)"" };
  g_autoptr (PlatformFacts) facts = NULL;
  uid_t uid = geteuid ();
  int fd = g_file_open_tmp ("gg-XXXXXX", &path, &error);

  g_assert_no_error (error);
  g_assert_cmpint (fchmod (fd, 0), ==, 0);
  g_close (fd, NULL);
  g_assert_nonnull (get_esys (tpm));
  g_assert_true (uid != 0 || seteuid (NOBODY) == 0);
  facts = platform_facts_read (tpm, &abilities, path, &error);
  g_assert_true (uid != 0 || seteuid (0) == 0);
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_no_error (error);
  g_assert_true (facts->is_measured && facts->have_pcrs && !facts->have_replay);
  g_assert_true (g_str_has_prefix (facts->log_error, "only root may read it. As root compare"));
  g_assert_nonnull (strstr (facts->log_error, path));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  test_swtpm_require ();
  g_test_add_func ("/tpm/context-is-free", test_context_is_free);
  g_test_add_func ("/tpm/random", test_random);
  g_test_add_func ("/tpm/random-nonsense", test_random_nonsense);
  g_test_add_func ("/tpm/handle", test_handle);
  g_test_add_func ("/tpm/power-cut", test_power_cut);
  g_test_add_func ("/tpm/handle-after-power-cut", test_handle_after_power_cut);
  g_test_add_func ("/tpm/private-log", test_private_log);
  return g_test_run ();
}
