// A load of DNS queries, and what came of it as one line of JSON: rates, losses, and the percentiles of the latency,
// which Debian's dnsperf (2.10) does not tell. One thread; what has come together goes in one system call.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "histogram.h"
#include "query.h"

static const char USAGE[] =
    "load -p PORT [-m udp|tcp] [-l SECONDS] [-q WINDOW] [-Q RATE] [-c SOCKETS] [-n NAMES] [-f FIRST] [-u PREFIX] "
    "[-z SUFFIX] [-e] [-r] [-1]\n-Q: this many a second in place of a window; -n: that many names, else every name is new,\n"
    "numbered from FIRST; -e: with EDNS; -1: every name once, then stop";

enum { BATCH = 64, ROOM = 4096, IDS = 65536, STREAM = 1 << 17, MAX_SOCKETS = 256 };
static const uint64_t SECOND = 1000000000ull, PATIENCE = 2000000000ull;

struct client {
  int fd, in_flight;
  uint32_t in_length, out_length;
  uint8_t *in, *out;  // TCP: what has come and is no whole message yet, what is still to be written
};

static struct { int port, tcp, window, sockets, edns, scattered, once; double seconds, rate; uint32_t names, first; } o =
    {.window = 100, .sockets = 8, .seconds = 3};
static struct template query;
static struct client clients[MAX_SOCKETS];
static uint64_t sent_at[IDS];  // 0: nobody waits for it
static uint8_t owner[IDS];     // the client that asked
static uint16_t ids[IDS];      // the free ones, the one that has been free for longest first
static uint32_t first_free, free_count = IDS, number;
static uint64_t sent, answered, failed, lost, late, broken;
static struct histogram latencies;
static int poller, timer;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * SECOND + t.tv_nsec;
}

static void open_client(struct client *c) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(o.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int on = 1, size = 4 << 20;
  c->fd = socket(AF_INET, o.tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) err(1, "connect");
  if (o.tcp) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  else setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e)) err(1, "epoll_ctl");
  c->in_length = c->out_length = c->in_flight = 0;
}

static void release(uint16_t id) {
  clients[owner[id]].in_flight--;
  sent_at[id] = 0;
  ids[(first_free + free_count++) % IDS] = id;
}

// What is answered too late, or never, is lost. Without a client: all whose time is over.
static void give_up(struct client *c, uint64_t before) {
  for (int id = 0; id < IDS; id++) {
    if (!sent_at[id] || sent_at[id] > before || (c && owner[id] != c - clients)) continue;
    release(id);
    lost++;
  }
}

static int write_query(struct client *c, uint8_t *into, uint64_t at) {
  uint16_t id = ids[first_free];
  first_free = (first_free + 1) % IDS, free_count--;
  sent_at[id] = at, owner[id] = c - clients;
  c->in_flight++, sent++;
  uint32_t n = number++;
  if (o.scattered) n *= 2654435761u; // Knuth's multiplier: one after the other are far apart
  return make_query(&query, into, id, o.names ? n % o.names : n);
}

static void reconnect(struct client *c) {
  broken++;
  close(c->fd);
  give_up(c, UINT64_MAX);
  open_client(c);
}

static void push(struct client *c) {
  if (!c->out_length) return;
  ssize_t n = write(c->fd, c->out, c->out_length);
  if (n < 0 && errno != EAGAIN) return reconnect(c);
  if (n <= 0) return;
  memmove(c->out, c->out + n, c->out_length -= n);
}

static void ask(struct client *c, int count) {
  static uint8_t bytes[BATCH][LONGEST];
  static struct iovec vectors[BATCH];
  static struct mmsghdr messages[BATCH];
  uint64_t at = now();
  if (o.once && count > (int)(o.names - number)) count = o.names - number;
  if (count > (int)free_count) count = free_count;
  if (o.tcp) {
    for (; count > 0 && c->out_length < STREAM - LONGEST; count--) {
      int length = write_query(c, c->out + c->out_length + 2, at);
      c->out[c->out_length] = 0, c->out[c->out_length + 1] = length;
      c->out_length += length + 2;
    }
    return push(c);
  }
  while (count > 0) {
    int n = count < BATCH ? count : BATCH;
    for (int i = 0; i < n; i++) {
      vectors[i] = (struct iovec){bytes[i], write_query(c, bytes[i], at)};
      messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    sendmmsg(c->fd, messages, n, 0);  // What could not be sent is lost, and counted when its time is over.
    count -= n;
  }
}

static void take(struct client *c, const uint8_t *message, int length, uint64_t at) {
  uint16_t id = length < HEADER ? 0 : message[0] << 8 | message[1];
  if (length < HEADER || !sent_at[id] || owner[id] != c - clients) {
    late++;
    return;
  }
  if (message[3] & 15 || !message[7]) failed++;  // An answer without a record is none.
  else answered++, note(&latencies, at - sent_at[id]);
  release(id);
}

static void receive_datagrams(struct client *c) {
  static uint8_t bytes[BATCH][ROOM];
  static struct iovec vectors[BATCH];
  static struct mmsghdr messages[BATCH];
  for (int i = 0; i < BATCH; i++) {
    vectors[i] = (struct iovec){bytes[i], ROOM};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  int n = recvmmsg(c->fd, messages, BATCH, MSG_DONTWAIT, NULL);
  uint64_t at = now();
  for (int i = 0; i < n; i++) take(c, bytes[i], messages[i].msg_len, at);
}

static void receive_stream(struct client *c) {
  ssize_t n = read(c->fd, c->in + c->in_length, STREAM - c->in_length);
  if (n == 0 || (n < 0 && errno != EAGAIN)) return reconnect(c);
  if (n < 0) return;
  uint64_t at = now();
  uint32_t end = c->in_length + n, start = 0;
  for (;;) {
    uint32_t length = end - start < 2 ? STREAM : c->in[start] << 8 | c->in[start + 1];
    if (end - start < length + 2) break;
    take(c, c->in + start + 2, length, at);
    start += length + 2;
  }
  memmove(c->in, c->in + start, c->in_length = end - start);
}

static void set_timer(uint64_t at) {
  struct itimerspec t = {.it_value = {at / SECOND, at % SECOND}};
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static void run(void) {
  uint64_t interval = o.rate > 0 ? SECOND / o.rate : 0, in_time = 0, stopped = 0;
  int share = (o.window + o.sockets - 1) / o.sockets, turn = 0;
  // Slowly at first: all of a large window at once would overflow anyone's receive buffer.
  for (int asked = 0; !interval && asked < o.window; asked += o.sockets, usleep(1000)) {
    for (int i = 0; i < o.sockets; i++) ask(&clients[i], 1);
  }
  uint64_t start = now(), end = start + o.seconds * SECOND, looked = start, due = start, next = start;
  if (interval) set_timer(next);
  for (;;) {
    struct epoll_event events[MAX_SOCKETS];
    int n = epoll_wait(poller, events, MAX_SOCKETS, 10);
    uint64_t at = now();
    if (!stopped && (at >= end || (o.once && number >= o.names))) stopped = at, in_time = answered;
    for (int i = 0; i < n; i++) {
      struct client *c = events[i].data.ptr;
      if (!c) continue;
      (o.tcp ? receive_stream : receive_datagrams)(c);
      if (!stopped && !interval && c->in_flight < share) ask(c, share - c->in_flight);
    }
    if (!stopped && interval && at >= next) {
      for (; due <= at + interval / 4; due += interval) ask(&clients[turn++ % o.sockets], 1);
      // A jitter of half the interval keeps it out of step with anyone's timers.
      set_timer(next = due - interval / 4 + interval / 2 * (rand() % 1024) / 1024);
    }
    if (at - looked > SECOND / 10) {
      give_up(NULL, at - PATIENCE);
      for (int i = 0; i < o.sockets; i++) {
        if (o.tcp) push(&clients[i]);
        if (!stopped && !interval && clients[i].in_flight < share) ask(&clients[i], share - clients[i].in_flight);
      }
      looked = at;
    }
    if (stopped && (free_count == IDS || at > stopped + PATIENCE)) break;
  }
  give_up(NULL, UINT64_MAX);
  double elapsed = (stopped - start) / 1e9;
  printf("{\"seconds\":%.3f,\"sent\":%lu,\"answered\":%lu,\"failed\":%lu,\"lost\":%lu,\"late\":%lu,\"broken\":%lu,"
         "\"rate\":%.0f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}\n",
         elapsed, sent, answered, failed, lost, late, broken, in_time / elapsed, percentile(&latencies, 0.5),
         percentile(&latencies, 0.9), percentile(&latencies, 0.99), percentile(&latencies, 0.999), latencies.largest / 1e3);
}

int main(int argc, char **argv) {
  const char *prefix = "n", *suffix = "bench.example.net";
  for (int option; (option = getopt(argc, argv, "p:m:l:q:Q:c:n:f:u:z:er1")) != -1;) {
    switch (option) {
      case 'p': o.port = atoi(optarg); break;
      case 'm': o.tcp = !strcmp(optarg, "tcp"); break;
      case 'l': o.seconds = atof(optarg); break;
      case 'q': o.window = atoi(optarg); break;
      case 'Q': o.rate = atof(optarg); break;
      case 'c': o.sockets = atoi(optarg); break;
      case 'n': o.names = atoi(optarg); break;
      case 'f': o.first = atoi(optarg); break;
      case 'u': prefix = optarg; break;
      case 'z': suffix = optarg; break;
      case 'e': o.edns = 1; break;
      case 'r': o.scattered = 1; break;
      case '1': o.once = 1; break;
      default: errx(2, "%s", USAGE);
    }
  }
  if (!o.port || o.sockets < 1 || o.sockets > MAX_SOCKETS || (o.once && !o.names)) errx(2, "%s", USAGE);
  query = make_template(prefix, suffix, o.edns);
  number = o.first;
  poller = epoll_create1(0);
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct epoll_event e = {.events = EPOLLIN | EPOLLET};
  epoll_ctl(poller, EPOLL_CTL_ADD, timer, &e);
  for (int i = 0; i < IDS; i++) ids[i] = i;
  for (int i = 0; i < o.sockets; i++) {
    if (o.tcp) clients[i].in = malloc(STREAM), clients[i].out = malloc(STREAM);
    open_client(&clients[i]);
  }
  run();
}
