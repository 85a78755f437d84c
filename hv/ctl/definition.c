/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the JSON form of a definition (see definition.h). Must never know a key by name.
 * Next in the flow: hv/vm/definition.c.
 */
#include "hv/ctl/definition.h"

#include <errno.h>
#include <stdio.h>

#include "hv/vm/definition.h"

/* Where the section of @it is in @root; made when it begins. */
static json_t *definition_section(json_t *root, const struct vm_def_item *it)
{
	const char *section = vm_def_section_name(it->section);
	json_t *at = json_object_get(root, section);

	if (!it->name)
		return at;
	if (!it->key)
		json_object_set_new(at, it->name, json_object());
	return json_object_get(at, it->name);
}

static void definition_item(void *arg, const struct vm_def_item *it)
{
	json_t *at = definition_section(arg, it), *v;

	if (!it->key)
		return;
	if (it->form == VM_DEF_NUMBER)
		v = json_integer((json_int_t)it->number);
	else if (it->form == VM_DEF_SWITCH)
		v = json_boolean(it->number != 0);
	else
		v = json_string(it->text);
	json_object_set_new(at, it->key, v);
}

json_t *ctl_definition_json(const struct vm_config *c)
{
	json_t *j = json_pack("{s:{},s:{},s:{}}", vm_def_section_name(VM_DEF_GUEST),
		vm_def_section_name(VM_DEF_DISK), vm_def_section_name(VM_DEF_NET));

	if (j)
		vm_def_each(c, definition_item, j);
	return j;
}

static int definition_keys(struct vm_config *c, enum vm_def_section s, const char *name,
	const json_t *keys, struct err *e)
{
	int rc = json_is_object(keys) ? vm_def_set(c, s, name, NULL, NULL, "", e)
				      : err_set(e, -EPROTO, "the definition's '%s' is no object",
						vm_def_section_name(s));
	const char *key;
	char number[32];
	json_t *v;

	json_object_foreach((json_t *)keys, key, v)
	{
		const char *text = json_string_value(v);

		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
		if (json_is_boolean(v))
			text = json_is_true(v) ? "on" : "off";
		else if (json_is_integer(v))
			text = number;
		if (rc == 0)
			rc = text ? vm_def_set(c, s, name, key, text, "", e)
				  : err_set(e, -EPROTO, "the definition's '%s' is no value", key);
	}
	return rc;
}

int ctl_definition_read(const json_t *j, struct vm_config *c, struct err *e)
{
	int rc = 0;

	for (int s = 0; rc == 0 && s < VM_DEF_SECTIONS; s++) {
		enum vm_def_section section = (enum vm_def_section)s;
		json_t *at = json_object_get(j, vm_def_section_name(section)), *keys;
		const char *name;

		if (section == VM_DEF_GUEST) {
			rc = definition_keys(c, section, NULL, at, e);
			continue;
		}
		json_object_foreach(at, name, keys)
		{
			if (rc == 0)
				rc = definition_keys(c, section, name, keys, e);
		}
	}
	return rc ? rc : vm_config_check(c, e);
}
