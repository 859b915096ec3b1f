/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/* client/eltt2.c against golden texts, and client/capability.c. */

#include "client/capability.h"
#include "client/eltt2.h"

typedef struct
{
  guint32 number;
  guint32 value;
} Line;

/* The application note's board. */
static const Line slm9670[] = {
  { 0x100, 0x322e3000 }, { 0x101, 0 },          { 0x102, 138 },
  { 0x103, 8 },          { 0x104, 2018 },       { 0x105, 0x49465800 },
  { 0x106, 0x534c4d39 }, { 0x107, 0x36373000 }, { 0x108, 0 },
  { 0x109, 0 },          { 0x10a, 0 },          { 0x10b, 0x000d000b },
  { 0x10c, 0x0011cb00 }, { 0x118, 0x6 },        { 0, 0 },
};

static const Line well[] = { { 0x200, 0x400 }, { 0x201, 0x8000000f }, { 0, 0 } };

/* Of another vendor, whose firmware words eltt2 decodes as Infineon's; a text that is none. */
static const Line other[] = {
  { 0x100, 0x322e3000 }, { 0x101, 0 },          { 0x102, 164 },
  { 0x103, 75 },         { 0x104, 2021 },       { 0x105, 0x49424d00 },
  { 0x106, 0x53572020 }, { 0x107, 0x2054504d }, { 0x108, 0xff1b5b00 },
  { 0x109, 0 },          { 0x10a, 1 },          { 0x10b, 0x20191023 },
  { 0x10c, 0x00163636 }, { 0x118, 0x1 },        { 0, 0 },
};

/* Locked out, with every auth set, after a power cut, with its hierarchies off. */
static const Line ill[] = { { 0x200, 0x707 }, { 0x201, 0 }, { 0, 0 } };

static const Line nothing[] = { { 0, 0 } };

static GVariant *
make_lines (const Line *lines)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(uus)"));
  for (; lines->number != 0; lines++)
    g_variant_builder_add (&builder, "(uus)", lines->number, lines->value, "");
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

static void
check (const Line *fixed_lines, const Line *variable_lines, const char *golden_name)
{
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "eltt2", golden_name, NULL);
  g_autoptr (GVariant) fixed = make_lines (fixed_lines);
  g_autoptr (GVariant) variable = make_lines (variable_lines);
  g_autofree char *text = eltt2_format (fixed, variable);
  g_autofree char *golden = NULL;
  g_autoptr (GError) error = NULL;

  g_file_get_contents (path, &golden, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, golden);
}

static void
test_application_note (void)
{
  check (slm9670, well, "slm9670.txt");
}

static void
test_other_vendor (void)
{
  check (other, ill, "other.txt");
}

/* What the chip does not tell has no line; nothing is made up. */
static void
test_nothing (void)
{
  check (nothing, nothing, "nothing.txt");
}

static void
test_explain (void)
{
  static const struct
  {
    const char *group;
    guint32 number;
    guint32 value;
    const char *text;
  } rows[] = {
    { "variable", 0x200, 0x707,
      "ownerAuthSet, endorsementAuthSet, lockoutAuthSet, disableClear, "
      "inLockout, tpmGeneratedEPS" },
    { "variable", 0x200, 0, "" },
    { "variable", 0x201, 0x80000002, "shEnable, orderly" },
    { "variable", 0x20e, 7, "7" },
    { "fixed", 0x118, 6, "sharedNV, objectCopiedToRam" },
    { "fixed", 0x12d, 1, "FIPS_140_2" },
    { "algorithms", 0x01, 0x009, "asymmetric, object" },
    { "algorithms", 0x08, 0x30c, "hash, object, signing, encrypting" },
    { "commands", 0x12b, 0x0240012b, "nv" },
    { "commands", 0x20000001, 0x20000001, "V" },
    { "pcr-banks", 0x0b, 0x00ffffff, "0-23" },
    { "pcr-banks", 0x04, 0, "none" },
    { "pcr-properties", 1, 0x0081ffff, "0-16, 23" },
    { "pcr-properties", 1, 0x80000001, "0, 31" },
    { "vendor", 0x80000003, 64, "64" },
    { "handles", 0x81000001, 0, "" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *text = capability_explain (rows[i].group, rows[i].number, rows[i].value);

      g_assert_cmpstr (text, ==, rows[i].text);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/eltt2/application-note", test_application_note);
  g_test_add_func ("/eltt2/other-vendor", test_other_vendor);
  g_test_add_func ("/eltt2/nothing", test_nothing);
  g_test_add_func ("/eltt2/explain", test_explain);
  return g_test_run ();
}
