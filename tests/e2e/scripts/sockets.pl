#!/usr/bin/perl -w
# A server and its clients over sockets, by perl's own modules.
use strict;
use IO::Socket::UNIX;
use IO::Select;
use Socket qw(SOCK_STREAM SOCK_DGRAM AF_UNIX PF_UNSPEC SHUT_WR SOL_SOCKET SO_TYPE);
$| = 1;
my $path = "/tmp/perl-socket-$$";
my $server = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 5) or die "listen: $!";
print "there is a file\n" if -S $path;
my $pid = fork();
if (!$pid) {
    # Three clients at once, told apart by what they say.
    my $select = IO::Select->new($server);
    my ($open, %said) = (3);
    while ($open) {
        for my $ready ($select->can_read) {
            if ($ready == $server) { $select->add(scalar $server->accept); next }
            if (sysread($ready, my $bytes, 4096)) { $said{$ready} .= $bytes; next }
            print $ready scalar reverse($said{$ready}), "\n";
            $select->remove($ready);
            close $ready;
            $open--;
        }
    }
    exit 7;
}
my @clients = map { IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $path) or die "connect: $!" } 1 .. 3;
print {$clients[$_]} "client $_ ", "x" x (20_000 * $_) for 0 .. 2;
for (0 .. 2) {
    $clients[$_]->flush;
    shutdown($clients[$_], SHUT_WR);
    my $answer = readline $clients[$_];
    chomp $answer;
    print length($answer), " ", substr($answer, -9), "\n";
}
waitpid($pid, 0);
print "server ", $? >> 8, "\n";
close $server;
print "after the server: ", (IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $path) ? "connected" : "$!"), "\n";
unlink $path;
print "without the file: ", (IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $path) ? "connected" : "$!"), "\n";
my $box = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die "bind: $!";
my $sender = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $path) or die "peer: $!";
$sender->send("message $_") for 1 .. 3;
for (1 .. 3) { $box->recv(my $message, 100); print "$message\n" }
print "kind ", $box->sockopt(SO_TYPE) == SOCK_DGRAM ? "datagrams" : "?", " at ", $box->hostpath eq $path ? "the path" : "?", "\n";
unlink $path;
my ($one, $other) = IO::Socket->socketpair(AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "pair: $!";
if (!fork()) { close $one; print $other "from the child\n"; exit 0 }
close $other;
print scalar <$one>;
print "the end\n" unless defined(<$one>);
wait;
$SIG{PIPE} = sub { print "nobody reads\n" };
print $one "lost";
print "flush: ", ($one->flush ? "done" : "$!"), "\n";
