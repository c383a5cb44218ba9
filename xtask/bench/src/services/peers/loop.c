/* The practical limit: an epoll loop that answers every read with the same bytes. It looks only for `: close`, the
 * client's request to close the connection. Usage: loop IP PORT HOST */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void fail(const char *action) {
    perror(action);
    exit(1);
}

/* Headers as ping sends them, with a constant date. */
static size_t answer(char *to, size_t room, const char *host, const char *more) {
    int length = snprintf(to, room,
                          "HTTP/1.1 200 OK\r\n"
                          "content-type: text/plain; charset=utf-8\r\n"
                          "x-served-by: %s\r\n%s"
                          "content-length: %zu\r\n"
                          "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n"
                          "Pong from %s\n",
                          host, more, strlen("Pong from \n") + strlen(host), host);
    return length > 0 && (size_t)length < room ? (size_t)length : 0;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: loop IP PORT HOST\n");
        return 64;
    }
    char keep[1024], last[1024];
    size_t keep_length = answer(keep, sizeof keep, argv[3], "");
    size_t last_length = answer(last, sizeof last, argv[3], "connection: close\r\n");
    if (!keep_length || !last_length) {
        fprintf(stderr, "loop: the name %s is too long\n", argv[3]);
        return 64;
    }

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
        fprintf(stderr, "loop: invalid address %s\n", argv[1]);
        return 64;
    }
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024))
        fail("loop: listening");

    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[1024];
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event))
        fail("loop: watching the listener");

    for (;;) {
        int count = epoll_wait(epoll, events, 1024, -1);
        for (int i = 0; i < count; i++) {
            int client = events[i].data.fd;
            if (client == listener) {
                client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (client < 0)
                    continue;
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event.data.fd = client;
                if (epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event))
                    close(client);
                continue;
            }
            char request[8192];
            ssize_t size = read(client, request, sizeof request);
            int is_last = size > 0 && memmem(request, size, ": close", 7);
            const char *bytes = is_last ? last : keep;
            ssize_t length = is_last ? last_length : keep_length;
            /* The answer fits into the socket's buffer, so one write is enough. */
            if (size <= 0 || write(client, bytes, length) != length || is_last)
                close(client);
        }
    }
}
