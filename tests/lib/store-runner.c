/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "token/store.h"

#include <string.h>

/*
 * One change of a token store, for a test that kills it at every point: `store-runner STATE-DIRECTORY good|bad` sets
 * pss-sigs-good of the token `greengrass`. With `check` in its place it only starts, as the daemon would.
 */
int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Store) store = NULL;
  g_autoptr (StoreChange) change = NULL;
  Config config = { 0 };

  if (argc != 3)
    return 2;
  config.state_dir = argv[1];
  store = store_new (&config, &error);
  if (store != NULL && strcmp (argv[2], "check") == 0)
    return 0;
  change = store != NULL ? store_change_new (store, &error) : NULL;
  if (change != NULL &&
      store_change_set_pss_sigs_good (change, "greengrass", strcmp (argv[2], "good") == 0,
                                      &error) &&
      store_change_commit (change, &error))
    return 0;
  g_printerr ("%s\n", error->message);
  return 1;
}
