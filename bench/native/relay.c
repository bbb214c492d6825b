// A path with a delay: relays TCP connections and holds every octet back for a while, each way, without ever being the
// bottleneck: large reads, gathered in time, one timer. relay PORT TARGET-PORT MICROSECONDS
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 1 << 16, EVENTS = 64 };

struct chunk { struct chunk *next; uint64_t due; size_t length, written; uint8_t bytes[]; };
// One direction of one connection. A chunk without octets is the end of the stream.
struct lane { int from, to; struct chunk *head, **tail; struct lane *next; };

static struct lane *lanes;
static uint64_t delay;
static int poller;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void watch(int fd, void *data) {
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = data};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
}

static void open_lane(int from, int to) {
  struct lane *lane = malloc(sizeof *lane);
  *lane = (struct lane){from, to, NULL, NULL, lanes};
  lane->tail = &lane->head;
  lanes = lane;
  watch(from, lane);
}

static void accept_one(int listener, int target) {
  struct sockaddr_in to = loopback(target);
  int on = 1, client = accept4(listener, NULL, NULL, SOCK_NONBLOCK), server = socket(AF_INET, SOCK_STREAM, 0);
  if (client < 0) return;
  if (connect(server, (struct sockaddr *)&to, sizeof to)) {
    close(client), close(server);
    return;
  }
  fcntl(server, F_SETFL, O_NONBLOCK);
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  open_lane(client, server);
  open_lane(server, client);
}

static void take(struct lane *lane) {
  struct chunk *chunk = malloc(sizeof *chunk + CHUNK);
  ssize_t n = read(lane->from, chunk->bytes, CHUNK);
  if (n < 0 && errno == EAGAIN) {
    free(chunk);
    return;
  }
  if (n <= 0) n = 0, epoll_ctl(poller, EPOLL_CTL_DEL, lane->from, NULL);
  chunk = realloc(chunk, sizeof *chunk + n);
  chunk->next = NULL, chunk->due = now() + delay, chunk->length = n, chunk->written = 0;
  *lane->tail = chunk, lane->tail = &chunk->next;
}

// Passes on what is due. Descriptors stay open until the process ends: connections here are few.
static void give(struct lane *lane, uint64_t at) {
  for (struct chunk *chunk; (chunk = lane->head) && chunk->due <= at;) {
    if (chunk->length == 0) shutdown(lane->to, SHUT_WR);
    while (chunk->written < chunk->length) {
      ssize_t n = send(lane->to, chunk->bytes + chunk->written, chunk->length - chunk->written, MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) return;
      if (n < 0) break;
      chunk->written += n;
    }
    if (!(lane->head = chunk->next)) lane->tail = &lane->head;
    free(chunk);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) errx(2, "relay PORT TARGET-PORT MICROSECONDS");
  struct sockaddr_in at = loopback(atoi(argv[1]));
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  delay = atoll(argv[3]) * 1000ull;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 100)) err(1, "listen");
  poller = epoll_create1(0);
  watch(listener, NULL);
  for (;;) {
    uint64_t soonest = UINT64_MAX, time = now();
    for (struct lane *lane = lanes; lane; lane = lane->next) {
      give(lane, time);
      if (lane->head && lane->head->due < soonest) soonest = lane->head->due;
    }
    // What would not go out at once is tried again half a millisecond later.
    uint64_t wait = soonest == UINT64_MAX ? 1000000000 : soonest > time ? soonest - time : 500000;
    struct timespec timeout = {wait / 1000000000, wait % 1000000000};
    struct epoll_event events[EVENTS];
    int n = epoll_pwait2(poller, events, EVENTS, &timeout, NULL);
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr) take(events[i].data.ptr);
      else accept_one(listener, atoi(argv[2]));
    }
  }
}
