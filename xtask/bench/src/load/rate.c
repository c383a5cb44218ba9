/* Measures latency at a fixed rate with as little overhead as possible: an epoll loop that sleeps until a request is due
 * (timer resolution: nanoseconds), sends it on a free connection, and counts latency from the due time. An answer must
 * arrive in one read and end with a newline. Usage: rate IP PORT CONNECTIONS RATE SECONDS */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static const char REQUEST[] = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

static void fail(const char *action) {
    perror(action);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int ascending(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: rate IP PORT CONNECTIONS RATE SECONDS\n");
        return 64;
    }
    int connections = atoi(argv[3]);
    double rate = atof(argv[4]), seconds = atof(argv[5]);
    long count = (long)(rate * seconds);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1 || connections < 1 || connections > 10000 || count < 1) {
        fprintf(stderr, "rate: an argument is out of range\n");
        return 64;
    }
    /* The default timer slack is 50 µs. */
    if (prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)) fail("setting the timer slack");
    int poll = epoll_create1(0);
    int *free_ones = calloc((size_t)connections, sizeof *free_ones), free_count = 0;
    double *due_of = calloc((size_t)connections + 1024, sizeof *due_of);
    double *took = calloc((size_t)count, sizeof *took);
    if (poll < 0 || !free_ones || !due_of || !took) fail("starting");
    for (int n = 0; n < connections; n++) {
        int one = 1, connection = socket(AF_INET, SOCK_STREAM, 0);
        if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof address)) fail("connecting");
        if (connection >= connections + 1024) fail("numbering connections");
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = connection};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, connection, &event)) fail("watching a connection");
        free_ones[free_count++] = connection;
    }
    /* One request on each connection makes sure that the server has accepted all of them. */
    for (int n = 0; n < free_count; n++) {
        char answer[4096];
        if (write(free_ones[n], REQUEST, sizeof REQUEST - 1) != sizeof REQUEST - 1) fail("sending a request");
        if (read(free_ones[n], answer, sizeof answer) <= 0) fail("reading an answer");
    }
    long sent = 0, done = 0;
    double start = now();
    while (done < count) {
        struct epoll_event events[256];
        struct timespec left = {.tv_sec = 1};
        if (sent < count && free_count) {
            double until = (double)sent / rate - (now() - start);
            left.tv_sec = 0;
            left.tv_nsec = until <= 0 ? 0 : until < 0.5 ? (long)(until * 1e9) : 500000000;
        }
        int ready = epoll_pwait2(poll, events, 256, &left, NULL);
        if (ready < 0 && errno != EINTR) fail("waiting");
        for (int n = 0; n < ready; n++) {
            char answer[4096];
            int connection = events[n].data.fd;
            ssize_t length = read(connection, answer, sizeof answer);
            if (length <= 0 || answer[length - 1] != '\n') fail("reading an answer");
            took[done++] = now() - start - due_of[connection];
            free_ones[free_count++] = connection;
        }
        while (sent < count && free_count && (double)sent / rate <= now() - start) {
            int connection = free_ones[--free_count];
            due_of[connection] = (double)sent++ / rate;
            if (write(connection, REQUEST, sizeof REQUEST - 1) != sizeof REQUEST - 1) fail("sending a request");
        }
    }
    qsort(took, (size_t)count, sizeof *took, ascending);
    printf("{\"requests\":%ld,\"p50\":%.0f,\"p99\":%.0f,\"p99.9\":%.0f}\n", count, took[count / 2] * 1e6,
           took[(long)((double)count * 0.99)] * 1e6, took[(long)((double)count * 0.999)] * 1e6);
    return 0;
}
