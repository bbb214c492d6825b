// Preloaded into BIND 9.18, which leaves Nagle's algorithm on: pipelined answers would wait 40 ms for an acknowledgement.
// What a listening socket is set to, the sockets accepted from it are too.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int listen(int fd, int backlog) {
  int (*original)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "listen");
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return original(fd, backlog);
}
