// The floor: gives every datagram back, called an answer with a record, and does nothing else. echo PORT [batched]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 64, ROOM = 4096 };

static uint8_t bytes[BATCH][ROOM];
static struct sockaddr_in from[BATCH];

static void echo(int fd) {
  for (;;) {
    socklen_t size = sizeof from[0];
    ssize_t n = recvfrom(fd, bytes[0], ROOM, 0, (struct sockaddr *)&from[0], &size);
    if (n < 3) continue;
    bytes[0][2] |= 0x80, bytes[0][7] = 1;
    sendto(fd, bytes[0], n, 0, (struct sockaddr *)&from[0], size);
  }
}

static void echo_batched(int fd) {
  struct iovec vectors[BATCH];
  struct mmsghdr messages[BATCH] = {0};
  for (;;) {
    for (int i = 0; i < BATCH; i++) {
      vectors[i] = (struct iovec){bytes[i], ROOM};
      messages[i].msg_hdr = (struct msghdr){&from[i], sizeof from[i], &vectors[i], 1, NULL, 0, 0};
    }
    int n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < n; i++) bytes[i][2] |= 0x80, bytes[i][7] = 1, vectors[i].iov_len = messages[i].msg_len;
    if (n > 0) sendmmsg(fd, messages, n, 0);
  }
}

int main(int argc, char **argv) {
  if (argc < 2) errx(2, "echo PORT [batched]");
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(fd, (struct sockaddr *)&at, sizeof at)) err(1, "bind: Address already in use?");
  (argc > 2 ? echo_batched : echo)(fd);
}
