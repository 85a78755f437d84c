# SPDX-License-Identifier: Apache-2.0
# What the tests of `watari bench downtime` share. Next in the flow: bench.bats, bench-report.bats.

# A small guest, so that a move takes a fraction of a second.
SMALL="--memory 128M --workset 2M --warm-up 0"

# json EXPRESSION: in Perl, of the results as $r, in r.json.
json() {
	perl -MJSON::PP -MList::Util=min,max,sum -0777 -e '
		open my $in, "<", "r.json" or die "r.json: $!\n";
		my $r = decode_json(<$in>);
		my @runs = @{$r->{runs}};
		my $v = eval shift;
		die $@ if $@;
		print ref $v eq "JSON::PP::Boolean" ? $v ? "true" : "false" : $v, "\n";
	' "$1"
}

bench() {
	XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR timeout -v 200 "$W" bench downtime "$@"
}
