# A service manager's end of sd_notify: binds the socket (@NAME: an abstract one) and prints each
# datagram as one line, the newlines in it as "|". Perl is on every Debian; node has no such sockets.
use strict;
use warnings;
use Socket;
$| = 1;
my $path = shift;
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
bind($socket, pack_sockaddr_un($path =~ /^@(.*)/ ? "\0$1" : $path)) or die "bind: $!";
print "bound\n";
while (defined recv($socket, my $lines, 65536, 0)) {
    $lines =~ tr/\n/|/;
    print "$lines\n";
}
