/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "names.h"

#include "dbus/error.h"

/* The tables are those of TPM 2.0 Library Part 2: 6.13 (properties), 6.3 (algorithms), 6.4 (curves), 6.5.2 (commands),
 * 6.14 (properties of PCRs). The names are the specification's; algorithms and curves as tpm2-tools writes them. */

typedef struct
{
  guint32 number;
  const char *name;
} Row;

#define PROPERTY(word)                                                                             \
  {                                                                                                \
    TPM2_PT_##word, "TPM_PT_" #word                                                                \
  }
#define COMMAND(word)                                                                              \
  {                                                                                                \
    TPM2_CC_##word, "TPM2_" #word                                                                  \
  }

static const Row properties[] = {
  PROPERTY (FAMILY_INDICATOR),
  PROPERTY (LEVEL),
  PROPERTY (REVISION),
  PROPERTY (DAY_OF_YEAR),
  PROPERTY (YEAR),
  PROPERTY (MANUFACTURER),
  PROPERTY (VENDOR_STRING_1),
  PROPERTY (VENDOR_STRING_2),
  PROPERTY (VENDOR_STRING_3),
  PROPERTY (VENDOR_STRING_4),
  PROPERTY (VENDOR_TPM_TYPE),
  PROPERTY (FIRMWARE_VERSION_1),
  PROPERTY (FIRMWARE_VERSION_2),
  PROPERTY (INPUT_BUFFER),
  PROPERTY (HR_TRANSIENT_MIN),
  PROPERTY (HR_PERSISTENT_MIN),
  PROPERTY (HR_LOADED_MIN),
  PROPERTY (ACTIVE_SESSIONS_MAX),
  PROPERTY (PCR_COUNT),
  PROPERTY (PCR_SELECT_MIN),
  PROPERTY (CONTEXT_GAP_MAX),
  PROPERTY (NV_COUNTERS_MAX),
  PROPERTY (NV_INDEX_MAX),
  PROPERTY (MEMORY),
  PROPERTY (CLOCK_UPDATE),
  PROPERTY (CONTEXT_HASH),
  PROPERTY (CONTEXT_SYM),
  PROPERTY (CONTEXT_SYM_SIZE),
  PROPERTY (ORDERLY_COUNT),
  PROPERTY (MAX_COMMAND_SIZE),
  PROPERTY (MAX_RESPONSE_SIZE),
  PROPERTY (MAX_DIGEST),
  PROPERTY (MAX_OBJECT_CONTEXT),
  PROPERTY (MAX_SESSION_CONTEXT),
  PROPERTY (PS_FAMILY_INDICATOR),
  PROPERTY (PS_LEVEL),
  PROPERTY (PS_REVISION),
  PROPERTY (PS_DAY_OF_YEAR),
  PROPERTY (PS_YEAR),
  PROPERTY (SPLIT_MAX),
  PROPERTY (TOTAL_COMMANDS),
  PROPERTY (LIBRARY_COMMANDS),
  PROPERTY (VENDOR_COMMANDS),
  PROPERTY (NV_BUFFER_MAX),
  PROPERTY (MODES),
  PROPERTY (MAX_CAP_BUFFER),
  PROPERTY (PERMANENT),
  PROPERTY (STARTUP_CLEAR),
  PROPERTY (HR_NV_INDEX),
  PROPERTY (HR_LOADED),
  PROPERTY (HR_LOADED_AVAIL),
  PROPERTY (HR_ACTIVE),
  PROPERTY (HR_ACTIVE_AVAIL),
  PROPERTY (HR_TRANSIENT_AVAIL),
  PROPERTY (HR_PERSISTENT),
  PROPERTY (HR_PERSISTENT_AVAIL),
  PROPERTY (NV_COUNTERS),
  PROPERTY (NV_COUNTERS_AVAIL),
  PROPERTY (ALGORITHM_SET),
  PROPERTY (LOADED_CURVES),
  PROPERTY (LOCKOUT_COUNTER),
  PROPERTY (MAX_AUTH_FAIL),
  PROPERTY (LOCKOUT_INTERVAL),
  PROPERTY (LOCKOUT_RECOVERY),
  PROPERTY (NV_WRITE_RECOVERY),
  PROPERTY (AUDIT_COUNTER_0),
  PROPERTY (AUDIT_COUNTER_1),
};

static const Row pcr_properties[] = {
  PROPERTY (PCR_SAVE),       PROPERTY (PCR_EXTEND_L0), PROPERTY (PCR_RESET_L0),
  PROPERTY (PCR_EXTEND_L1),  PROPERTY (PCR_RESET_L1),  PROPERTY (PCR_EXTEND_L2),
  PROPERTY (PCR_RESET_L2),   PROPERTY (PCR_EXTEND_L3), PROPERTY (PCR_RESET_L3),
  PROPERTY (PCR_EXTEND_L4),  PROPERTY (PCR_RESET_L4),  PROPERTY (PCR_NO_INCREMENT),
  PROPERTY (PCR_DRTM_RESET), PROPERTY (PCR_POLICY),    PROPERTY (PCR_AUTH),
};

static const Row algorithms[] = {
  { TPM2_ALG_RSA, "rsa" },
  { TPM2_ALG_TDES, "tdes" },
  { TPM2_ALG_SHA1, "sha1" },
  { TPM2_ALG_HMAC, "hmac" },
  { TPM2_ALG_AES, "aes" },
  { TPM2_ALG_MGF1, "mgf1" },
  { TPM2_ALG_KEYEDHASH, "keyedhash" },
  { TPM2_ALG_XOR, "xor" },
  { TPM2_ALG_SHA256, "sha256" },
  { TPM2_ALG_SHA384, "sha384" },
  { TPM2_ALG_SHA512, "sha512" },
  { TPM2_ALG_NULL, "null" },
  { TPM2_ALG_SM3_256, "sm3_256" },
  { TPM2_ALG_SM4, "sm4" },
  { TPM2_ALG_RSASSA, "rsassa" },
  { TPM2_ALG_RSAES, "rsaes" },
  { TPM2_ALG_RSAPSS, "rsapss" },
  { TPM2_ALG_OAEP, "oaep" },
  { TPM2_ALG_ECDSA, "ecdsa" },
  { TPM2_ALG_ECDH, "ecdh" },
  { TPM2_ALG_ECDAA, "ecdaa" },
  { TPM2_ALG_SM2, "sm2" },
  { TPM2_ALG_ECSCHNORR, "ecschnorr" },
  { TPM2_ALG_ECMQV, "ecmqv" },
  { TPM2_ALG_KDF1_SP800_56A, "kdf1_sp800_56a" },
  { TPM2_ALG_KDF2, "kdf2" },
  { TPM2_ALG_KDF1_SP800_108, "kdf1_sp800_108" },
  { TPM2_ALG_ECC, "ecc" },
  { TPM2_ALG_SYMCIPHER, "symcipher" },
  { TPM2_ALG_CAMELLIA, "camellia" },
  { TPM2_ALG_CMAC, "cmac" },
  { TPM2_ALG_CTR, "ctr" },
  { TPM2_ALG_SHA3_256, "sha3_256" },
  { TPM2_ALG_SHA3_384, "sha3_384" },
  { TPM2_ALG_SHA3_512, "sha3_512" },
  { TPM2_ALG_OFB, "ofb" },
  { TPM2_ALG_CBC, "cbc" },
  { TPM2_ALG_CFB, "cfb" },
  { TPM2_ALG_ECB, "ecb" },
};

static const Row curves[] = {
  { TPM2_ECC_NIST_P192, "nist_p192" }, { TPM2_ECC_NIST_P224, "nist_p224" },
  { TPM2_ECC_NIST_P256, "nist_p256" }, { TPM2_ECC_NIST_P384, "nist_p384" },
  { TPM2_ECC_NIST_P521, "nist_p521" }, { TPM2_ECC_BN_P256, "bn_p256" },
  { TPM2_ECC_BN_P638, "bn_p638" },     { TPM2_ECC_SM2_P256, "sm2_p256" },
};

static const Row commands[] = {
  COMMAND (NV_UndefineSpaceSpecial),
  COMMAND (EvictControl),
  COMMAND (HierarchyControl),
  COMMAND (NV_UndefineSpace),
  COMMAND (ChangeEPS),
  COMMAND (ChangePPS),
  COMMAND (Clear),
  COMMAND (ClearControl),
  COMMAND (ClockSet),
  COMMAND (HierarchyChangeAuth),
  COMMAND (NV_DefineSpace),
  COMMAND (PCR_Allocate),
  COMMAND (PCR_SetAuthPolicy),
  COMMAND (PP_Commands),
  COMMAND (SetPrimaryPolicy),
  COMMAND (FieldUpgradeStart),
  COMMAND (ClockRateAdjust),
  COMMAND (CreatePrimary),
  COMMAND (NV_GlobalWriteLock),
  COMMAND (GetCommandAuditDigest),
  COMMAND (NV_Increment),
  COMMAND (NV_SetBits),
  COMMAND (NV_Extend),
  COMMAND (NV_Write),
  COMMAND (NV_WriteLock),
  COMMAND (DictionaryAttackLockReset),
  COMMAND (DictionaryAttackParameters),
  COMMAND (NV_ChangeAuth),
  COMMAND (PCR_Event),
  COMMAND (PCR_Reset),
  COMMAND (SequenceComplete),
  COMMAND (SetAlgorithmSet),
  COMMAND (SetCommandCodeAuditStatus),
  COMMAND (FieldUpgradeData),
  COMMAND (IncrementalSelfTest),
  COMMAND (SelfTest),
  COMMAND (Startup),
  COMMAND (Shutdown),
  COMMAND (StirRandom),
  COMMAND (ActivateCredential),
  COMMAND (Certify),
  COMMAND (PolicyNV),
  COMMAND (CertifyCreation),
  COMMAND (Duplicate),
  COMMAND (GetTime),
  COMMAND (GetSessionAuditDigest),
  COMMAND (NV_Read),
  COMMAND (NV_ReadLock),
  COMMAND (ObjectChangeAuth),
  COMMAND (PolicySecret),
  COMMAND (Rewrap),
  COMMAND (Create),
  COMMAND (ECDH_ZGen),
  COMMAND (HMAC),
  COMMAND (Import),
  COMMAND (Load),
  COMMAND (Quote),
  COMMAND (RSA_Decrypt),
  COMMAND (HMAC_Start),
  COMMAND (SequenceUpdate),
  COMMAND (Sign),
  COMMAND (Unseal),
  COMMAND (PolicySigned),
  COMMAND (ContextLoad),
  COMMAND (ContextSave),
  COMMAND (ECDH_KeyGen),
  COMMAND (EncryptDecrypt),
  COMMAND (FlushContext),
  COMMAND (LoadExternal),
  COMMAND (MakeCredential),
  COMMAND (NV_ReadPublic),
  COMMAND (PolicyAuthorize),
  COMMAND (PolicyAuthValue),
  COMMAND (PolicyCommandCode),
  COMMAND (PolicyCounterTimer),
  COMMAND (PolicyCpHash),
  COMMAND (PolicyLocality),
  COMMAND (PolicyNameHash),
  COMMAND (PolicyOR),
  COMMAND (PolicyTicket),
  COMMAND (ReadPublic),
  COMMAND (RSA_Encrypt),
  COMMAND (StartAuthSession),
  COMMAND (VerifySignature),
  COMMAND (ECC_Parameters),
  COMMAND (FirmwareRead),
  COMMAND (GetCapability),
  COMMAND (GetRandom),
  COMMAND (GetTestResult),
  COMMAND (Hash),
  COMMAND (PCR_Read),
  COMMAND (PolicyPCR),
  COMMAND (PolicyRestart),
  COMMAND (ReadClock),
  COMMAND (PCR_Extend),
  COMMAND (PCR_SetAuthValue),
  COMMAND (NV_Certify),
  COMMAND (EventSequenceComplete),
  COMMAND (HashSequenceStart),
  COMMAND (PolicyPhysicalPresence),
  COMMAND (PolicyDuplicationSelect),
  COMMAND (PolicyGetDigest),
  COMMAND (TestParms),
  COMMAND (Commit),
  COMMAND (PolicyPassword),
  COMMAND (ZGen_2Phase),
  COMMAND (EC_Ephemeral),
  COMMAND (PolicyNvWritten),
  COMMAND (PolicyTemplate),
  COMMAND (CreateLoaded),
  COMMAND (PolicyAuthorizeNV),
  COMMAND (EncryptDecrypt2),
  COMMAND (AC_GetCapability),
  COMMAND (AC_Send),
  COMMAND (Policy_AC_SendSelect),
  COMMAND (CertifyX509),
  COMMAND (ACT_SetTimeout),
  COMMAND (Vendor_TCG_Test),
};

static const char *
find_name (const Row *rows, gsize n, guint32 number)
{
  for (gsize i = 0; i < n; i++)
    if (rows[i].number == number)
      return rows[i].name;
  return NULL;
}

#define FIND_NAME(rows, number) find_name (rows, G_N_ELEMENTS (rows), number)

const char *
names_get_property (TPM2_PT property)
{
  return FIND_NAME (properties, property);
}

const char *
names_get_pcr_property (TPM2_PT_PCR property)
{
  return FIND_NAME (pcr_properties, property);
}

const char *
names_get_algorithm (TPM2_ALG_ID algorithm)
{
  return FIND_NAME (algorithms, algorithm);
}

const char *
names_get_curve (TPM2_ECC_CURVE curve)
{
  return FIND_NAME (curves, curve);
}

const char *
names_get_command (TPM2_CC command)
{
  return FIND_NAME (commands, command);
}

char *
names_describe_algorithm (TPM2_ALG_ID algorithm)
{
  const char *name = names_get_algorithm (algorithm);

  return name != NULL ? g_strdup (name) : g_strdup_printf ("0x%04x", algorithm);
}

/* ---- hashes ---- */

static const struct
{
  TPM2_ALG_ID algorithm;
  guint size;
} hashes[] = {
  { TPM2_ALG_SHA1, TPM2_SHA1_DIGEST_SIZE },       { TPM2_ALG_SHA256, TPM2_SHA256_DIGEST_SIZE },
  { TPM2_ALG_SHA384, TPM2_SHA384_DIGEST_SIZE },   { TPM2_ALG_SHA512, TPM2_SHA512_DIGEST_SIZE },
  { TPM2_ALG_SM3_256, TPM2_SM3_256_DIGEST_SIZE },
};

guint
names_get_digest_size (TPM2_ALG_ID algorithm)
{
  for (gsize i = 0; i < G_N_ELEMENTS (hashes); i++)
    if (hashes[i].algorithm == algorithm)
      return hashes[i].size;
  return 0;
}

gboolean
names_parse_hash (const char *name, TPM2_ALG_ID *out, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (hashes); i++)
    if (g_str_equal (names_get_algorithm (hashes[i].algorithm), name))
      {
        *out = hashes[i].algorithm;
        return TRUE;
      }
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "hash '%s': not one of sha1, sha256, sha384, sha512, sm3_256", name);
  return FALSE;
}
