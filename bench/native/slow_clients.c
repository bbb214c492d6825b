// TCP clients that hold on to their connections, a quarter of them in each manner: they send nothing, an octet a second,
// half of a message, or valid queries whose answers they never read. Whoever is closed comes back, at a bounded pace.
// At the end it says what came of it as one line of JSON.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "query.h"

static const char USAGE[] =
    "slow_clients -p PORT [-c CONNECTIONS] [-a ADDRESSES] [-r CONNECTS] [-l SECONDS] [-z SUFFIX]\n"
    "-a: this many source addresses, from 127.16.0.1 on; -r: at most so many connects a second; -z: ask for TXT below it";

enum { MAX = 50000, EVENTS = 256, NOTHING = 0, DRIP = 1, HALF = 2, GREEDY = 3, MANNERS = 4, QUERIES = 16 };
static const uint64_t SECOND = 1000000000ull;

struct client { int fd, sent, up; uint64_t due; };

static struct { int port, connections, addresses; double pace, seconds; } o =
    {.connections = 10000, .addresses = 10000, .pace = 2000, .seconds = 10};
static struct client clients[MAX];
static int waiting[MAX], first_waiting, waiting_count;  // those without a connection, in the order of their turns
static uint64_t connects, established, closed, failed;
static int poller, up, most_up;
static uint8_t message[2 + LONGEST], burst[QUERIES * (2 + LONGEST)];
static int length;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * SECOND + t.tv_nsec;
}

static void wait_for_turn(int i) {
  waiting[(first_waiting + waiting_count++) % MAX] = i;
}

static void open_client(int i) {
  struct client *c = &clients[i];
  uint32_t source = (127u << 24 | 16 << 16) + 1 + i % o.addresses;
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source)};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(o.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int on = 1, segment = 1400, room = 4096;
  *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
  if (c->fd < 0) err(1, "socket");
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (bind(c->fd, (struct sockaddr *)&from, sizeof from)) err(1, "bind");
  // As on a network: the kernel would give a connection over loopback megabytes of buffers.
  setsockopt(c->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
  setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  connects++;
  struct epoll_event e = {.events = EPOLLOUT, .data.u32 = i};
  if ((connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) ||
      epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e)) {
    failed++;
    close(c->fd);
    c->fd = -1;
    wait_for_turn(i);
  }
}

static void close_client(int i) {
  struct client *c = &clients[i];
  if (c->up) up--, closed++;
  else failed++;
  close(c->fd);
  *c = (struct client){.fd = -1};
  wait_for_turn(i);
}

// Sends what this client sends next, and when it will send again.
static void act(int i, uint64_t at) {
  struct client *c = &clients[i];
  c->due = at + SECOND;
  switch (i % MANNERS) {
    case DRIP:
      if (send(c->fd, message + c->sent % length, 1, MSG_NOSIGNAL) == 1) c->sent++;
      break;
    case HALF:
      if (!c->sent && send(c->fd, message, length / 2, MSG_NOSIGNAL) > 0) c->sent = length / 2;
      break;
    case GREEDY:  // What does not fit is cut off, and so be it.
      c->sent += send(c->fd, burst, QUERIES * length, MSG_NOSIGNAL) > 0;
      break;
  }
}

static void established_now(int i, uint64_t at) {
  struct client *c = &clients[i];
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) return close_client(i);
  c->up = 1, established++;
  if (++up > most_up) most_up = up;
  // Those who never read are told of the end only.
  struct epoll_event e = {.events = EPOLLRDHUP, .data.u32 = i};
  epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
  act(i, at);
}

static void run(void) {
  uint64_t start = now(), end = start + o.seconds * SECOND, looked = start;
  for (int i = 0; i < o.connections; i++) wait_for_turn(i), clients[i].fd = -1;
  for (uint64_t at = start; at < end; at = now()) {
    uint64_t allowed = (at - start) / 1e9 * o.pace;
    for (int n = waiting_count; n > 0 && connects < allowed; n--) {
      int i = waiting[first_waiting];
      first_waiting = (first_waiting + 1) % MAX, waiting_count--;
      open_client(i);
    }
    struct epoll_event events[EVENTS];
    int n = epoll_wait(poller, events, EVENTS, 5);
    for (int j = 0; j < n; j++) {
      int i = events[j].data.u32;
      if (!clients[i].up && !(events[j].events & (EPOLLERR | EPOLLHUP))) established_now(i, at);
      else close_client(i);
    }
    if (at - looked < SECOND / 20) continue;
    looked = at;
    for (int i = 0; i < o.connections; i++) if (clients[i].up && clients[i].due <= at) act(i, at);
  }
  printf("{\"connects\":%lu,\"established\":%lu,\"closed\":%lu,\"failed\":%lu,\"open\":%d,\"mostOpen\":%d}\n",
         connects, established, closed, failed, up, most_up);
}

int main(int argc, char **argv) {
  const char *suffix = "greedy.example";
  for (int option; (option = getopt(argc, argv, "p:c:a:r:l:z:")) != -1;) {
    switch (option) {
      case 'p': o.port = atoi(optarg); break;
      case 'c': o.connections = atoi(optarg); break;
      case 'a': o.addresses = atoi(optarg); break;
      case 'r': o.pace = atof(optarg); break;
      case 'l': o.seconds = atof(optarg); break;
      case 'z': suffix = optarg; break;
      default: errx(2, "%s", USAGE);
    }
  }
  if (!o.port || o.connections < 1 || o.connections > MAX || o.addresses < 1 || o.addresses > MAX) errx(2, "%s", USAGE);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < (rlim_t)o.connections + 64) errx(1, "ulimit -Hn: %lu is too few", limit.rlim_max);
  struct template query = make_template("g", suffix, 0);
  length = 2 + make_query(&query, message + 2, 0, 0);
  message[1] = length - 2, message[length - 3] = 16;
  for (int i = 0; i < QUERIES; i++) memcpy(burst + i * length, message, length);
  poller = epoll_create1(0);
  run();
}
