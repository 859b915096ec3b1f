/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* daemon/greengrass/reader.c: what is read of our own files, of edited ones, and of nonsense. */

#include "dbus/error.h"
#include "greengrass/reader.h"

#include <string.h>

static GPtrArray *
read_text (GreengrassFlavour flavour, const char *text)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *references = reader_read (flavour, text, strlen (text), &error);

  g_assert_no_error (error);
  return references;
}

/* NULL: it is not there; `-`: it is missing */
static const char *
find (GPtrArray *references, ReferenceKind kind, const char *name)
{
  for (guint i = 0; i < references->len; i++)
    {
      const Reference *reference = g_ptr_array_index (references, i);

      if (reference->kind == kind && g_str_has_suffix (reference->name, name))
        return reference->value != NULL ? reference->value : "-";
    }
  return NULL;
}

static void
test_own (void)
{
  GreengrassParams params = { .token = (char *)"gr: \"n",
                              .key = (char *)"k #1",
                              .slot = 17,
                              .pin = (char *)"se\"cret \xc3\xbc",
                              .pin_source = (char *)"/var/lib/a b",
                              .unit = (char *)"pump.service",
                              .store_dir = (char *)"/srv/store",
                              .root_ca_path = (char *)"/etc/root ca.pem" };

  for (GreengrassFlavour flavour = GREENGRASS_V1; flavour <= GREENGRASS_P11_KIT; flavour++)
    {
      g_autofree char *text = greengrass_render (flavour, &params, NULL);
      g_autoptr (GPtrArray) references = read_text (flavour, text);

      for (guint i = 0; i < references->len; i++)
        g_assert_nonnull (((Reference *)g_ptr_array_index (references, i))->value);
      if (flavour == GREENGRASS_V1)
        {
          g_assert_cmpstr (find (references, REFERENCE_TOKEN, "slotLabel"), ==, "gr: \"n");
          g_assert_cmpstr (find (references, REFERENCE_FILE, "caPath"), ==, "/etc/root ca.pem");
          g_assert_nonnull (find (references, REFERENCE_FILE, "IoTCertificate/certificatePath"));
        }
      if (flavour == GREENGRASS_V2)
        g_assert_cmpstr (find (references, REFERENCE_SLOT, "slot"), ==, "17");
      if (flavour <= GREENGRASS_V2)
        g_assert_cmpstr (find (references, REFERENCE_PIN, "Pin"), ==, "se\"cret \xc3\xbc");
      if (flavour == GREENGRASS_LITE)
        g_assert_cmpstr (find (references, REFERENCE_OBJECT, "privateKeyPath"), ==,
                         "pkcs11:token=gr%3A%20%22n;object=k%20%231;type=private"
                         "?pin-source=%2Fvar%2Flib%2Fa%20b");
      if (flavour >= GREENGRASS_DROP_IN)
        g_assert_cmpstr (find (references, REFERENCE_DIR, "STORE"), ==, "/srv/store");
      if (flavour == GREENGRASS_P11_KIT)
        g_assert_true (g_str_has_suffix (find (references, REFERENCE_FILE, "remote"), ".so"));
    }
}

/* What people make of it: other sections, a file in the place of an object, something left out. */
static void
test_edited (void)
{
  g_autoptr (GPtrArray) references =
      read_text (GREENGRASS_V2, "# mine\nother: [a, {b: c}, [d]]\nalias: &x {y: z}\nagain: *x\n"
                                "system:\n  privateKeyPath: /etc/key.pem\n  rootCaPath: '/ca'\n"
                                "services:\n  aws.greengrass.crypto.Pkcs11Provider:\n"
                                "    configuration: {slot: 3}\n");

  g_assert_cmpstr (find (references, REFERENCE_FILE, "privateKeyPath"), ==, "/etc/key.pem");
  g_assert_cmpstr (find (references, REFERENCE_FILE, "rootCaPath"), ==, "/ca");
  g_assert_cmpstr (find (references, REFERENCE_SLOT, "slot"), ==, "3");
  g_assert_cmpstr (find (references, REFERENCE_PIN, "userPin"), ==, "-");
  g_assert_cmpstr (find (references, REFERENCE_OBJECT, "certificateFilePath"), ==, "-");
}

static void
test_nonsense (void)
{
  static const struct
  {
    GreengrassFlavour flavour;
    const char *text;
  } rows[] = {
    { GREENGRASS_V1, "" },
    { GREENGRASS_V1, "{" },
    { GREENGRASS_V1, "[1]" },
    { GREENGRASS_V1, "{} {}" },
    { GREENGRASS_V2, "" },
    { GREENGRASS_V2, "a: [" },
    { GREENGRASS_V2, "- a\n- b\n" },
    { GREENGRASS_V2, "? [a]\n: b\n" },
    { GREENGRASS_LITE, "a: b\n---\nc: d\n" },
    { GREENGRASS_LITE, "a: \xff\n" },
  };
  g_autoptr (GString) deep = g_string_new (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (reader_read (rows[i].flavour, rows[i].text, strlen (rows[i].text), &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
    }
  for (guint i = 0; i < 100000; i++)
    g_string_append (deep, "{a: ");
  for (GreengrassFlavour flavour = GREENGRASS_V1; flavour <= GREENGRASS_LITE; flavour++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (reader_read (flavour, deep->str, deep->len, &error));
      g_assert_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/reader/own", test_own);
  g_test_add_func ("/reader/edited", test_edited);
  g_test_add_func ("/reader/nonsense", test_nonsense);
  return g_test_run ();
}
