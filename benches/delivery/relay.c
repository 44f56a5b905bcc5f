// The floor: a relay that does nothing but hand bytes on. One thread, one epoll; nothing is stored.
// Frames: 4 bytes length, 4 bytes peer, then the message. Length 0 says who I am; the relay repeats it. A message goes
// to that peer with its sender's number in place of it, and its first 16 bytes go back to the sender as the receipt.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 20000, MARK = 16, MOST = 65536 };
struct client { int fd, waits, dirty; uint32_t number; uint8_t *in, *out; size_t in_end, in_room, out_from, out_end, out_room; };
static struct client *by_number[CLIENTS], *dirty[CLIENTS];
static int epoll_fd, dirty_count;

static void grow(uint8_t **data, size_t *room, size_t need) { while (*room < need) *room = *room ? *room * 2 : 4096; *data = realloc(*data, *room); if (!*data) exit(1); }
static void put(struct client *c, const void *data, size_t length) {
    if (c->out_from == c->out_end) c->out_from = c->out_end = 0;
    if (c->out_end + length > c->out_room) grow(&c->out, &c->out_room, c->out_end + length);
    memcpy(c->out + c->out_end, data, length); c->out_end += length;
    if (!c->dirty) { c->dirty = 1; dirty[dirty_count++] = c; }
}
static void flush_out(struct client *c) {
    while (c->out_from < c->out_end) {
        ssize_t n = send(c->fd, c->out + c->out_from, c->out_end - c->out_from, MSG_NOSIGNAL);
        if (n < 0) break;
        c->out_from += n;
    }
    int waits = c->out_from < c->out_end && errno == EAGAIN;
    if (waits != c->waits) { struct epoll_event e = {.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.ptr = c}; epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e); c->waits = waits; }
}
static void relay(struct client *c) {
    size_t at = 0;
    while (c->in_end - at >= 8) {
        uint32_t length, peer; memcpy(&length, c->in + at, 4); memcpy(&peer, c->in + at + 4, 4); length = ntohl(length); peer = ntohl(peer);
        if (length > MOST || peer >= CLIENTS) exit(1);
        if (c->in_end - at < 8 + length) break;
        if (!length) { c->number = peer; by_number[peer] = c; put(c, c->in + at, 8); }
        else {
            uint32_t from = htonl(c->number), receipt[2] = {htonl(MARK), from};
            memcpy(c->in + at + 4, &from, 4);
            if (by_number[peer]) put(by_number[peer], c->in + at, 8 + length);
            put(c, receipt, 8); put(c, c->in + at + 8, MARK);
        }
        at += 8 + length;
    }
    memmove(c->in, c->in + at, c->in_end - at); c->in_end -= at;
}
int main(int count, char **given) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(count > 1 ? atoi(given[1]) : 0), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&a, sizeof a) || listen(listener, 1024)) { perror("relay"); return 1; }
    epoll_fd = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN}, events[512];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, 512, -1);
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if (!c) {
                int fd = accept4(listener, 0, 0, SOCK_NONBLOCK); if (fd < 0) continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                c = calloc(1, sizeof *c); c->fd = fd; c->number = CLIENTS;
                struct epoll_event mine = {.events = EPOLLIN, .data.ptr = c}; epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &mine);
                continue;
            }
            if (events[i].events & EPOLLOUT) flush_out(c);
            if (!(events[i].events & ~EPOLLOUT)) continue;
            if (c->in_end + 16384 > c->in_room) grow(&c->in, &c->in_room, c->in_end + 16384);
            ssize_t got = recv(c->fd, c->in + c->in_end, c->in_room - c->in_end, 0);
            if (got <= 0) {
                if (got < 0 && errno == EAGAIN) continue;
                close(c->fd); c->fd = -1;  // its memory stays: others may still hold it in this round
                if (c->number < CLIENTS && by_number[c->number] == c) by_number[c->number] = 0;
                continue;
            }
            c->in_end += got; relay(c);
        }
        for (int i = 0; i < dirty_count; i++) { dirty[i]->dirty = 0; if (dirty[i]->fd >= 0) flush_out(dirty[i]); }
        dirty_count = 0;
    }
}
