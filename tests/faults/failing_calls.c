/*
 * Makes system calls of a program fail: cc -shared -fPIC -o failing_calls.so failing_calls.c -ldl, then
 * LD_PRELOAD=failing_calls.so FAILING_CALLS=FILE program. FILE has one byte for each call, in the order of `enum call`:
 * the error number that it fails with, or 0. The test writes it while the program runs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { SOCKET, BIND, ACCEPT, CONNECT, SEND, RECEIVE, OPEN, READ, WRITE, INTERFACES, WAIT, CALLS };

static volatile unsigned char *errors;
static unsigned char none[CALLS];

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("FAILING_CALLS");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void *memory = file < 0 ? MAP_FAILED : mmap(NULL, CALLS, PROT_READ, MAP_SHARED, file, 0);
  errors = memory == MAP_FAILED ? none : memory;
  if (file >= 0) close(file);
}

/* Whether the call is to fail; errno is set then. */
static int fails(enum call call) {
  if (!errors || !errors[call]) return 0;
  errno = errors[call];
  return 1;
}

/* Pipes and event counters are the runtime's own, and no file or disk fails there. */
static int is_file(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* Deno hears of signals through a pair of local sockets, which has no such troubles. */
static int is_network(int fd) {
  int domain = 0;
  socklen_t length = sizeof domain;
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain != AF_UNIX;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int socket(int domain, int type, int protocol) { return fails(SOCKET) ? -1 : NEXT(socket)(domain, type, protocol); }

int bind(int fd, const struct sockaddr *name, socklen_t length) {
  return fails(BIND) ? -1 : NEXT(bind)(fd, name, length);
}

int accept4(int fd, struct sockaddr *name, socklen_t *length, int flags) {
  return fails(ACCEPT) ? -1 : NEXT(accept4)(fd, name, length, flags);
}

int connect(int fd, const struct sockaddr *name, socklen_t length) {
  return fails(CONNECT) ? -1 : NEXT(connect)(fd, name, length);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
  return is_network(fd) && fails(SEND) ? -1 : NEXT(send)(fd, bytes, length, flags);
}

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
  return is_network(fd) && fails(SEND) ? -1 : NEXT(sendto)(fd, bytes, length, flags, to, size);
}

ssize_t recv(int fd, void *bytes, size_t length, int flags) {
  return is_network(fd) && fails(RECEIVE) ? -1 : NEXT(recv)(fd, bytes, length, flags);
}

ssize_t recvfrom(int fd, void *bytes, size_t length, int flags, struct sockaddr *from, socklen_t *size) {
  return is_network(fd) && fails(RECEIVE) ? -1 : NEXT(recvfrom)(fd, bytes, length, flags, from, size);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return fails(OPEN) ? -1 : NEXT(open64)(path, flags, mode);
}

ssize_t read(int fd, void *bytes, size_t length) {
  return is_file(fd) && fails(READ) ? -1 : NEXT(read)(fd, bytes, length);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  return is_file(fd) && fails(WRITE) ? -1 : NEXT(write)(fd, bytes, length);
}

int getifaddrs(struct ifaddrs **list) { return fails(INTERFACES) ? -1 : NEXT(getifaddrs)(list); }

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout) {
  /* Only a signal interrupts it; else the program would have no event loop. */
  if (errors && errors[WAIT] == EINTR && fails(WAIT)) {
    NEXT(epoll_wait)(fd, events, 0, 1);
    errno = EINTR;
    return -1;
  }
  return NEXT(epoll_wait)(fd, events, count, timeout);
}
