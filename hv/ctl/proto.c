/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the JSON form of control messages (see proto.h). One table per struct serves both
 * directions, so a field cannot be written and not read. Must never trust a type.
 * Next in the flow: server.c.
 */
#include "hv/ctl/proto.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ctl_runtime_dir(void)
{
	const char *dir = getenv("WATARI_RUNTIME_DIR");

	return dir && *dir ? dir : CTL_DIR_DEFAULT;
}

bool ctl_name_ok(const char *name)
{
	static const char ok[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n = strlen(name);

	return n > 0 && n < CTL_NAME_MAX && name[0] != '.' && name[0] != '-' &&
	       strspn(name, ok) == n;
}

json_t *ctl_ok(void)
{
	return json_pack("{s:b}", "ok", 1);
}

json_t *ctl_error(const struct err *e)
{
	json_t *j = json_pack("{s:b,s:s}", "ok", 0, "error", e->msg);

	/* a message that quotes bytes which are no UTF-8 cannot be packed */
	return j ? j : json_pack("{s:b,s:s}", "ok", 0, "error", strerrordesc_np(-e->code));
}

int ctl_answer_check(const json_t *answer, struct err *e)
{
	const json_t *ok = json_object_get(answer, "ok");
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (json_is_true(ok))
		return 0;
	if (!json_is_false(ok) || !error)
		return err_set(e, -EPROTO, "the guest's process gave no answer that makes sense");
	return err_set(e, -EREMOTEIO, "%s", error);
}

int ctl_get_u64(
	const json_t *j, const char *key, uint64_t lo, uint64_t hi, uint64_t *v, struct err *e)
{
	const json_t *x = json_object_get(j, key);
	json_int_t n;

	if (!x)
		return 0;
	n = json_integer_value(x);
	if (!json_is_integer(x) || n < 0 || (uint64_t)n < lo || (uint64_t)n > hi)
		return err_set(e, -EINVAL, "'%s' must be a whole number from %llu to %llu", key,
			(unsigned long long)lo, (unsigned long long)hi);
	*v = (uint64_t)n;
	return 0;
}

int ctl_get_str(const json_t *j, const char *key, const char **v, struct err *e)
{
	const json_t *x = json_object_get(j, key);

	if (!x)
		return 0;
	if (!json_is_string(x))
		return err_set(e, -EINVAL, "'%s' must be a string", key);
	*v = json_string_value(x);
	return 0;
}

/* A number of a struct, by name and place. */
struct proto_field {
	const char *key;
	size_t offset;
	size_t size; /* 4 or 8 bytes, unsigned */
};
#define FIELD(type, name)                                                                          \
	{                                                                                          \
		.key = #name, .offset = offsetof(struct type, name),                               \
		.size = sizeof(((struct type *)NULL)->name)                                        \
	}

static const struct proto_field progress_fields[] = {
	FIELD(mig_progress, round),
	FIELD(mig_progress, elapsed_ns),
	FIELD(mig_progress, sent_bytes),
	FIELD(mig_progress, residual_bytes),
	FIELD(mig_progress, goodput),
	FIELD(mig_progress, dirty_rate),
	FIELD(mig_progress, predicted_blackout_ns),
	FIELD(mig_progress, eta_ns),
	FIELD(mig_progress, share),
};

static const struct proto_field result_fields[] = {
	FIELD(mig_result, total_ns),
	FIELD(mig_result, rounds),
	FIELD(mig_result, sent_bytes),
	FIELD(mig_result, wire_bytes),
	FIELD(mig_result, pages_sent),
	FIELD(mig_result, pages_zero),
	FIELD(mig_result, pages_skipped),
	FIELD(mig_result, residual_bytes),
	FIELD(mig_result, goodput),
	FIELD(mig_result, predicted_blackout_ns),
	FIELD(mig_result, streams),
	FIELD(mig_result, share_least),
	FIELD(mig_result, throttled_ns),
};

static const struct proto_field blackout_fields[] = {
	FIELD(mig_blackout, total_ns),
	FIELD(mig_blackout, stop_ns),
	FIELD(mig_blackout, harvest_ns),
	FIELD(mig_blackout, residual_ns),
	FIELD(mig_blackout, save_ns),
	FIELD(mig_blackout, send_ns),
	FIELD(mig_blackout, load_ns),
	FIELD(mig_blackout, start_ns),
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t field_get(const struct proto_field *f, const void *base)
{
	const uint8_t *p = (const uint8_t *)base + f->offset;
	uint32_t narrow;
	uint64_t wide;

	if (f->size == sizeof(narrow)) {
		memcpy(&narrow, p, sizeof(narrow));
		return narrow;
	}
	memcpy(&wide, p, sizeof(wide));
	return wide;
}

static void field_set(const struct proto_field *f, void *base, uint64_t v)
{
	uint8_t *p = (uint8_t *)base + f->offset;
	uint32_t narrow = (uint32_t)v;

	if (f->size == sizeof(narrow))
		memcpy(p, &narrow, sizeof(narrow));
	else
		memcpy(p, &v, sizeof(v));
}

static int fields_write(const struct proto_field *f, size_t n, const void *base, json_t *j)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t v = field_get(&f[i], base);

		if (v > INT64_MAX)
			v = INT64_MAX;
		if (json_object_set_new(j, f[i].key, json_integer((json_int_t)v)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int fields_read(
	const struct proto_field *f, size_t n, void *base, const json_t *j, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t max = f[i].size == 4 ? UINT32_MAX : INT64_MAX, v = 0;

		if (!json_object_get(j, f[i].key))
			return err_set(
				e, -EPROTO, "'%s' is missing in what the guest says", f[i].key);
		if (ctl_get_u64(j, f[i].key, 0, max, &v, e) < 0)
			return e ? e->code = -EPROTO : -EPROTO;
		field_set(&f[i], base, v);
	}
	return 0;
}

json_t *ctl_progress_json(const struct mig_progress *p)
{
	json_t *j = json_pack("{s:s,s:s}", "event", "progress", "phase", mig_phase_name(p->phase));

	if (j && fields_write(progress_fields, COUNT(progress_fields), p, j) < 0) {
		json_decref(j);
		j = NULL;
	}
	return j;
}

/* How a guest travelled; the note is left out if the peer's part of it is no UTF-8. */
static int result_transport(json_t *j, const struct mig_result *r)
{
	json_t *note = json_string(r->note);

	if (note)
		json_object_set_new(j, "transport_note", note);
	return json_object_set_new(j, "transport", json_string(r->transport));
}

static int result_steps(json_t *j, const char *key, const struct mig_blackout *b)
{
	json_t *steps = json_object();

	if (steps && fields_write(blackout_fields, COUNT(blackout_fields), b, steps) == 0)
		return json_object_set_new(j, key, steps);
	json_decref(steps);
	return -ENOMEM;
}

json_t *ctl_result_json(const struct mig_result *r)
{
	json_t *j = json_object();

	if (j && fields_write(result_fields, COUNT(result_fields), r, j) == 0 &&
		result_steps(j, "blackout", &r->blackout) == 0 &&
		result_steps(j, "predicted", &r->predicted) == 0 && result_transport(j, r) == 0 &&
		json_object_set_new(j, "committed", json_boolean(r->committed)) == 0) {
		if (r->unconfirmed)
			json_object_set_new(j, "unconfirmed", json_true());
		return j;
	}
	json_decref(j);
	return NULL;
}

json_t *ctl_chosen_json(const char *transport, const char *note)
{
	json_t *j = json_pack("{s:s,s:s}", "event", "transport", "transport", transport);
	json_t *words = json_string(note); /* NULL if the peer's part of it is no UTF-8 */

	if (j && words)
		json_object_set_new(j, "note", words);
	return j;
}

json_t *ctl_waiting_json(const char *waits)
{
	json_t *j = json_pack("{s:s}", "event", "waiting");
	json_t *words = json_string(waits); /* NULL as above */

	if (j && words)
		json_object_set_new(j, "for", words);
	return j;
}

int ctl_progress_read(const json_t *j, struct mig_progress *p, struct err *e)
{
	const char *phase = json_string_value(json_object_get(j, "phase"));

	*p = (struct mig_progress){ 0 };
	for (int i = MIG_PHASE_WAITING; phase && i <= MIG_PHASE_FAILED; i++) {
		if (strcmp(phase, mig_phase_name((enum mig_phase)i)) != 0)
			continue;
		p->phase = (enum mig_phase)i;
		return fields_read(progress_fields, COUNT(progress_fields), p, j, e);
	}
	return err_set(e, -EPROTO, "'phase' is missing or unknown in what the guest says");
}

int ctl_result_read(const json_t *j, struct mig_result *r, struct err *e)
{
	const json_t *committed = json_object_get(j, "committed");
	const json_t *predicted = json_object_get(j, "predicted");
	const char *transport = "";
	int rc;

	*r = (struct mig_result){ 0 };
	rc = fields_read(result_fields, COUNT(result_fields), r, j, e);
	if (rc < 0)
		return rc;
	rc = ctl_get_str(j, "transport", &transport, e);
	if (rc < 0)
		return rc;
	snprintf(r->transport, sizeof(r->transport), "%s", transport);
	if (!json_is_boolean(committed))
		return err_set(e, -EPROTO, "'committed' is missing in what the guest says");
	r->committed = json_is_true(committed);
	r->unconfirmed = json_is_true(json_object_get(j, "unconfirmed"));
	/* A guest that was started by an earlier watari predicts the whole, not the steps. */
	if (predicted)
		rc = fields_read(
			blackout_fields, COUNT(blackout_fields), &r->predicted, predicted, e);
	if (rc < 0)
		return rc;
	return fields_read(blackout_fields, COUNT(blackout_fields), &r->blackout,
		json_object_get(j, "blackout"), e);
}
