/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "broker/resource-manager.h"
#include "fake-tpm.h"
#include "rm-check.h"

#include <string.h>

/*
 * The resource manager over a TPM without cryptography. The input is a row of records: a byte that says which of three
 * connections, or what else happens; a size of two bytes; a command. After each the tables must be right.
 */

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define N_SPACES 3

typedef struct
{
  FakeTpm *tpm;
  ResourceManager *rm;
  Space *spaces[N_SPACES];
  guint8 response[COMMAND_MAX_SIZE];
} World;

static const ResourceManagerLimits limits = {
  .max_objects = 10,
  .max_sessions = 4,
  .max_abandoned_sessions = 2,
  .max_objects_per_uid = 20,
  .max_sessions_per_uid = 6,
};

static void
check (const World *world)
{
  g_autofree char *wrong = rm_check (world->rm);

  if (wrong != NULL)
    g_error ("%s", wrong);
}

static void
open_space (World *world, guint i)
{
  world->spaces[i] = resource_manager_open_space (world->rm, i, i == 0, FALSE);
}

static void
send_command (World *world, guint who, const uint8_t *data, gsize size)
{
  guint8 command[COMMAND_MAX_SIZE];
  gsize n = CLAMP (size, COMMAND_HEADER_SIZE, sizeof command);

  memset (command, 0, n);
  memcpy (command, data, MIN (size, n));
  /* what the framing guarantees */
  put_be32 (command + 2, (guint32)n);
  n = resource_manager_process (world->rm, world->spaces[who], 0, command, n, world->response);
  g_assert (command_response_is_valid (world->response, n));
}

static void
do_other (World *world, guint what, guint who)
{
  gboolean was_reset;

  switch (what)
    {
    case 0:
      resource_manager_close_space (world->rm, world->spaces[who]);
      open_space (world, who);
      break;
    case 1:
      resource_manager_sweep (world->rm);
      break;
    case 2:
      resource_manager_idle_step (world->rm);
      break;
    case 3:
      fake_tpm_reset (world->tpm);
      break;
    case 4:
      fake_tpm_fail (world->tpm, who + 1, TRUE, FALSE, TSS2_TCTI_RC_IO_ERROR);
      break;
    case 5:
      fake_tpm_fail (world->tpm, who + 1, TRUE, TRUE, TSS2_TCTI_RC_IO_ERROR);
      break;
    case 6:
      fake_tpm_fail (world->tpm, who + 1, FALSE, FALSE, TPM2_RC_OBJECT_MEMORY);
      break;
    default:
      resource_manager_start (world->rm, &was_reset);
      break;
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  World world = { .tpm = fake_tpm_new (3, 3, 8) };
  ChipBelow chip = fake_tpm_get_chip (world.tpm);
  gboolean was_reset;

  world.rm = resource_manager_new (&limits, &chip);
  resource_manager_start (world.rm, &was_reset);
  for (guint i = 0; i < N_SPACES; i++)
    open_space (&world, i);
  while (size >= 3)
    {
      guint who = data[0] % N_SPACES;
      gsize n = MIN ((gsize)get_be16 (data + 1) % 512, size - 3);

      if ((data[0] & 0x80) != 0)
        do_other (&world, (data[0] >> 4) & 7, who);
      else
        send_command (&world, who, data + 3, n);
      check (&world);
      data += 3 + n;
      size -= 3 + n;
    }
  for (guint i = 0; i < N_SPACES; i++)
    resource_manager_close_space (world.rm, world.spaces[i]);
  resource_manager_free (world.rm);
  fake_tpm_free (world.tpm);
  return 0;
}
