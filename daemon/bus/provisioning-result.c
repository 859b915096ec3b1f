/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "provisioning-result.h"

#include "bus/object-path.h"
#include "dbus/names.h"
#include "greengrass/greengrass.h"

struct _ProvisioningResult
{
  Plan *plan;
  StepsResult *steps;
};

ProvisioningResult *
provisioning_result_new (Plan *plan, StepsResult *steps)
{
  ProvisioningResult *result = g_new0 (ProvisioningResult, 1);

  result->plan = plan;
  result->steps = steps;
  return result;
}

void
provisioning_result_free (gpointer data)
{
  ProvisioningResult *result = data;

  plan_free (result->plan);
  steps_result_free (result->steps);
  g_free (result);
}

static void
insert_text (GVariantDict *dict, const char *name, const char *text)
{
  if (text != NULL)
    g_variant_dict_insert (dict, name, "s", text);
}

/* ---- keys ---- */

static GVariant *
describe_key (const char *token, const PlanKey *plan, const StepsResultKey *key)
{
  g_autofree char *path = key->id != NULL ? object_path_for_key (token, key->id) : NULL;
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "label", "s", plan->label);
  g_variant_dict_insert (&dict, "algorithm", "s", plan->algorithm);
  if (path != NULL)
    g_variant_dict_insert (&dict, "key", "o", path);
  insert_text (&dict, "uri", key->uri);
  insert_text (&dict, "csr", key->csr);
  insert_text (&dict, "csr-path", plan->request_path);
  insert_text (&dict, "certificate-path", plan_key_get_certificate_path (plan));
  return g_variant_dict_end (&dict);
}

static GVariant *
describe_keys (const ProvisioningResult *self)
{
  GVariantBuilder keys = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));

  for (guint i = 0; i < self->plan->keys->len; i++)
    g_variant_builder_add_value (&keys, describe_key (self->plan->token, self->plan->keys->pdata[i],
                                                      self->steps->keys->pdata[i]));
  return g_variant_builder_end (&keys);
}

/* ---- configurations ---- */

/* As RenderConfig takes it. */
static GVariant *
make_render_options (const Plan *plan)
{
  const PlanGreengrass *greengrass = plan->greengrass;
  const PlanKey *first = plan->keys->pdata[0];
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  insert_text (&dict, GGTPM_RENDER_TOKEN, plan->token);
  insert_text (&dict, GGTPM_RENDER_KEY, greengrass->key != NULL ? greengrass->key : first->label);
  insert_text (&dict, GGTPM_RENDER_THING_NAME, greengrass->thing_name);
  insert_text (&dict, GGTPM_RENDER_THING_ARN, greengrass->thing_arn);
  insert_text (&dict, GGTPM_RENDER_REGION, greengrass->region);
  insert_text (&dict, GGTPM_RENDER_IOT_DATA_ENDPOINT, greengrass->data_endpoint);
  insert_text (&dict, GGTPM_RENDER_IOT_CRED_ENDPOINT, greengrass->credentials_endpoint);
  insert_text (&dict, GGTPM_RENDER_ROLE_ALIAS, greengrass->role_alias);
  insert_text (&dict, GGTPM_RENDER_ROOT_CA_PATH, greengrass->root_ca_path);
  insert_text (&dict, GGTPM_RENDER_CERTIFICATE_PATH, greengrass->certificate_path);
  insert_text (&dict, GGTPM_RENDER_ROOT_PATH, greengrass->root_path);
  insert_text (&dict, GGTPM_RENDER_NUCLEUS_VERSION, greengrass->nucleus_version);
  return g_variant_dict_end (&dict);
}

static GVariant *
describe_config (const Plan *plan, const char *flavour)
{
  const PlanGreengrass *greengrass = plan->greengrass;
  const char *path = plan_greengrass_get_path (greengrass, flavour);
  GreengrassFlavour known = GREENGRASS_V1;
  g_autofree char *default_path = NULL;
  GVariantDict dict;

  if (path == NULL && greengrass_flavour_from_string (flavour, &known, NULL))
    path = default_path = greengrass_make_default_path (known, NULL);
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "flavour", "s", flavour);
  insert_text (&dict, "path", path);
  insert_text (&dict, "group", greengrass->group);
  g_variant_dict_insert (&dict, "mkdir", "b", greengrass->directories);
  g_variant_dict_insert_value (&dict, "options", make_render_options (plan));
  return g_variant_dict_end (&dict);
}

static GVariant *
describe_configs (const Plan *plan)
{
  GVariantBuilder configs = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));
  char **flavours = plan->greengrass != NULL ? plan->greengrass->flavours : NULL;

  for (; flavours != NULL && *flavours != NULL; flavours++)
    g_variant_builder_add_value (&configs, describe_config (plan, *flavours));
  return g_variant_builder_end (&configs);
}

/* ---- all of it ---- */

/* Of the first key, and for most the only one. */
static void
insert_first_key (GVariantDict *dict, const ProvisioningResult *self)
{
  const StepsResultKey *key = self->steps->keys->pdata[0];
  g_autofree char *token = object_path_for_token (self->steps->token);
  g_autofree char *path = NULL;

  if (key->id == NULL)
    return;
  path = object_path_for_key (self->steps->token, key->id);
  g_variant_dict_insert (dict, "token", "o", token);
  g_variant_dict_insert (dict, "key", "o", path);
  insert_text (dict, "uri", key->uri);
  insert_text (dict, "csr", key->csr);
}

GVariant *
provisioning_result_to_variant (gpointer data)
{
  ProvisioningResult *self = data;
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  if (self->steps->missing != NULL)
    g_variant_dict_insert (&dict, "missing", "^as", self->steps->missing);
  else
    g_variant_dict_insert (&dict, "changed", "b", self->steps->changed);
  insert_first_key (&dict, self);
  g_variant_dict_insert_value (&dict, "keys", describe_keys (self));
  g_variant_dict_insert_value (&dict, "configs", describe_configs (self->plan));
  g_variant_dict_insert (&dict, "warnings", "^as", self->steps->warnings);
  return g_variant_dict_end (&dict);
}
