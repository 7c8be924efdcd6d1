/* A crowd for the benchmarks, as light as a process can be: it measures the server, so it must not be the limit.
 *
 *     crowd stream|parts|files HOST PORT PATH LISTENERS RAMP_S SECONDS PART_MS
 *
 * stream: GET PATH, an endless answer; what is measured is when bytes came.
 * parts:  GET PATH/join.mp4 once, then PATH/part/N.m4s, each asked before it exists, N from the header Rostra-Next on.
 * files:  PATH/part/N.m4s, N counted from the beginning, each asked PART_MS after the one before: for servers that cannot hold a request.
 *
 * Listener i sets out at i/LISTENERS of the ramp whatever happened to the others; time to first sound counts from there. Prints
 * "steady" when the ramp is over, and SECONDS later one JSON object. A part is late by how much later it came than the best
 * offset between part number and clock seen so far allows. One process, one thread, at most 19,900 listeners (files).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 1024, TOP_MS = 120000, PER_SOURCE = 1000, HEAD_MOST = 2048, MOST = 65536 };
enum { AWAY, CONNECTING, HEAD, BODY, FLOWING };
static const double GAP_S = 1.5, AGAIN_S = 1.0;

struct listener {
    int fd, state, next, head_len;
    long left;
    double intended, heard, asked_at;
    char joined, had_gap, joining;
    char head[HEAD_MOST];
};

static struct listener *all;
static int poll_fd, is_stream, is_files, listeners, retries[MOST], retry_first, retry_last;
static int resting[MOST], rest_first, rest_last; /* who asks again PART_MS after the last time, in that order */
static double retry_at[MOST], start;
static struct sockaddr_in server;
static const char *path;
static char host[64], buffer[1 << 18];
static long answers, bytes, gaps, with_gaps, late, over_part, lost, refused, cannot, bad, joined_count;
static long first_ms[TOP_MS + 1], late_ms[TOP_MS + 1], start_ms[TOP_MS + 1];
static double longest, part_s, offset = 1e18;
static int last_status;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_utime.tv_usec / 1e6 + used.ru_stime.tv_sec + used.ru_stime.tv_usec / 1e6;
}

static void note(long *counts, double seconds) {
    long at = (long)(seconds * 1000);
    counts[at < 0 ? 0 : at > TOP_MS ? TOP_MS : at]++;
}

static long quantile(const long *counts, double share) {
    double total = 0, seen = 0;
    for (int i = 0; i <= TOP_MS; i++) total += counts[i];
    for (int i = 0; i <= TOP_MS; i++)
        if ((seen += counts[i]) >= share * total && total) return i;
    return -1;
}

static void watch(struct listener *one, int events, int how) {
    struct epoll_event event = {.events = events | EPOLLET, .data.ptr = one};
    epoll_ctl(poll_fd, how, one->fd, &event);
}

static void leave(struct listener *one) {
    if (one->fd >= 0) close(one->fd);
    one->fd = -1;
    one->state = AWAY;
    retries[retry_last % MOST] = one - all;
    retry_at[retry_last++ % MOST] = now() + AGAIN_S;
}

static void ask(struct listener *one) {
    static const char format[] = "GET %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: crowd\r\n\r\n";
    static char text[512];
    static int length, made_for = -1; /* most ask for what the one before asked for */
    int number = is_stream || one->joining ? -1 : one->next;
    if (number < 0 || number != made_for) {
        char part[32];
        snprintf(part, sizeof part, "/part/%d.m4s", number);
        length = snprintf(text, sizeof text, format, path, is_stream ? "" : one->joining ? "/join.mp4" : part, host);
        made_for = number;
    }
    one->state = HEAD;
    one->head_len = 0;
    one->asked_at = is_files ? now() : 0;
    if (send(one->fd, text, length, MSG_NOSIGNAL) != length) lost++, leave(one);
}

static void set_out(struct listener *one) {
    int index = one - all, on = 1;
    one->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (one->fd < 0) {
        cannot++;
        leave(one);
        return;
    }
    if ((ntohl(server.sin_addr.s_addr) >> 24) == 127) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        from.sin_addr.s_addr = htonl(127u << 24 | (unsigned)(16 + getpid() % 200) << 16 | (unsigned)(1 + index / PER_SOURCE) << 8 | 1);
        setsockopt(one->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(one->fd, (struct sockaddr *)&from, sizeof from)) cannot++;
    }
    setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    one->joining = !is_stream && !is_files && !one->next;
    if (is_files) one->next = (now() - start) / part_s;
    if (connect(one->fd, (struct sockaddr *)&server, sizeof server) == 0) {
        watch(one, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_ADD);
        ask(one);
    } else if (errno == EINPROGRESS) {
        one->state = CONNECTING;
        watch(one, EPOLLOUT, EPOLL_CTL_ADD);
    } else {
        cannot++;
        leave(one);
    }
}

static void sound(struct listener *one, double at) {
    if (!one->joined) {
        one->joined = 1;
        joined_count++;
        note(first_ms, at - one->intended);
    } else if (at - one->heard > GAP_S) {
        gaps++;
        with_gaps += !one->had_gap;
        one->had_gap = 1;
        if (at - one->heard > longest) longest = at - one->heard;
    }
    one->heard = at;
}

static const char *header(const char *head, int length, const char *name) {
    const char *end = head + length;
    size_t size = strlen(name);
    for (const char *line = head; line && line + size < end; line = memchr(line, '\n', end - line), line += line != NULL)
        if (!strncasecmp(line, name, size)) return line + size;
    return NULL;
}

static void answered(struct listener *one) {
    double at = now();
    answers++;
    if (!one->joining) {
        if (at - one->next * part_s < offset) offset = at - one->next * part_s;
        double behind = is_files ? at - one->asked_at : at - one->next * part_s - offset;
        note(late_ms, behind);
        over_part += behind > part_s;
        one->next++;
    }
    one->joining = 0;
    sound(one, at);
    if (is_files) resting[rest_last++ % MOST] = one - all;
    else ask(one);
}

/* The head of an answer; gives how many of its bytes were head, 0 if it is not whole yet, -1 if unusable. */
static int read_head(struct listener *one, const char *head, int size) {
    const char *end = memmem(head, size, "\r\n\r\n", 4);
    if (!end) return size >= HEAD_MOST ? -1 : 0;
    int length = end - head + 4;
    last_status = atoi(head + 9);
    if (last_status != 200) return -1;
    if (is_stream) {
        one->state = FLOWING;
        return length;
    }
    const char *left = header(head, length, "content-length:"), *next = one->joining ? header(head, length, "rostra-next:") : NULL;
    if (!left || (one->joining && !next)) return -1;
    if (one->joining) one->next = atoi(next);
    one->left = atol(left);
    one->state = BODY;
    return length;
}

static void received(struct listener *one, const char *data, long got) {
    long at = 0;
    if (one->state == HEAD) {
        /* Nearly always the whole head is in what came; else it is put together. */
        const char *head = data;
        int before = one->head_len, size = got;
        if (before) {
            int room = HEAD_MOST - before, take = got < room ? got : room;
            memcpy(one->head + before, data, take);
            head = one->head, size = before + take;
        }
        int length = read_head(one, head, size);
        if (length == 0) {
            if (!before) memcpy(one->head, data, got);
            one->head_len = size;
            return;
        }
        if (length < 0) {
            if (last_status == 503 || last_status == 404) refused++, one->next = 0; else bad++;
            leave(one);
            return;
        }
        at = length - before;
    }
    if (one->state == FLOWING) {
        if (got > at) sound(one, now()), answers++;
        return;
    }
    one->left -= got - at;
    if (one->left == 0) answered(one);
    else if (one->left < 0) bad++, leave(one);
}

/* Told once for all that has come (EPOLLET), so all of it is taken; ended: the end has come as well. */
static void readable(struct listener *one, int ended) {
    for (;;) {
        ssize_t got = recv(one->fd, buffer, sizeof buffer, 0);
        if (got <= 0) {
            if (got < 0 && errno == EAGAIN) return;
            lost++;
            leave(one);
            return;
        }
        bytes += got;
        received(one, buffer, got);
        if ((got < (ssize_t)sizeof buffer && !ended) || one->state == AWAY) return;
    }
}

int main(int argc, char **argv) {
    if (argc != 9) return fprintf(stderr, "crowd stream|parts|files HOST PORT PATH LISTENERS RAMP_S SECONDS PART_MS\n"), 2;
    is_stream = !strcmp(argv[1], "stream");
    is_files = !strcmp(argv[1], "files");
    snprintf(host, sizeof host, "%s:%s", argv[2], argv[3]);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};
    inet_pton(AF_INET, argv[2], &server.sin_addr);
    path = argv[4];
    listeners = atoi(argv[5]);
    double ramp = atof(argv[6]), seconds = atof(argv[7]);
    part_s = atof(argv[8]) / 1000;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poll_fd = epoll_create1(0);
    all = calloc(listeners, sizeof *all);
    for (int i = 0; i < listeners; i++) all[i].fd = -1;
    struct epoll_event events[EVENTS];
    double began = start = now(), steady = 0, steady_cpu = 0, end = began + ramp + 1.0 + seconds, at, busy_at = began, busy_cpu = cpu(), busiest = 0;
    long steady_answers = 0, steady_bytes = 0, steady_late = 0, steady_gaps = 0;
    int out = 0;
    while ((at = now()) < end) {
        while (out < listeners && began + ramp * out / listeners <= at) {
            all[out].intended = began + ramp * out / listeners;
            note(start_ms, at - all[out].intended);
            set_out(&all[out++]);
            if (out % 64 == 0) break;
        }
        while (retry_first < retry_last && retry_at[retry_first % MOST] <= at) set_out(&all[retries[retry_first++ % MOST]]);
        while (rest_first < rest_last && all[resting[rest_first % MOST]].asked_at + part_s <= at) {
            struct listener *one = &all[resting[rest_first++ % MOST]];
            if (one->state == BODY && one->left == 0) ask(one);
        }
        if (!steady && out == listeners && at > began + ramp + 1.0) {
            steady = at, steady_cpu = cpu(), steady_answers = answers, steady_bytes = bytes, steady_late = over_part, steady_gaps = gaps;
            printf("steady\n");
            fflush(stdout);
        }
        if (at - busy_at >= 5) {
            double share = (cpu() - busy_cpu) / (at - busy_at);
            if (share > busiest) busiest = share;
            busy_at = at, busy_cpu = cpu();
        }
        int found = epoll_wait(poll_fd, events, EVENTS, out < listeners || is_files ? 1 : 20);
        for (int i = 0; i < found; i++) {
            struct listener *one = events[i].data.ptr;
            if (one->state == CONNECTING) {
                int wrong = 0;
                socklen_t size = sizeof wrong;
                getsockopt(one->fd, SOL_SOCKET, SO_ERROR, &wrong, &size);
                if (wrong) cannot++, leave(one);
                else watch(one, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_MOD), ask(one);
            } else if (one->state != AWAY)
                readable(one, events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
        }
    }
    int inside = 0;
    for (int i = 0; i < listeners; i++) {
        inside += all[i].joined && all[i].fd >= 0;
        if (all[i].joined && at - all[i].heard > GAP_S) {
            gaps++;
            with_gaps += !all[i].had_gap;
            if (at - all[i].heard > longest) longest = at - all[i].heard;
        }
    }
    late = over_part;
    printf("{\"listeners\":%d,\"joined\":%ld,\"inside\":%d,\"first_sound_ms\":{\"p50\":%ld,\"p95\":%ld,\"p99\":%ld,\"most\":%ld},"
           "\"lateness_ms\":{\"p50\":%ld,\"p95\":%ld,\"p99\":%ld,\"most\":%ld},\"late\":%ld,\"late_steady\":%ld,\"gaps\":%ld,\"gaps_steady\":%ld,"
           "\"with_gaps\":%ld,\"longest_gap_s\":%.2f,\"errors\":{\"lost\":%ld,\"refused\":%ld,\"cannot_connect\":%ld,\"bad\":%ld},"
           "\"steady_s\":%.3f,\"steady_answers\":%ld,\"steady_bytes\":%ld,\"steady_cpu_s\":%.3f,\"busiest\":%.3f,\"joins_late_ms\":%ld}\n",
           listeners, joined_count, inside, quantile(first_ms, .5), quantile(first_ms, .95), quantile(first_ms, .99), quantile(first_ms, 1),
           quantile(late_ms, .5), quantile(late_ms, .95), quantile(late_ms, .99), quantile(late_ms, 1), late, late - steady_late, gaps,
           gaps - steady_gaps, with_gaps, longest, lost, refused, cannot, bad, at - steady, answers - steady_answers, bytes - steady_bytes,
           cpu() - steady_cpu, busiest, quantile(start_ms, .99));
    return 0;
}
