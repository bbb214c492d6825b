// A DoT server that is never the bottleneck: every name has one address, and all that a read brought is answered in one
// write. dot_server PORT CERTIFICATE KEY. Whoever sends a datagram to the same port is told "QUERIES CONNECTIONS".
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN = 1 << 17, OUT = 1 << 19, HEADER = 12, EVENTS = 64, LONGEST_ANSWER = 600 };

struct client { int fd, ready; SSL *ssl; size_t in_length, out_length; uint8_t in[IN], out[OUT]; };

static uint64_t queries, connections;
static const uint8_t ADDRESS[] = {0xc0, 12, 0, 1, 0, 1, 0, 1, 0x51, 0x80, 0, 4, 192, 0, 2, 1};
static const uint8_t OPT[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};

// Returns the answer's length, 0 for what is no query with one question.
static size_t answer(const uint8_t *query, size_t length, uint8_t *into) {
  size_t at = HEADER;
  while (at < length && query[at] && query[at] < 64) at += query[at] + 1;
  if ((at += 5) > length || query[5] != 1) return 0;
  int is_address = query[at - 4] == 0 && query[at - 3] == 1, edns = query[11] > 0;
  memcpy(into, query, at);
  into[2] = 0x81 | (query[2] & 1), into[3] = 0x80 | (query[3] & 0x10);
  memset(into + 6, 0, 6);
  if (is_address) into[7] = 1, memcpy(into + at, ADDRESS, sizeof ADDRESS), at += sizeof ADDRESS;
  if (edns) into[11] = 1, memcpy(into + at, OPT, sizeof OPT), at += sizeof OPT;
  queries++;
  return at;
}

static void answer_all(struct client *c) {
  size_t start = 0;
  while (c->in_length - start >= 2 && c->out_length < OUT - LONGEST_ANSWER) {
    size_t length = c->in[start] << 8 | c->in[start + 1];
    if (c->in_length - start < length + 2) break;
    size_t n = answer(c->in + start + 2, length, c->out + c->out_length + 2);
    if (n) c->out[c->out_length] = n >> 8, c->out[c->out_length + 1] = n, c->out_length += n + 2;
    start += length + 2;
  }
  memmove(c->in, c->in + start, c->in_length -= start);
}

static int flush(struct client *c) {
  if (!c->out_length) return 1;
  int n = SSL_write(c->ssl, c->out, c->out_length);
  if (n > 0) memmove(c->out, c->out + n, c->out_length -= n);
  return n > 0 || SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_WRITE || SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
}

// Whether the connection lives on.
static int serve(struct client *c) {
  if (!c->ready) {
    int n = SSL_accept(c->ssl), error = n == 1 ? 0 : SSL_get_error(c->ssl, n);
    if (n != 1) return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
    c->ready = 1, connections++;
  }
  int n;
  while ((n = SSL_read(c->ssl, c->in + c->in_length, IN - c->in_length)) > 0) {
    c->in_length += n;
    if (c->in_length > IN / 2) answer_all(c);
  }
  int error = SSL_get_error(c->ssl, n);
  answer_all(c);
  return flush(c) && error == SSL_ERROR_WANT_READ;
}

static int open_socket(int type, struct sockaddr_in at) {
  int fd = socket(AF_INET, type, 0), on = 1;
  if (type == SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&at, sizeof at)) err(1, "bind");
  if (type == SOCK_STREAM && listen(fd, 100)) err(1, "listen");
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 4) errx(2, "dot_server PORT CERTIFICATE KEY");
  signal(SIGPIPE, SIG_IGN);
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_use_certificate_chain_file(context, argv[2]) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, argv[3], SSL_FILETYPE_PEM) != 1) errx(1, "certificate or key");
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int listener = open_socket(SOCK_STREAM, at), teller = open_socket(SOCK_DGRAM, at), poller = epoll_create1(0), on = 1;
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
  e.data.ptr = &teller;
  epoll_ctl(poller, EPOLL_CTL_ADD, teller, &e);
  for (;;) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      struct client *c = events[i].data.ptr;
      if (!c) {
        c = calloc(1, sizeof *c);
        c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->ssl = SSL_new(context);
        SSL_set_fd(c->ssl, c->fd);
        e = (struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
      } else if ((void *)c == &teller) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        char text[64];
        recvfrom(teller, text, sizeof text, 0, (struct sockaddr *)&from, &size);
        int length = snprintf(text, sizeof text, "%lu %lu", queries, connections);
        sendto(teller, text, length, 0, (struct sockaddr *)&from, size);
      } else if (!serve(c)) {
        close(c->fd);
        SSL_free(c->ssl);
        free(c);
      }
    }
  }
}
