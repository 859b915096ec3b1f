/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "pkcs11.h"

#include "common/store-access.h"
#include "dbus/error.h"

#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <string.h>
#include <sys/stat.h>

/* Objects asked for at once, and more than that in further calls. */
#define FIND_BATCH 64

/* When there are more, the oldest one ends. */
#define MAX_TICKETS 64

typedef struct
{
  CK_SLOT_ID slot;
  CK_SESSION_HANDLE handle;
  gboolean logged_in;
  guint8 pin_mac[SHA256_DIGEST_LENGTH]; /* while logged_in */
} Session;

typedef struct
{
  guint64 number;
  CK_SESSION_HANDLE session;
  CK_OBJECT_HANDLE object;
} Ticket;

struct _Pkcs11
{
  CK_FUNCTION_LIST *functions;
  gboolean initialised;
  GArray *sessions; /* of Session */
  GArray *tickets;  /* of Ticket */
  guint64 last_ticket;
  char *database;
  struct stat read_at; /* of the database, when it was read */
  guint8 mac_key[SHA256_DIGEST_LENGTH];
};

static const struct
{
  CK_RV rv;
  const char *name;
  GgtpmError code;
  const char *meaning;
} codes[] = {
  { CKR_PIN_INCORRECT, "CKR_PIN_INCORRECT", GGTPM_ERROR_AUTH_FAILED, "the PIN is wrong" },
  { CKR_PIN_INVALID, "CKR_PIN_INVALID", GGTPM_ERROR_INVALID_ARGS, "not allowed as a PIN" },
  { CKR_PIN_LEN_RANGE, "CKR_PIN_LEN_RANGE", GGTPM_ERROR_INVALID_ARGS,
    "the PIN is too long or too short" },
  { CKR_PIN_LOCKED, "CKR_PIN_LOCKED", GGTPM_ERROR_LOCKED_OUT,
    "the chip refuses authorisations after too many wrong ones" },
  { CKR_USER_PIN_NOT_INITIALIZED, "CKR_USER_PIN_NOT_INITIALIZED", GGTPM_ERROR_NOT_PROVISIONED,
    "the token has no user PIN yet" },
  { CKR_USER_NOT_LOGGED_IN, "CKR_USER_NOT_LOGGED_IN", GGTPM_ERROR_AUTH_REQUIRED,
    "this needs a login" },
  { CKR_HOST_MEMORY, "CKR_HOST_MEMORY", GGTPM_ERROR_NO_RESOURCES, "out of memory" },
  { CKR_DEVICE_MEMORY, "CKR_DEVICE_MEMORY", GGTPM_ERROR_NO_RESOURCES,
    "the chip has no room left for objects or sessions" },
  { CKR_SESSION_COUNT, "CKR_SESSION_COUNT", GGTPM_ERROR_NO_RESOURCES, "too many sessions" },
  { CKR_DEVICE_ERROR, "CKR_DEVICE_ERROR", GGTPM_ERROR_TPM_FAILURE, "the chip reports an error" },
  { CKR_DEVICE_REMOVED, "CKR_DEVICE_REMOVED", GGTPM_ERROR_UNAVAILABLE, "the chip is gone" },
  { CKR_TOKEN_NOT_PRESENT, "CKR_TOKEN_NOT_PRESENT", GGTPM_ERROR_UNAVAILABLE,
    "there is no token in this slot" },
  { CKR_MECHANISM_INVALID, "CKR_MECHANISM_INVALID", GGTPM_ERROR_NOT_SUPPORTED,
    "the chip or this key cannot do that" },
  { CKR_MECHANISM_PARAM_INVALID, "CKR_MECHANISM_PARAM_INVALID", GGTPM_ERROR_NOT_SUPPORTED,
    "the chip cannot do that with these parameters" },
  { CKR_FUNCTION_NOT_SUPPORTED, "CKR_FUNCTION_NOT_SUPPORTED", GGTPM_ERROR_NOT_SUPPORTED,
    "the library cannot do that" },
  { CKR_KEY_TYPE_INCONSISTENT, "CKR_KEY_TYPE_INCONSISTENT", GGTPM_ERROR_INVALID_ARGS,
    "the key is of another type" },
  { CKR_DATA_LEN_RANGE, "CKR_DATA_LEN_RANGE", GGTPM_ERROR_INVALID_ARGS,
    "the data have the wrong length" },
  { CKR_FUNCTION_FAILED, "CKR_FUNCTION_FAILED", GGTPM_ERROR_FAILED, "no reason given" },
  { CKR_GENERAL_ERROR, "CKR_GENERAL_ERROR", GGTPM_ERROR_FAILED, "no reason given" },
};

gboolean
pkcs11_check (CK_RV rv, const char *what, GError **error)
{
  if (rv == CKR_OK)
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (codes); i++)
    if (codes[i].rv == rv)
      {
        g_set_error (error, GGTPM_ERROR, (gint)codes[i].code, "%s: %s (%s)", what, codes[i].meaning,
                     codes[i].name);
        return FALSE;
      }
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "%s: PKCS#11 error 0x%08lx", what, rv);
  return FALSE;
}

/* ---- the module ---- */

static char *
make_database_path (void)
{
  const char *store = g_getenv ("TPM2_PKCS11_STORE");

  return g_build_filename (store != NULL ? store : "", STORE_DATABASE_NAME, NULL);
}

Pkcs11 *
pkcs11_new (const char *path, GError **error)
{
  g_autoptr (Pkcs11) self = g_new0 (Pkcs11, 1);
  CK_C_GetFunctionList get_functions = NULL;
  void *module;

  self->sessions = g_array_new (FALSE, TRUE, sizeof (Session));
  self->tickets = g_array_new (FALSE, TRUE, sizeof (Ticket));
  self->database = make_database_path ();
  if (RAND_bytes (self->mac_key, sizeof self->mac_key) != 1)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "no random numbers");
      return NULL;
    }
  /* Never closed: the module has threads' keys and handlers registered, and the process ends with it. */
  module = dlopen (path, RTLD_NOW | RTLD_LOCAL);
  if (module != NULL)
    *(void **)&get_functions = dlsym (module, "C_GetFunctionList");
  if (get_functions == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED,
                   "cannot load the PKCS#11 module (package libtpm2-pkcs11-1): %s", dlerror ());
      return NULL;
    }
  if (!pkcs11_check (get_functions (&self->functions), "C_GetFunctionList", error))
    return NULL;
  return g_steal_pointer (&self);
}

void
pkcs11_close (Pkcs11 *self)
{
  if (!self->initialised)
    return;
  for (guint i = 0; i < self->sessions->len; i++)
    self->functions->C_CloseSession (g_array_index (self->sessions, Session, i).handle);
  g_array_set_size (self->sessions, 0);
  g_array_set_size (self->tickets, 0);
  self->functions->C_Finalize (NULL);
  self->initialised = FALSE;
}

void
pkcs11_free (Pkcs11 *self)
{
  if (self == NULL)
    return;
  pkcs11_close (self);
  secret_wipe (self->mac_key, sizeof self->mac_key);
  g_array_unref (self->sessions);
  g_array_unref (self->tickets);
  g_free (self->database);
  g_free (self);
}

gboolean
pkcs11_check_last (Pkcs11 *self, CK_RV rv, const char *what, GError **error)
{
  if (pkcs11_check (rv, what, error))
    return TRUE;
  pkcs11_close (self);
  return FALSE;
}

/* All 0 where there is none. */
static void
look_at_database (Pkcs11 *self, struct stat *out_status)
{
  if (stat (self->database, out_status) < 0)
    memset (out_status, 0, sizeof *out_status);
}

CK_FUNCTION_LIST *
pkcs11_get_functions (Pkcs11 *self, GError **error)
{
  /* libtpm2_pkcs11 1.9 that was once initialised without this flag stays without locks for good. */
  CK_C_INITIALIZE_ARGS arguments = { .flags = CKF_OS_LOCKING_OK };

  if (self->initialised)
    return self->functions;
  look_at_database (self, &self->read_at);
  if (!pkcs11_check (self->functions->C_Initialize (&arguments), "opening the token store", error))
    return NULL;
  self->initialised = TRUE;
  return self->functions;
}

/* ---- slots ---- */

char *
pkcs11_trim (const CK_UTF8CHAR *field, gsize len)
{
  g_autofree char *text = NULL;

  while (len > 0 && (field[len - 1] == ' ' || field[len - 1] == '\0'))
    len--;
  text = g_strndup ((const char *)field, len);
  return g_utf8_make_valid (text, -1);
}

/* After C_InitToken the next empty slot of libtpm2_pkcs11 1.9 can have the number of a token: all calls mean that
 * token. */
static gboolean
is_repeated (const GArray *slots, guint index)
{
  for (guint i = 0; i < index; i++)
    if (g_array_index (slots, CK_SLOT_ID, i) == g_array_index (slots, CK_SLOT_ID, index))
      return TRUE;
  return FALSE;
}

GArray *
pkcs11_list_slots (Pkcs11 *self, gboolean initialised, GError **error)
{
  CK_FUNCTION_LIST *functions = pkcs11_get_functions (self, error);
  g_autoptr (GArray) slots = g_array_new (FALSE, TRUE, sizeof (CK_SLOT_ID));
  CK_ULONG n = 0;

  if (functions == NULL ||
      !pkcs11_check (functions->C_GetSlotList (CK_TRUE, NULL, &n), "listing slots", error))
    return NULL;
  g_array_set_size (slots, (guint)n);
  if (!pkcs11_check (functions->C_GetSlotList (CK_TRUE, (CK_SLOT_ID *)(void *)slots->data, &n),
                     "listing slots", error))
    return NULL;
  g_array_set_size (slots, (guint)n);

  for (guint i = slots->len; i > 0; i--)
    {
      CK_TOKEN_INFO info;

      if (!pkcs11_check (
              functions->C_GetTokenInfo (g_array_index (slots, CK_SLOT_ID, i - 1), &info),
              "reading a slot", error))
        return NULL;
      if (((info.flags & CKF_TOKEN_INITIALIZED) != 0) != initialised || is_repeated (slots, i - 1))
        g_array_remove_index (slots, i - 1);
    }
  return g_steal_pointer (&slots);
}

gboolean
pkcs11_find_slot (Pkcs11 *self, const char *token, CK_SLOT_ID *out_slot, GError **error)
{
  g_autoptr (GArray) slots = pkcs11_list_slots (self, TRUE, error);

  if (slots == NULL)
    return FALSE;
  for (guint i = 0; i < slots->len; i++)
    {
      CK_SLOT_ID slot = g_array_index (slots, CK_SLOT_ID, i);
      CK_TOKEN_INFO info;
      g_autofree char *label = NULL;

      if (!pkcs11_check (self->functions->C_GetTokenInfo (slot, &info), "reading a slot", error))
        return FALSE;
      label = pkcs11_trim (info.label, sizeof info.label);
      if (strcmp (label, token) == 0)
        {
          *out_slot = slot;
          return TRUE;
        }
    }
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND, "there is no token '%s'", token);
  return FALSE;
}

/* ---- sessions ---- */

static Session *
open_session (Pkcs11 *self, CK_SLOT_ID slot, GError **error)
{
  Session session = { .slot = slot };

  for (guint i = 0; i < self->sessions->len; i++)
    if (g_array_index (self->sessions, Session, i).slot == slot)
      return &g_array_index (self->sessions, Session, i);

  if (!pkcs11_check (self->functions->C_OpenSession (slot, CKF_SERIAL_SESSION | CKF_RW_SESSION,
                                                     NULL, NULL, &session.handle),
                     "opening a session", error))
    return NULL;
  g_array_append_val (self->sessions, session);
  return &g_array_index (self->sessions, Session, self->sessions->len - 1);
}

gboolean
pkcs11_open (Pkcs11 *self, CK_SLOT_ID slot, CK_SESSION_HANDLE *out_session, GError **error)
{
  Session *session = open_session (self, slot, error);

  if (session == NULL)
    return FALSE;
  *out_session = session->handle;
  return TRUE;
}

CK_UTF8CHAR *
pkcs11_pin (const Secret *pin)
{
  return (CK_UTF8CHAR *)secret_peek (pin);
}

static void
hash_pin (Pkcs11 *self, const Secret *pin, guint8 *out_mac)
{
  unsigned int len = SHA256_DIGEST_LENGTH;

  HMAC (EVP_sha256 (), self->mac_key, sizeof self->mac_key, pkcs11_pin (pin),
        secret_get_length (pin), out_mac, &len);
}

static void
end_tickets (Pkcs11 *self, CK_SESSION_HANDLE session)
{
  for (guint i = self->tickets->len; i > 0; i--)
    if (g_array_index (self->tickets, Ticket, i - 1).session == session)
      g_array_remove_index (self->tickets, i - 1);
}

static gboolean
log_user_in (Pkcs11 *self, Session *session, const Secret *pin, GError **error)
{
  guint8 mac[SHA256_DIGEST_LENGTH] = { 0 };
  CK_RV rv;

  hash_pin (self, pin, mac);
  if (session->logged_in && CRYPTO_memcmp (mac, session->pin_mac, sizeof mac) == 0)
    return TRUE;
  if (session->logged_in)
    self->functions->C_Logout (session->handle);
  session->logged_in = FALSE;
  end_tickets (self, session->handle);

  rv = self->functions->C_Login (session->handle, CKU_USER, pkcs11_pin (pin),
                                 secret_get_length (pin));
  if (!pkcs11_check (rv, "logging in to the token", error))
    return FALSE;
  session->logged_in = TRUE;
  memcpy (session->pin_mac, mac, sizeof mac);
  return TRUE;
}

gboolean
pkcs11_login (Pkcs11 *self,
              const char *token,
              const Secret *pin,
              CK_SESSION_HANDLE *out_session,
              GError **error)
{
  CK_SLOT_ID slot = 0;
  Session *session;

  if (!pkcs11_find_slot (self, token, &slot, error))
    return FALSE;
  session = open_session (self, slot, error);
  if (session == NULL || !log_user_in (self, session, pin, error))
    return FALSE;
  *out_session = session->handle;
  return TRUE;
}

/* ---- tickets ---- */

guint64
pkcs11_issue_ticket (Pkcs11 *self, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
  Ticket made = { self->last_ticket + 1, session, object };

  for (guint i = 0; i < self->tickets->len; i++)
    {
      const Ticket *ticket = &g_array_index (self->tickets, Ticket, i);

      if (ticket->session == session && ticket->object == object)
        return ticket->number;
    }
  if (self->tickets->len == MAX_TICKETS)
    g_array_remove_index (self->tickets, 0);
  g_array_append_val (self->tickets, made);
  self->last_ticket = made.number;
  return made.number;
}

/* Not what has been read, which says as much as the daemon's store_get_stamp(). */
static gboolean
has_changed (Pkcs11 *self)
{
  const struct stat *old = &self->read_at;
  struct stat now;

  look_at_database (self, &now);
  return now.st_ino != old->st_ino || now.st_size != old->st_size ||
         now.st_mtim.tv_sec != old->st_mtim.tv_sec || now.st_mtim.tv_nsec != old->st_mtim.tv_nsec;
}

gboolean
pkcs11_redeem_ticket (Pkcs11 *self,
                      guint64 number,
                      CK_SESSION_HANDLE *out_session,
                      CK_OBJECT_HANDLE *out_object,
                      GError **error)
{
  if (self->tickets->len > 0 && has_changed (self))
    g_array_set_size (self->tickets, 0);
  for (guint i = 0; i < self->tickets->len; i++)
    {
      const Ticket *ticket = &g_array_index (self->tickets, Ticket, i);

      if (ticket->number == number)
        {
          *out_session = ticket->session;
          *out_object = ticket->object;
          return TRUE;
        }
    }
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED,
                       "the ticket is not valid: the login has ended, or the store has changed");
  return FALSE;
}

/* ---- objects ---- */

GArray *
pkcs11_find (Pkcs11 *self,
             CK_SESSION_HANDLE session,
             CK_ATTRIBUTE *template,
             CK_ULONG n,
             GError **error)
{
  g_autoptr (GArray) found = g_array_new (FALSE, TRUE, sizeof (CK_OBJECT_HANDLE));
  CK_OBJECT_HANDLE batch[FIND_BATCH];
  CK_ULONG n_batch;
  CK_RV rv;

  if (!pkcs11_check (self->functions->C_FindObjectsInit (session, template, n),
                     "looking for objects", error))
    return NULL;
  do
    {
      n_batch = 0;
      rv = self->functions->C_FindObjects (session, batch, FIND_BATCH, &n_batch);
      if (rv == CKR_OK)
        g_array_append_vals (found, batch, (guint)n_batch);
    }
  while (rv == CKR_OK && n_batch > 0);
  self->functions->C_FindObjectsFinal (session);
  return pkcs11_check (rv, "looking for objects", error) ? g_steal_pointer (&found) : NULL;
}

GBytes *
pkcs11_get_attribute (Pkcs11 *self,
                      CK_SESSION_HANDLE session,
                      CK_OBJECT_HANDLE object,
                      CK_ATTRIBUTE_TYPE type)
{
  CK_ATTRIBUTE attribute = { type, NULL, 0 };
  g_autofree guint8 *value = NULL;

  if (self->functions->C_GetAttributeValue (session, object, &attribute, 1) != CKR_OK ||
      attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION)
    return NULL;
  value = g_malloc (attribute.ulValueLen + 1);
  attribute.pValue = value;
  if (self->functions->C_GetAttributeValue (session, object, &attribute, 1) != CKR_OK)
    return NULL;
  return g_bytes_new_take (g_steal_pointer (&value), attribute.ulValueLen);
}
