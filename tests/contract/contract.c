/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every transport is held to every rule of hv/migrate/xport.h by the same cases. To put another
 * transport under the contract, add it to transports[], and a line to subjects[] if it works on
 * any host. One that needs a device is run by name, on an address that device carries:
 *
 *   contract                          all of subjects[]
 *   contract NAME HOST STREAMS...     one transport, once for each number of streams
 *   CONTRACT_ONLY='*words*' contract  only the cases whose name fits
 *
 * Next in the flow: cases_connect.c, cases_msg.c, cases_put.c, cases_end.c.
 */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/fake_xport.h"
#include "transport-rdma/xrdma.h"
#include "transport-tcp/xtcp.h"

static const struct xport_ops *const transports[] = { &fake_xport_ops, &xtcp_sock_ops, &xrdma_ops };

static const struct subject subjects[] = {
	{ "fake", &fake_xport_ops, 1, "nowhere", false },
	{ "tcp, 1 stream", &xtcp_sock_ops, 1, "127.0.0.1", false },
	{ "tcp, 4 streams", &xtcp_sock_ops, 4, "127.0.0.1", false },
	{ "tcp, 16 streams, IPv6", &xtcp_sock_ops, 16, "::1", false },
	{ "uring, 1 stream", &xtcp_uring_ops, 1, "127.0.0.1", false },
	{ "uring, 4 streams", &xtcp_uring_ops, 4, "127.0.0.1", false },
	{ "uring, 16 streams, IPv6", &xtcp_uring_ops, 16, "::1", false },
	{ "tcp, encrypted, 1 stream", &xtcp_sock_ops, 1, "127.0.0.1", true },
	{ "tcp, encrypted, 4 streams", &xtcp_sock_ops, 4, "127.0.0.1", true },
	{ "uring, every put by reference, 4 streams", &variant_uring_zc, 4, "127.0.0.1", false },
	{ "uring as on an old kernel, 4 streams", &variant_uring_plain, 4, "127.0.0.1", false },
	{ "tcp to uring, 4 streams", &variant_sock_to_uring, 4, "127.0.0.1", false },
	{ "uring to tcp, 4 streams", &variant_uring_to_sock, 4, "127.0.0.1", false },
};

static const struct contract_case *const lists[] = { cases_connect, cases_msg, cases_put,
	cases_end };

#define CASES_MAX 64

static void subject_missing(void **state)
{
	const struct subject *s = *state;
	struct xport_probe pr;

	s->ops->probe(NULL, &pr);
	print_message("# skipped: %s: %s\n", s->name, pr.why);
	skip();
}

static int subject_run(const struct subject *s)
{
	struct CMUnitTest tests[CASES_MAX];
	char names[CASES_MAX][160], group[96];
	struct xport_probe pr;
	size_t n = 0;

	s->ops->probe(NULL, &pr);
	if (!pr.usable) {
		tests[0] = (struct CMUnitTest){
			.name = s->name, .test_func = subject_missing, .initial_state = (void *)s
		};
		return _cmocka_run_group_tests(s->name, tests, 1, NULL, NULL);
	}
	for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
		for (const struct contract_case *c = lists[l]; c->name && n < CASES_MAX; c++) {
			snprintf(names[n], sizeof(names[n]), "%s: %s", s->name, c->name);
			tests[n] = (struct CMUnitTest){
				.name = names[n], .test_func = c->fn, .initial_state = (void *)s
			};
			n++;
		}
	}
	snprintf(group, sizeof(group), "contract: %s", s->name);
	return _cmocka_run_group_tests(group, tests, n, NULL, NULL);
}

/* One transport by name, on @host: as many runs as there are numbers. */
static int named_run(const char *name, const char *host, char **streams, int n)
{
	const struct xport_ops *ops = NULL;
	int failed = 0;

	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
		if (strcmp(transports[i]->name, name) == 0)
			ops = transports[i];
	for (int i = 0; ops && i < n; i++) {
		char text[96];
		struct subject s = { text, ops, (unsigned)atoi(streams[i]), host, false };

		snprintf(text, sizeof(text), "%s, %u streams, %s", name, s.streams, host);
		failed += subject_run(&s);
	}
	if (!ops)
		fprintf(stderr, "contract: there is no transport '%s'\n", name);
	return ops ? failed : 1;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (getenv("CONTRACT_ONLY"))
		cmocka_set_test_filter(getenv("CONTRACT_ONLY"));
	if (argc >= 4)
		return named_run(argv[1], argv[2], argv + 3, argc - 3);
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		failed += subject_run(&subjects[i]);
	return failed;
}
