/* The least that can be done for an endless stream: accept, answer, and write the same bytes to everybody twice a second.
 *
 *     write_loop PORT BYTES PERIOD_MS
 *
 * One thread, epoll for newcomers only. A listener whose socket is full loses that write; one who leaves is dropped. The
 * measure for any server of streams: what it uses above this is its own.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 65536, EVENTS = 512 };
static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";
static int listening[MOST], count;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 4) return fprintf(stderr, "write_loop PORT BYTES PERIOD_MS\n"), 2;
    int bytes = atoi(argv[2]);
    double period = atoi(argv[3]) / 1000.0;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    char *piece = malloc(bytes);
    for (int i = 0; i < bytes; i++) piece[i] = (char)(i * 31);
    int door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(door, (struct sockaddr *)&here, sizeof here) || listen(door, 8192)) return perror("write_loop"), 1;
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = door}, events[EVENTS];
    epoll_ctl(poll, EPOLL_CTL_ADD, door, &event);
    double due = now() + period;
    for (;;) {
        int wait_ms = (int)((due - now()) * 1000);
        int found = epoll_wait(poll, events, EVENTS, wait_ms > 0 ? wait_ms : 0);
        for (int i = 0; i < found; i++) {
            int fd = events[i].data.fd;
            if (fd == door) {
                while ((fd = accept4(door, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
                    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
                }
                continue;
            }
            char asked[4096];
            ssize_t got = recv(fd, asked, sizeof asked, 0);
            epoll_ctl(poll, EPOLL_CTL_DEL, fd, NULL);
            if (got > 0 && count < MOST && send(fd, HEAD, sizeof HEAD - 1, MSG_NOSIGNAL) > 0)
                listening[count++] = fd;
            else
                close(fd);
        }
        if (now() < due) continue;
        due += period;
        for (int i = 0; i < count;) {
            ssize_t sent = send(listening[i], piece, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent < 0 && errno != EAGAIN) {
                close(listening[i]);
                listening[i] = listening[--count];
            } else
                i++;
        }
    }
}
