// Queries from many source addresses of 127/8 at a steady pace, as a flood with forged sources looks to who gets it. They
// go from one port, whose socket also takes what comes back to any of these addresses. At the end it says in one line of
// JSON what went and came: each time packets and octets of DNS.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "query.h"

static const char USAGE[] =
    "flood -p PORT [-a FIRST_ADDRESS] [-c ADDRESSES] [-r RATE] [-l SECONDS] [-n NAMES] [-t MILLISECONDS] [-f FIRST] "
    "[-z SUFFIX]\n-n: ask for so many names in turn, else every name is new; -t: one name for so long, then the next";

enum { BATCH = 32, ROOM = 4096, CONTROL = CMSG_SPACE(sizeof(struct in_pktinfo)) };
static const uint64_t SECOND = 1000000000ull;

struct count { uint64_t packets, octets; };

static struct { int port, addresses, period; double rate, seconds; uint32_t names, number; } o =
    {.addresses = 65536, .rate = 100000, .seconds = 5};
static uint32_t first_address = 127u << 24 | 128 << 16 | 1;
static struct template query;
static struct count sent, answered, refused, truncated, failed;
static uint64_t longer;  // refused or truncated, and longer than the query
static uint64_t unsent;
static int fd;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * SECOND + t.tv_nsec;
}

static void add(struct count *c, int octets) {
  c->packets++, c->octets += octets;
}

static void ask(int count, uint64_t elapsed) {
  static uint8_t bytes[BATCH][LONGEST], control[BATCH][CONTROL];
  static struct iovec vectors[BATCH];
  static struct mmsghdr messages[BATCH];
  static uint32_t turn;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(o.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < count; i++, turn++) {
    uint32_t n = o.period ? elapsed / 1000000 / o.period : o.names ? turn % o.names : turn;
    vectors[i] = (struct iovec){bytes[i], make_query(&query, bytes[i], turn, o.number + n)};
    messages[i].msg_hdr = (struct msghdr){&to, sizeof to, &vectors[i], 1, control[i], CONTROL, 0};
    struct cmsghdr *header = CMSG_FIRSTHDR(&messages[i].msg_hdr);
    *header = (struct cmsghdr){.cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO, .cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo))};
    struct in_pktinfo source = {.ipi_spec_dst.s_addr = htonl(first_address + turn % o.addresses)};
    memcpy(CMSG_DATA(header), &source, sizeof source);
  }
  int n = sendmmsg(fd, messages, count, 0);
  for (int i = 0; i < n; i++) add(&sent, query.length);
  unsent += count - (n > 0 ? n : 0);
}

static void take(void) {
  static uint8_t bytes[BATCH][ROOM];
  static struct iovec vectors[BATCH];
  static struct mmsghdr messages[BATCH];
  int n;
  do {
    for (int i = 0; i < BATCH; i++) {
      vectors[i] = (struct iovec){bytes[i], ROOM};
      messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
      int length = messages[i].msg_len, rcode = bytes[i][3] & 15, is_truncated = bytes[i][2] & 2;
      add(rcode == 5 ? &refused : is_truncated ? &truncated : rcode ? &failed : &answered, length);
      if ((rcode == 5 || is_truncated) && length > query.length) longer++;
    }
  } while (n == BATCH);
}

static void tell(const char *name, struct count c) {
  printf("\"%s\":{\"packets\":%lu,\"octets\":%lu},", name, c.packets, c.octets);
}

int main(int argc, char **argv) {
  const char *suffix = "bench.example.net";
  for (int option; (option = getopt(argc, argv, "p:a:c:r:l:n:t:f:z:")) != -1;) {
    switch (option) {
      case 'p': o.port = atoi(optarg); break;
      case 'a': first_address = ntohl(inet_addr(optarg)); break;
      case 'c': o.addresses = atoi(optarg); break;
      case 'r': o.rate = atof(optarg); break;
      case 'l': o.seconds = atof(optarg); break;
      case 'n': o.names = atoi(optarg); break;
      case 't': o.period = atoi(optarg); break;
      case 'f': o.number = atoi(optarg); break;
      case 'z': suffix = optarg; break;
      default: errx(2, "%s", USAGE);
    }
  }
  if (!o.port || o.addresses < 1) errx(2, "%s", USAGE);
  query = make_template("n", suffix, 1);
  fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in any = {.sin_family = AF_INET};
  int size = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (bind(fd, (struct sockaddr *)&any, sizeof any)) err(1, "bind");
  uint64_t start = now(), end = start + o.seconds * SECOND, asked = 0;
  for (uint64_t at = start; at < end; at = now()) {
    uint64_t due = (at - start) / 1e9 * o.rate;
    // Whoever had no time does not make up for more than a hundredth of a second of it.
    if (due > asked + o.rate / 100) unsent += due - asked - o.rate / 100, asked = due - o.rate / 100;
    for (int n; asked < due; asked += n) ask(n = due - asked < BATCH ? due - asked : BATCH, at - start);
    take();
    usleep(100);
  }
  for (int i = 0; i < 100; i++, usleep(10000)) take();
  putchar('{');
  tell("sent", sent), tell("answered", answered), tell("refused", refused), tell("truncated", truncated), tell("failed", failed);
  printf("\"longer\":%lu,\"unsent\":%lu}\n", longer, unsent);
}
