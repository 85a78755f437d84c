/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the keys of a move's channel (see secure.h). Next in the flow: hv/migrate/chan.h. */
#include "hv/ctl/secure.h"

#include <errno.h>

#include "hv/ctl/proto.h"

int ctl_secure_put(const struct chan_want *w, json_t *request, struct err *e)
{
	if (w->how == CHAN_PLAIN)
		return 0;
	if (json_object_set_new(request, w->how == CHAN_TLS ? "tls" : "psk", json_string(w->path)) <
			0 ||
		json_object_set_new(request, "encrypt", json_boolean(w->encrypt)) < 0)
		return err_set(e, -EINVAL, "the path '%s' is not UTF-8 text", w->path);
	return 0;
}

int ctl_secure_get(const json_t *request, struct chan_want *w, struct err *e)
{
	const json_t *encrypt = json_object_get(request, "encrypt");
	const char *tls = NULL, *psk = NULL;
	int rc;

	if ((rc = ctl_get_str(request, "tls", &tls, e)) < 0 ||
		(rc = ctl_get_str(request, "psk", &psk, e)) < 0)
		return rc;
	if (encrypt && !json_is_boolean(encrypt))
		return err_set(e, -EINVAL, "'encrypt' must be true or false");
	return chan_want_parse(w, tls, psk, json_is_true(encrypt), e);
}
