#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Lets spin look at every state of handover.pml: the protocol whole, then broken in one way after
# another, which must be found, or the model would prove nothing. Prints the states it saw.
# Never leaves out a part of the search: a run that hits a limit of memory or depth is a failure.
# Next in the flow: tests/unit/migrate_handover_test.c, which holds the machines in C to the table.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);

my $from = dirname(abs_path($0));
my $dir = tempdir(CLEANUP => 1);

# What is run: name, claim ('' is the assertions alone), arbiter, patient, faults, break; and what
# an error must look like, if one is to be found.
my $never = qr/assertion violated/;     # a thing that must never happen
my $lost = qr/acceptance cycle/;        # it never ends well
my @runs = (
	['without a fault the guest moves, with an arbiter', 'moves', 1, 1, 0, 0],
	['without a fault the guest moves, without one', 'moves', 0, 1, 0, 0],
	['one fault anywhere, with an arbiter', 'ends', 1, 1, 1, 0],
	['one fault anywhere, with an arbiter, limits at any time, cancel, power-off', 'ends', 1, 0, 1, 0],
	['one fault anywhere, without an arbiter', 'ends', 0, 1, 1, 0],
	['one fault anywhere, without an arbiter, limits at any time, cancel, power-off', 'ends', 0, 0, 1, 0],
	['two faults anywhere, with an arbiter: safety', '', 1, 1, 2, 0],
	['two faults anywhere, without an arbiter, limits at any time: safety', '', 0, 0, 2, 0],
	['lock released after COMMIT: the guest does not move', 'moves', 1, 1, 0, 1, $lost],
	['target thaws before it acquired', 'ends', 1, 1, 1, 2, $never],
	['target thaws before COMMIT, without an arbiter', 'ends', 0, 1, 1, 2, $never],
	['source thaws before it acquired', 'ends', 1, 1, 1, 3, $never],
	['source thaws before the promise, without an arbiter', 'ends', 0, 1, 1, 3, $never],
	['epoch ignored', 'ends', 1, 1, 1, 4, $never],
	['epoch ignored, the guest was powered off meanwhile', 'ends', 1, 0, 1, 4, $never],
	['a lock held elsewhere taken for an owner', 'ends', 1, 1, 1, 5, $lost],
	['record written after the lock was lost', 'ends', 1, 1, 1, 6, $never],
	['own write, its answer lost, taken for another\'s', 'ends', 1, 1, 1, 7, $lost],
	['target gives up although its write may have arrived', 'ends', 1, 0, 1, 8, $lost],
);

sub bail
{
	print "1..1\nnot ok 1 - the model is built\n", map { "# $_\n" } split /\n/, $_[0];
	exit 1;
}

if (system('command -v spin >/dev/null 2>&1')) {
	print "1..0 # skip spin is missing (Debian package spin)\n";
	exit 0;
}
my $said = `cd $dir && cp $from/handover.pml . && $from/rows <$from/handover.table >handover-rows.pml 2>&1 &&
	spin -a handover.pml 2>&1 && gcc -O1 -w -o pan pan.c 2>&1`;
bail($said) if $? || !-x "$dir/pan";

print '1..', scalar @runs, "\n";
my $n = 0;
foreach (@runs) {
	my ($name, $claim, $arbiter, $patient, $faults, $break, $find) = @$_;
	@ENV{qw(ARBITER PATIENT FAULTS BREAK)} = ($arbiter, $patient, $faults, $break);
	my $said = `cd $dir && ./pan @{[$claim ? "-a -N $claim" : '-noclaim']} -m200000 2>&1`;
	my ($states) = $said =~ /^\s*([\d.e+]+) states, stored/m;
	my ($errors) = $said =~ /errors: (\d+)/;
	my $whole = $said !~ /max search depth too small|out of memory|Search not completed/;
	my $ok = $find ? $said =~ $find : defined $errors && $errors == 0 && $whole;
	$n++;
	printf "%sok %d - %s: %s%s\n", $ok ? '' : 'not ', $n, $name, $find ? 'found after ' : '',
		defined $states ? sprintf('%d states', $states) : 'no count of states';
	print map { "# $_\n" } split /\n/, $said unless $ok;
}
