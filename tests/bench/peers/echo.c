/* Uppercase echo of TCP and UDP in C with epoll. Says where it listens on standard output. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[64 * 1024];

static void upper(ssize_t count) {
  for (ssize_t i = 0; i < count; i++) buffer[i] -= (buffer[i] >= 'a' && buffer[i] <= 'z') << 5;
}

/* A socket on a free port of loopback, whose address it prints. */
static int bound(int type, const char *scheme) {
  int fd = socket(AF_INET, type, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  bind(fd, (struct sockaddr *)&address, length);
  getsockname(fd, (struct sockaddr *)&address, &length);
  if (type == SOCK_STREAM) listen(fd, 1024);
  printf("%s://127.0.0.1:%d\n", scheme, ntohs(address.sin_port));
  return fd;
}

static void watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void answer_datagram(int fd) {
  struct sockaddr_in peer;
  socklen_t length = sizeof peer;
  ssize_t count = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &length);
  if (count < 0) return;
  upper(count);
  sendto(fd, buffer, count, 0, (struct sockaddr *)&peer, length);
}

/* It waits while a client does not take its answer: enough for clients that read all the time. */
static void answer_stream(int fd) {
  ssize_t count = recv(fd, buffer, sizeof buffer, 0), sent = 0;
  upper(count);
  while (sent < count) {
    ssize_t more = send(fd, buffer + sent, count - sent, MSG_NOSIGNAL);
    if (more < 0) break;
    sent += more;
  }
  if (count <= 0 || sent < count) close(fd);
}

int main(void) {
  int listener = bound(SOCK_STREAM, "tcp"), datagrams = bound(SOCK_DGRAM, "udp");
  int epoll = epoll_create1(0), on = 1;
  fflush(stdout);
  watch(epoll, listener);
  watch(epoll, datagrams);
  for (;;) {
    struct epoll_event events[256];
    int count = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == datagrams) {
        answer_datagram(fd);
      } else if (fd == listener) {
        int client = accept(listener, NULL, NULL);
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(epoll, client);
      } else {
        answer_stream(fd);
      }
    }
  }
}
