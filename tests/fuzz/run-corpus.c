/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include <glib.h>

#include <stdint.h>
#include <string.h>

/* A fuzz target as a plain test: each file of the corpus, and mutations of it from a fixed seed. */

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define N_MUTATIONS 300

static void
mutate (GRand *rand, guint8 *data, gsize size)
{
  for (gint n = g_rand_int_range (rand, 1, 8); n > 0 && size > 0; n--)
    {
      gsize at = (gsize)g_rand_int_range (rand, 0, (gint32)size);

      switch (g_rand_int_range (rand, 0, 3))
        {
        case 0:
          data[at] = (guint8)g_rand_int (rand);
          break;
        case 1:
          data[at] ^= (guint8)(1u << g_rand_int_range (rand, 0, 8));
          break;
        default:
          memmove (data + at, data + at + 1, size - at - 1);
          break;
        }
    }
}

static void
test_file (gconstpointer data)
{
  const char *path = data;
  g_autofree char *contents = NULL;
  g_autoptr (GError) error = NULL;
  GRand *rand = g_rand_new_with_seed (1);
  gsize size;

  g_file_get_contents (path, &contents, &size, &error);
  g_assert_no_error (error);
  LLVMFuzzerTestOneInput ((const uint8_t *)contents, size);
  for (guint i = 0; i < N_MUTATIONS; i++)
    {
      g_autofree guint8 *copy = g_memdup2 (contents, size);

      mutate (rand, copy, size);
      LLVMFuzzerTestOneInput (copy, size);
    }
  g_rand_free (rand);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (int i = 1; i < argc; i++)
    {
      g_autofree char *base = g_path_get_basename (argv[i]);
      g_autofree char *name = g_strdup_printf ("/corpus/%s", base);

      g_test_add_data_func (name, argv[i], test_file);
    }
  return g_test_run ();
}
