/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* daemon/token/uri.c: what p11-kit reads back from our URIs, and their exact form. */

#include "token/uri.h"

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

static void
test_forms (void)
{
  static const guint8 raw[] = { 0x01, 'a', 0xff };
  g_autoptr (GBytes) id = g_bytes_new_static (raw, sizeof raw);
  g_autofree char *token = uri_for_token ("greengrass");
  g_autofree char *key = uri_for_object ("greengrass", "greenkey", NULL, "private", NULL);
  g_autofree char *with_id = uri_for_object ("a b", NULL, id, "cert", NULL);
  g_autofree char *with_pin = uri_for_object ("t", "k", NULL, "public", "/var/lib/x y");

  g_assert_cmpstr (token, ==, "pkcs11:token=greengrass");
  g_assert_cmpstr (key, ==, "pkcs11:token=greengrass;object=greenkey;type=private");
  g_assert_cmpstr (with_id, ==, "pkcs11:token=a%20b;id=%01%61%FF;type=cert");
  g_assert_cmpstr (with_pin, ==,
                   "pkcs11:token=t;object=k;type=public?pin-source=%2Fvar%2Flib%2Fx%20y");
}

/* Labels with what separates in a URI come back as they were. */
static void
test_round_trip (void)
{
  static const char *const labels[] = { "a;b", "a&b=c", "100%", "Gr\xc3\xbc\xc3\x9f", "?x#y" };

  for (gsize i = 0; i < G_N_ELEMENTS (labels); i++)
    {
      g_autofree char *text = uri_for_object (labels[i], labels[i], NULL, "private", NULL);
      P11KitUri *uri = p11_kit_uri_new ();
      CK_TOKEN_INFO info = { 0 };
      CK_ATTRIBUTE *label;

      g_assert_cmpint (p11_kit_uri_parse (text, P11_KIT_URI_FOR_ANY, uri), ==, P11_KIT_URI_OK);
      memset (info.label, ' ', sizeof info.label);
      memcpy (info.label, labels[i], strlen (labels[i]));
      g_assert_cmpint (p11_kit_uri_match_token_info (uri, &info), ==, 1);
      label = p11_kit_uri_get_attribute (uri, CKA_LABEL);
      g_assert_cmpmem (label->pValue, label->ulValueLen, labels[i], strlen (labels[i]));
      p11_kit_uri_free (uri);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/uri/forms", test_forms);
  g_test_add_func ("/uri/round-trip", test_round_trip);
  return g_test_run ();
}
