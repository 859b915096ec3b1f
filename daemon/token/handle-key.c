/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "handle-key.h"

#include "common/atomic-file.h"
#include "dbus/error.h"
#include "token/primary.h"
#include "token/protocol.h"
#include "tpm/rc.h"

#include <string.h>

#define FILE_NAME    "handles.conf"
#define KEY_NAME     "Name"
#define UNIQUE_BYTES 32
#define FIRST_HANDLE 0x81000000u
#define LAST_HANDLE  0x81ffffffu

static const TPM2B_PUBLIC template = {
  .publicArea = {
    .type = TPM2_ALG_ECC,
    .nameAlg = TPM2_ALG_SHA256,
    .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                        TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                        TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT,
    .parameters.eccDetail = {
      .symmetric.algorithm = TPM2_ALG_NULL,
      .scheme.scheme = TPM2_ALG_NULL,
      .curveID = TPM2_ECC_NIST_P256,
      .kdf.scheme = TPM2_ALG_NULL,
    },
  },
};

/* ---- which there are ---- */

static GKeyFile *
load (const char *state_dir, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, FILE_NAME, NULL);
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local_error = NULL;

  if (g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &local_error) ||
      g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    return g_steal_pointer (&file);
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "%s: %s", path, local_error->message);
  return NULL;
}

static gboolean
save (GKeyFile *file, const char *state_dir, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, FILE_NAME, NULL);
  gsize len = 0;
  g_autofree char *text = g_key_file_to_data (file, &len, NULL);
  g_autoptr (GError) local_error = NULL;

  if (atomic_file_write (path, text, len, 0600, (gid_t)-1, &local_error))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_STORE, "which persistent keys are ours: %s",
               local_error->message);
  return FALSE;
}

static char *
make_group (guint32 handle)
{
  return g_strdup_printf ("0x%08x", handle);
}

gboolean
handle_key_parse (const char *text, guint32 *out_handle)
{
  guint64 handle = 0;

  if (strlen (text) != strlen ("0x81008001") || !g_str_has_prefix (text, "0x81") ||
      !g_ascii_string_to_unsigned (text + 2, 16, FIRST_HANDLE, LAST_HANDLE, &handle, NULL))
    return FALSE;
  *out_handle = (guint32)handle;
  return TRUE;
}

static int
compare_handles (gconstpointer a, gconstpointer b)
{
  const guint32 *left = a;
  const guint32 *right = b;

  return *left < *right ? -1 : *left > *right;
}

GArray *
handle_key_list (const char *state_dir, GError **error)
{
  g_autoptr (GKeyFile) file = load (state_dir, error);
  g_autoptr (GArray) handles = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_auto (GStrv) groups = NULL;

  if (file == NULL)
    return NULL;
  groups = g_key_file_get_groups (file, NULL);
  for (gsize i = 0; groups[i] != NULL; i++)
    {
      guint32 handle = 0;

      if (handle_key_parse (groups[i], &handle))
        g_array_append_val (handles, handle);
    }
  g_array_sort (handles, compare_handles);
  return g_steal_pointer (&handles);
}

/* ---- the chip ---- */

gboolean
handle_key_exists (Tpm *tpm, guint32 handle, gboolean *out_exists, GError **error)
{
  ESYS_CONTEXT *esys = tpm_get_esys (tpm, error);
  g_autoptr (TPMS_CAPABILITY_DATA) data = NULL;
  TPMI_YES_NO more;

  if (esys == NULL || !rc_check (Esys_GetCapability (esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                                     TPM2_CAP_HANDLES, handle, 1, &more, &data),
                                 "listing persistent objects", error))
    return FALSE;
  *out_exists = data->data.handles.count > 0 && data->data.handles.handle[0] == handle;
  return TRUE;
}

static gboolean
find_free (Tpm *tpm, guint32 *out_handle, GError **error)
{
  for (guint32 handle = HANDLE_KEY_FIRST; handle <= HANDLE_KEY_LAST; handle++)
    {
      gboolean exists = FALSE;

      if (!handle_key_exists (tpm, handle, &exists, error))
        return FALSE;
      if (!exists)
        {
          *out_handle = handle;
          return TRUE;
        }
    }
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NO_RESOURCES,
               "every handle from 0x%08x to 0x%08x has an object: remove one that is not needed",
               HANDLE_KEY_FIRST, HANDLE_KEY_LAST);
  return FALSE;
}

/* Each is another key: what is random in the template goes into its derivation. */
static TpmHandle *
make_key (Tpm *tpm, const char *state_dir, GError **error)
{
  TPM2B_PUBLIC public_area = template;
  TPM2B_ECC_PARAMETER *x = &public_area.publicArea.unique.ecc.x;
  g_autofree guint8 *unique = tpm_get_random (tpm, UNIQUE_BYTES, error);

  if (unique == NULL)
    return NULL;
  x->size = UNIQUE_BYTES;
  memcpy (x->buffer, unique, UNIQUE_BYTES);
  return primary_make_transient (tpm, state_dir, &public_area, error);
}

gboolean
handle_key_create (Tpm *tpm, const char *state_dir, guint32 *out_handle, GError **error)
{
  g_autoptr (GKeyFile) file = load (state_dir, error);
  g_autoptr (TpmHandle) transient = file != NULL ? make_key (tpm, state_dir, error) : NULL;
  g_autoptr (TPM2B_NAME) name = transient != NULL ? primary_get_name (transient, error) : NULL;
  g_autoptr (TpmHandle) persistent = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autofree char *text = NULL;
  g_autofree char *group = NULL;
  guint32 handle = 0;

  if (name == NULL || !find_free (tpm, &handle, error))
    return FALSE;
  bytes = g_bytes_new (name->name, name->size);
  text = protocol_encode_bytes (bytes);
  group = make_group (handle);
  g_key_file_set_string (file, group, KEY_NAME, text);
  if (!save (file, state_dir, error))
    return FALSE;
  persistent = primary_make_persistent (tpm, transient, handle, error);
  if (persistent == NULL)
    return FALSE;
  *out_handle = handle;
  return TRUE;
}

gboolean
handle_key_remove (Tpm *tpm, const char *state_dir, guint32 handle, GError **error)
{
  g_autoptr (GKeyFile) file = load (state_dir, error);
  g_autofree char *group = make_group (handle);
  g_autofree char *text = NULL;
  g_autoptr (GBytes) name = NULL;
  gboolean evicted = FALSE;

  if (file == NULL)
    return FALSE;
  text = g_key_file_get_string (file, group, KEY_NAME, NULL);
  name = text != NULL ? protocol_decode_bytes (text) : NULL;
  if (name == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND,
                   "there is no key at %s that ggtpmd has made", group);
      return FALSE;
    }
  if (!primary_evict (tpm, state_dir, handle, name, &evicted, error))
    return FALSE;
  g_key_file_remove_group (file, group, NULL);
  return save (file, state_dir, error);
}
