#!/usr/bin/perl -w
# Processes, pipes, signals and mapped files, as perl has them.
use strict;
$| = 1;
my $pid = fork();
exit 3 unless $pid;
waitpid($pid, 0);
print "status ", $? >> 8, "\n";
open(my $from, "-|", "echo from a pipe; exit 4") or die;
print while <$from>;
close $from;
print "closed ", $? >> 8, "\n";
open(my $to, "|-", "tr a-z A-Z") or die;
print $to "to a pipe\n";
close $to;
print `echo backticks`;
local $SIG{ALRM} = sub { print "alarm\n" };
alarm 1;
select(undef, undef, undef, 30);
my @children;
for my $n (1 .. 10) {
    my $child = fork();
    exit $n unless $child;
    push @children, $child;
}
my $sum = 0;
for (@children) { waitpid($_, 0); $sum += $? >> 8; }
print "sum $sum\n";
my $ended = 0;
local $SIG{CHLD} = sub { $ended = wait(); print "reaped\n" if $ended > 0 };
if (!fork()) { exit 0 }
select(undef, undef, undef, 0.1) until $ended;
kill USR1 => $$ if ($SIG{USR1} = sub { print "usr1\n" });
$SIG{CHLD} = 'DEFAULT';
open(my $lines, ">", "/tmp/lines") or die;
print $lines "line $_\n" for 1 .. 5000;
close $lines;
open(my $mapped, "<:mmap", "/tmp/lines") or die;
my ($count, $last) = (0, "");
while (<$mapped>) { $count++; $last = $_ }
print "mapped $count $last";
close $mapped;
system("sh", "-c", 'kill -9 $$');
print "killed ", $? & 127, "\n";
exec "echo", "the", "end";
