/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits: what does not fit is said beforehand, to the byte, with the line that mends it; and every
 * completion status has words.
 * Next in the flow: tests/lab/rdma-contract.t.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "transport-rdma/limits.h"
#include "transport-rdma/status.h"

static void the_shortfall_is_exact(void **state)
{
	struct xrdma_memlock m = { .limit = 8 << 20, .pinned = 1 << 20 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(xrdma_memlock_check(&m, 7 << 20, &e), 0);
	assert_int_equal(xrdma_memlock_check(&m, (7 << 20) + 4096, &e), -ENOMEM);
	assert_non_null(strstr(e.msg, " 4096 bytes are missing"));
	assert_non_null(strstr(e.msg, "ulimit -l"));
	assert_non_null(strstr(e.msg, "LimitMEMLOCK"));
	m.pinned = 9 << 20; /* pinned before the limit was lowered */
	assert_int_equal(xrdma_memlock_check(&m, 4096, &e), -ENOMEM);
	assert_non_null(strstr(e.msg, " 4096 bytes are missing"));
}

static void no_limit_is_no_limit(void **state)
{
	struct xrdma_memlock m = { .limit = UINT64_MAX, .pinned = UINT64_MAX / 2 };
	char text[64];
	struct err e;

	(void)state;
	assert_int_equal(xrdma_memlock_check(&m, UINT64_MAX, &e), 0);
	assert_string_equal(
		xrdma_memlock_text(&m, text, sizeof(text)), "no limit on locked memory");
	m.limit = 8 << 20;
	assert_non_null(strstr(xrdma_memlock_text(&m, text, sizeof(text)), "8"));
}

static void the_adapters_own_limits_count(void **state)
{
	struct ibv_device_attr a = { .max_mr = 100, .max_mr_size = 1 << 20 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(xrdma_device_check(&a, 100, 1 << 20, "mlx9", &e), 0);
	assert_int_equal(xrdma_device_check(&a, 103, 1, "mlx9", &e), -ENOSPC);
	assert_non_null(strstr(e.msg, "mlx9"));
	assert_non_null(strstr(e.msg, "3 too many"));
	assert_int_equal(xrdma_device_check(&a, 1, 2 << 20, "mlx9", &e), -ENOSPC);
}

static void a_field_of_the_kernels_text_is_found(void **state)
{
	static const char text[] = "Name:\twatari\nVmPin:\t    1234 kB\nXVmPin:\t9 kB\n"
				   "CapEff:\t000001ffffffffff\n";

	(void)state;
	assert_int_equal(xrdma_status_field(text, "VmPin", 10), 1234);
	assert_true(xrdma_status_field(text, "CapEff", 16) == 0x1ffffffffffull);
	assert_int_equal(xrdma_status_field(text, "VmLck", 10), 0);
	assert_int_equal(xrdma_status_field("", "VmPin", 10), 0);
}

static void every_completion_status_has_words(void **state)
{
	(void)state;
	for (int s = IBV_WC_LOC_LEN_ERR; s <= IBV_WC_GENERAL_ERR; s++) {
		struct ibv_wc wc = { .status = (enum ibv_wc_status)s, .vendor_err = 0x42 };
		struct err e = { 0 };

		assert_true(xrdma_status_meaning(wc.status)[0]);
		assert_true(xrdma_status_error(&e, &wc, "a write") < 0);
		assert_non_null(strstr(e.msg, ibv_wc_status_str(wc.status)));
		assert_non_null(strstr(e.msg, "0x42"));
	}
}

static void a_refusal_says_whose_it_is(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(xrdma_cm_error(&e, RDMA_CM_EVENT_REJECTED, 8), -ECONNREFUSED);
	assert_non_null(strstr(e.msg, "nobody listens"));
	assert_int_equal(xrdma_cm_error(&e, RDMA_CM_EVENT_REJECTED, 28), -ECONNREFUSED);
	assert_non_null(strstr(e.msg, "token"));
	assert_int_equal(xrdma_cm_error(&e, RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT), -ETIMEDOUT);
	assert_int_equal(xrdma_cm_error(&e, RDMA_CM_EVENT_DEVICE_REMOVAL, 0), -ENODEV);
	assert_int_equal(xrdma_cm_error(&e, RDMA_CM_EVENT_DISCONNECTED, 0), -ECONNRESET);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_shortfall_is_exact),
		cmocka_unit_test(no_limit_is_no_limit),
		cmocka_unit_test(the_adapters_own_limits_count),
		cmocka_unit_test(a_field_of_the_kernels_text_is_found),
		cmocka_unit_test(every_completion_status_has_words),
		cmocka_unit_test(a_refusal_says_whose_it_is),
	};

	return cmocka_run_group_tests_name("rdma: limits and words", tests, NULL, NULL);
}
