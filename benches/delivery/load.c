// A bounded load generator for messaging servers on this machine: one thread, one epoll, no allocation per message.
//
// Who connects comes from a traffic file (town.py writes it): each client is of a room and may be a sender. A message
// is on its way until every other client of its room has it AND the server has confirmed it to its sender; then its
// slot is free. Closed loop (rate 0): every sender keeps `window` slots busy. Open loop: `rate` messages a second over
// all senders; latency counts from when a message was due, so a slow server cannot hide behind a waiting client.
// A protocol is four functions (greet, shake, send, parse); the rest does not know it.
//
// usage: load protocol=kith port=N traffic=FILE [clients=N] [window=1] [rate=0] [seconds=5] [warm=1] [pids=1,2]
//             [idle=SECONDS] [path=/ws]
// prints one JSON object; exit 2 for what cannot be measured, with a sentence on stderr.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TOKEN = 64, MARK = 16, MAX_CLIENTS = 20000, MAX_SAMPLES = 4000000, MAX_SECONDS = 120, CONNECTING = 64 };
#define XMPP_DOMAIN "localhost"

struct bytes { uint8_t *data; size_t from, end, room; };
struct slot { uint64_t due; uint32_t seq; int missing; int unconfirmed; };
struct client {
    int fd, online, step, wants_write, sends;
    uint32_t room, seq, stanzas_in, confirmed;
    uint64_t began;
    struct bytes in, out;
    struct slot *slots;
    uint64_t acks[512]; int ack_count;
    const uint8_t *token, *frame;
};
struct room { uint32_t *members; int count; };
struct traffic { uint32_t clients, rooms, frame_length, key_at, tag_at, payload_at, body_at, size; };
struct protocol {
    const char *name;
    void (*greet)(struct client *);
    int (*shake)(struct client *);                 // 1 once on line; takes what it read
    void (*send)(struct client *, uint32_t seq);
    size_t (*parse)(struct client *);              // bytes taken
};

static struct client *clients;
static struct room *rooms;
static struct traffic traffic;
static const struct protocol *protocol;
static int epoll_fd, port, window;
static double rate;
static const char *path;
static uint64_t nonce, delivered, confirmed, submitted, strays, overdue, on_the_way;
static uint64_t measure_from, measure_to;
static uint32_t *latencies, *confirmations, latency_count, confirmation_count;
static int sending;

__attribute__((noreturn)) static void fail(const char *form, ...) {
    va_list list; va_start(list, form); fputs("load: ", stderr); vfprintf(stderr, form, list); fputc('\n', stderr);
    exit(2);
}
static uint64_t now(void) {
    struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000ull + t.tv_nsec;
}
static const char *option(int count, char **given, const char *key, const char *otherwise) {
    size_t length = strlen(key);
    for (int i = 1; i < count; i++)
        if (!strncmp(given[i], key, length) && given[i][length] == '=') return given[i] + length + 1;
    return otherwise;
}

// ---- bytes in and out ----------------------------------------------------------------------------------------------

static uint8_t *reserve(struct bytes *b, size_t more) {
    if (b->from == b->end) b->from = b->end = 0;
    if (b->end + more > b->room) {
        while (b->end + more > b->room) b->room = b->room ? b->room * 2 : 4096;
        b->data = realloc(b->data, b->room);
        if (!b->data) fail("no memory");
    }
    return b->data + b->end;
}
static void put(struct client *c, const void *data, size_t length) {
    memcpy(reserve(&c->out, length), data, length); c->out.end += length;
}
static void put_text(struct client *c, const char *form, ...) {
    char text[2048]; va_list list; va_start(list, form); int n = vsnprintf(text, sizeof text, form, list); put(c, text, n);
}
static void watch(struct client *c, int write) {
    if (c->wants_write == write) return;
    c->wants_write = write;
    struct epoll_event e = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}
static void flush_out(struct client *c) {
    while (c->out.from < c->out.end) {
        ssize_t n = send(c->fd, c->out.data + c->out.from, c->out.end - c->out.from, MSG_NOSIGNAL);
        if (n < 0) { if (errno == EAGAIN) { watch(c, 1); return; } fail("the server closed client %d (%s)", (int)(c - clients), strerror(errno)); }
        c->out.from += n;
    }
    watch(c, 0);
}
static void fill(struct client *c) {
    reserve(&c->in, 16384);
    ssize_t n = recv(c->fd, c->in.data + c->in.end, c->in.room - c->in.end, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) fail("the server closed client %d at step %d (%s)", (int)(c - clients), c->online ? 100 : c->step, n ? strerror(errno) : "end");
    c->in.end += n;
}
static void be16(uint8_t *p, uint32_t v) { p[0] = v >> 8; p[1] = v; }
static void be32(uint8_t *p, uint32_t v) { be16(p, v >> 16); be16(p + 2, v); }
static void be64(uint8_t *p, uint64_t v) { be32(p, v >> 32); be32(p + 4, v); }
static uint32_t get16(const uint8_t *p) { return p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { return get16(p) << 16 | get16(p + 2); }
static uint64_t get64(const uint8_t *p) { return (uint64_t)get32(p) << 32 | get32(p + 4); }

// ---- messages: marked with this run, their sender and a number -----------------------------------------------------

static void mark(uint8_t *at, struct client *c, uint32_t seq) { be64(at, nonce); be32(at + 8, c - clients); be32(at + 12, seq); }
static struct slot *slot_of(const uint8_t *marked, struct client **sender) {
    uint32_t who = get32(marked + 8), seq = get32(marked + 12);
    if (get64(marked) != nonce || who >= traffic.clients) { strays++; return 0; }
    *sender = &clients[who];
    struct slot *slot = &clients[who].slots[seq % window];
    if (slot->seq != seq) { strays++; return 0; }
    return slot;
}
static void submit(struct client *c, uint64_t due) {
    struct slot *slot = &c->slots[c->seq % window];
    if (slot->missing || slot->unconfirmed) { overdue++; return; }
    *slot = (struct slot){due, c->seq, rooms[c->room].count - 1, 1};
    on_the_way++; submitted++;
    protocol->send(c, c->seq++);
}
static void settle(struct client *sender, struct slot *slot) {
    if (slot->missing || slot->unconfirmed) return;
    on_the_way--;
    if (sending && rate == 0) { submit(sender, now()); if (!sender->wants_write) flush_out(sender); }
}
static void sample(uint32_t *into, uint32_t *count, uint64_t due) {
    uint64_t at = now();
    if ((rate > 0 ? due : at) >= measure_from && at < measure_to && *count < MAX_SAMPLES) into[(*count)++] = (at - due) / 1000;
}
static void got(const uint8_t *marked) {
    struct client *sender; struct slot *slot = slot_of(marked, &sender);
    if (!slot || !slot->missing) return;
    delivered++; slot->missing--;
    sample(latencies, &latency_count, slot->due);
    settle(sender, slot);
}
static void confirm(struct client *sender, struct slot *slot) {
    if (!slot->unconfirmed) return;
    confirmed++; slot->unconfirmed = 0;
    sample(confirmations, &confirmation_count, slot->due);
    settle(sender, slot);
}

// ---- kith: WebSocket, msgpack frames of kith.v1 --------------------------------------------------------------------

static void ws_frame(struct client *c, const uint8_t *data, size_t length, int opcode) {
    static const uint8_t mask[8] = {0x37, 0xfa, 0x21, 0x3d, 0x37, 0xfa, 0x21, 0x3d};
    uint8_t *h = reserve(&c->out, length + 22); size_t k = 2;
    h[0] = 0x80 | opcode;
    if (length < 126) h[1] = 0x80 | length; else { h[1] = 0x80 | 126; be16(h + 2, length); k = 4; }
    memcpy(h + k, mask, 4); k += 4;
    uint64_t wide, part; memcpy(&wide, mask, 8);
    size_t i = 0;
    for (; i + 8 <= length; i += 8) { memcpy(&part, data + i, 8); part ^= wide; memcpy(h + k + i, &part, 8); }
    for (; i < length; i++) h[k + i] = data[i] ^ mask[i & 3];
    c->out.end += k + length;
}
static void kith_greet(struct client *c) {
    put_text(c, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Protocol: kith.v1\r\nAuthorization: Bearer %.64s\r\n\r\n", path, port, c->token);
}
static void kith_send(struct client *c, uint32_t seq) {
    static uint8_t frame[1 << 17];
    static uint64_t chance = 88172645463325252ull;
    memcpy(frame, c->frame, traffic.frame_length);
    mark(frame + traffic.key_at, c, seq); mark(frame + traffic.payload_at, c, seq);
    for (int i = 0; i < 32; i += 8) { chance ^= chance << 13; chance ^= chance >> 7; chance ^= chance << 17; memcpy(frame + traffic.tag_at + i, &chance, 8); }
    ws_frame(c, frame, traffic.frame_length, 2);
}
static uint64_t msgpack_number(const uint8_t **p) {
    uint8_t b = *(*p)++; uint64_t v = 0;
    if (b < 0x80) return b;
    if (b < 0xcc || b > 0xcf) fail("a number was expected, not %02x", b);
    for (int n = 1 << (b - 0xcc); n--;) v = v << 8 | *(*p)++;
    return v;
}
static void kith_acks(struct client *c) {
    if (!c->ack_count) return;
    uint8_t b[16 + 9 * 512]; size_t k = 0;
    b[k++] = 0x92; b[k++] = 3; b[k++] = 0xdc; be16(b + k, c->ack_count); k += 2;
    for (int i = 0; i < c->ack_count; i++) { b[k++] = 0xcf; be64(b + k, c->acks[i]); k += 8; }
    c->ack_count = 0;
    ws_frame(c, b, k, 2);
}
static void kith_frame(struct client *c, const uint8_t *p, size_t length) {
    struct client *sender; struct slot *slot;
    if (length < 3) fail("a short frame");
    switch (p[1]) {
    case 16: c->online = 1; return;                                        // HELLO
    case 17: if ((slot = slot_of(p + 4, &sender))) confirm(sender, slot); return;  // ACCEPTED
    case 18: fail("REFUSED %.*s", (int)(length - 20), p + 20); break;
    case 21: fail("BYE %.*s", (int)(length - 2), p + 2); break;
    case 19: {                                                             // MAIL
        p += 2;
        uint64_t mail = msgpack_number(&p), kind = msgpack_number(&p);
        if (mail) { if (c->ack_count == 512) kith_acks(c); c->acks[c->ack_count++] = mail; }
        if (kind != 1) return;
        if (*p++ != 0xd9) fail("a room was expected");
        p += 1 + *p;
        msgpack_number(&p);
        p += *p == 0xc4 ? 2 : *p == 0xc5 ? 3 : 5;
        got(p + (traffic.payload_at - traffic.body_at));
    }}
}
static size_t kith_parse(struct client *c) {
    uint8_t *d = c->in.data + c->in.from; size_t left = c->in.end - c->in.from, at = 0;
    while (left - at >= 2) {
        uint8_t *u = d + at; size_t n = u[1] & 127, h = 2;
        if (n == 126) { if (left - at < 4) break; n = get16(u + 2); h = 4; }
        else if (n == 127) { if (left - at < 10) break; n = get64(u + 2); h = 10; }
        if (left - at < h + n) break;
        int opcode = u[0] & 15;
        if (opcode == 2) kith_frame(c, u + h, n);
        else if (opcode == 9) ws_frame(c, u + h, n, 10);
        else if (opcode == 8) fail("closed with code %u %.*s", n > 1 ? get16(u + h) : 0, n > 2 ? (int)n - 2 : 0, u + h + 2);
        at += h + n;
    }
    kith_acks(c);
    return at;
}
static int kith_shake(struct client *c) {
    if (c->step == 0) {
        uint8_t *d = c->in.data + c->in.from, *e = memmem(d, c->in.end - c->in.from, "\r\n\r\n", 4);
        if (!e) return 0;
        if (strncmp((char *)d, "HTTP/1.1 101", 12)) fail("the stream did not open: %.200s", d);
        c->in.from += e + 4 - d; c->step = 1;
    }
    c->in.from += kith_parse(c);
    return c->online;
}

// ---- mqtt 3.1.1, QoS 1: a topic for each sender, to which the others of its room subscribe ---------------------------

static int mqtt_topic(char *into, uint32_t sender) { return sprintf(into, "t/%u", sender); }
static void mqtt_greet(struct client *c) {
    char id[16]; int n = sprintf(id, "c%u", (unsigned)(c - clients));
    uint8_t x[14] = {0x10, 12 + n, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, n};
    put(c, x, 14); put(c, id, n);
}
static int mqtt_shake(struct client *c) {
    uint8_t *d = c->in.data + c->in.from; size_t left = c->in.end - c->in.from;
    if (c->step == 0) {
        if (left < 4) return 0;
        if (d[3]) fail("CONNACK %d", d[3]);
        c->in.from += 4; c->step = 1;
        struct room *r = &rooms[c->room];
        for (int i = 0; i < r->count; i++) {
            uint32_t who = r->members[i]; char topic[16];
            if (!clients[who].sends || &clients[who] == c) continue;
            int n = mqtt_topic(topic, who);
            uint8_t x[6] = {0x82, 5 + n, 0, 1, 0, n}, qos = 1;
            put(c, x, 6); put(c, topic, n); put(c, &qos, 1);
            return 0;  // one sender among the others is what these rooms have
        }
        return 1;
    }
    if (left < 5) return 0;
    c->in.from += 5;
    return 1;
}
static void mqtt_send(struct client *c, uint32_t seq) {
    static uint8_t body[1 << 17];
    char topic[16]; int n = mqtt_topic(topic, c - clients); uint8_t x[8]; int k = 0; uint32_t rest = 2 + n + 2 + traffic.size;
    x[k++] = 0x32;
    do { x[k++] = (rest & 127) | (rest > 127 ? 128 : 0); rest >>= 7; } while (rest);
    x[k++] = 0; x[k++] = n;
    put(c, x, k); put(c, topic, n); be16(x, seq % 65535 + 1); put(c, x, 2);
    mark(body, c, seq); put(c, body, traffic.size);
}
static size_t mqtt_parse(struct client *c) {
    uint8_t *d = c->in.data + c->in.from; size_t left = c->in.end - c->in.from, at = 0;
    for (;;) {
        uint8_t *u = d + at; uint32_t n = 0; int shift = 0; size_t k = 1;
        do { if (at + k >= left) return at; n |= (u[k] & 127) << shift; shift += 7; } while (u[k++] & 128);
        if (left - at < k + n) return at;
        if (u[0] >> 4 == 3) {
            uint32_t topic = get16(u + k);
            uint8_t ack[4] = {0x40, 2, u[k + 2 + topic], u[k + 3 + topic]};
            put(c, ack, 4); got(u + k + 2 + topic + 2);
        } else if (u[0] >> 4 == 4) {
            uint32_t id = get16(u + k) - 1, last = c->seq - 1, seq = last - (last % 65535 + 65535 - id) % 65535;
            struct slot *slot = &c->slots[seq % window];
            if (slot->seq == seq) confirm(c, slot);
        }
        at += k + n;
    }
}

// ---- relay: the floor; 4 bytes length, 4 bytes to or from whom, the message; a message of 16 bytes is its receipt ----

static void relay_greet(struct client *c) { uint8_t x[8]; be32(x, 0); be32(x + 4, c - clients); put(c, x, 8); }
static int relay_shake(struct client *c) { if (c->in.end - c->in.from < 8) return 0; c->in.from += 8; return 1; }
static void relay_send(struct client *c, uint32_t seq) {
    static uint8_t body[1 << 17]; struct room *r = &rooms[c->room]; uint8_t x[8];
    mark(body, c, seq);
    for (int i = 0; i < r->count; i++) {
        if (&clients[r->members[i]] == c) continue;
        be32(x, traffic.size); be32(x + 4, r->members[i]); put(c, x, 8); put(c, body, traffic.size);
    }
}
static size_t relay_parse(struct client *c) {
    uint8_t *d = c->in.data + c->in.from; size_t left = c->in.end - c->in.from, at = 0; struct client *sender; struct slot *slot;
    while (left - at >= 8) {
        uint32_t n = get32(d + at);
        if (left - at < 8 + n) break;
        if (n > MARK) got(d + at + 8);
        else if ((slot = slot_of(d + at + 8, &sender))) confirm(sender, slot);
        at += 8 + n;
    }
    return at;
}

// ---- xmpp: RFC 6120 with SASL PLAIN, and XEP-0198 so that the server confirms what it took --------------------------

static void xmpp_open(struct client *c) {
    put_text(c, "<stream:stream to='%s' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>", XMPP_DOMAIN);
}
static void xmpp_greet(struct client *c) { put_text(c, "<?xml version='1.0'?>"); xmpp_open(c); }
static void base64(const uint8_t *in, size_t n, char *out) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = in[i] << 16 | (i + 1 < n ? in[i + 1] << 8 : 0) | (i + 2 < n ? in[i + 2] : 0);
        *out++ = set[v >> 18]; *out++ = set[v >> 12 & 63]; *out++ = i + 1 < n ? set[v >> 6 & 63] : '='; *out++ = i + 2 < n ? set[v & 63] : '=';
    }
    *out = 0;
}
static int xmpp_saw(struct client *c, const char *text) {
    return memmem(c->in.data + c->in.from, c->in.end - c->in.from, text, strlen(text)) != 0;
}
static int xmpp_shake(struct client *c) {
    static const char *const AWAITED[] = {"</stream:features>", "<success", "</stream:features>", "</iq>", "<enabled", "<presence"};
    int me = c - clients;
    if (xmpp_saw(c, "<stream:error") || xmpp_saw(c, "<failure")) fail("step %d: %.*s", c->step, (int)(c->in.end - c->in.from), c->in.data + c->in.from);
    if (!xmpp_saw(c, AWAITED[c->step])) return 0;
    c->in.from = c->in.end;
    switch (c->step++) {
    case 0: {
        uint8_t plain[64]; char text[128];
        size_t n = sprintf((char *)plain, "%cu%d%cpw%d", 0, me, 0, me);
        base64(plain, n, text);
        put_text(c, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>", text);
        return 0;
    }
    case 1: xmpp_open(c); return 0;
    case 2: put_text(c, "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>"); return 0;
    case 3: put_text(c, "<enable xmlns='urn:xmpp:sm:3'/>"); return 0;
    case 4: put_text(c, "<presence/>"); return 0;
    }
    c->stanzas_in = 1;  // the presence that came back
    return 1;
}
static void xmpp_send(struct client *c, uint32_t seq) {
    static char body[1 << 17]; uint8_t marked[MARK]; struct room *r = &rooms[c->room];
    if (!*body) memset(body, 'x', sizeof body - 1);
    mark(marked, c, seq);
    for (int i = 0; i < MARK; i++) { body[2 * i] = 'a' + (marked[i] >> 4); body[2 * i + 1] = 'a' + (marked[i] & 15); }
    for (int i = 0; i < r->count; i++) {
        if (&clients[r->members[i]] == c) continue;
        put_text(c, "<message to='u%u@%s' type='chat' id='m%u'><body>", r->members[i], XMPP_DOMAIN, seq);
        put(c, body, traffic.size);
        put_text(c, "</body></message><r xmlns='urn:xmpp:sm:3'/>");
    }
}
static int starts(const uint8_t *at, const char *text) { return !strncmp((const char *)at, text, strlen(text)); }
static size_t xmpp_parse(struct client *c) {
    uint8_t *d = c->in.data + c->in.from; size_t left = c->in.end - c->in.from, at = 0;
    for (;;) {
        uint8_t *tag = memchr(d + at, '<', left - at);
        if (!tag) return left;
        at = tag - d;
        uint8_t *end = memchr(tag, '>', left - at);
        if (!end) return at;
        if (starts(tag, "<body>")) {
            uint8_t marked[MARK];
            if (left - at < 6 + 2 * MARK) return at;
            for (int i = 0; i < MARK; i++) marked[i] = (tag[6 + 2 * i] - 'a') << 4 | (tag[7 + 2 * i] - 'a');
            got(marked);
        } else if (starts(tag, "<message") || starts(tag, "<presence") || starts(tag, "<iq")) c->stanzas_in++;
        else if (starts(tag, "<r ") || starts(tag, "<r>") || starts(tag, "<r/")) put_text(c, "<a xmlns='urn:xmpp:sm:3' h='%u'/>", c->stanzas_in);
        else if (starts(tag, "<a ")) {
            uint8_t *h = memmem(tag, end - tag, " h=", 3);
            uint32_t handled = h ? strtoul((char *)h + 4, 0, 10) : 0;
            while (c->confirmed + 1 < handled && c->confirmed < c->seq) {  // the first stanza was our presence
                struct slot *slot = &c->slots[c->confirmed % window];
                if (slot->seq == c->confirmed++) confirm(c, slot);
            }
        } else if (starts(tag, "<stream:error") || starts(tag, "</stream")) fail("%.*s", (int)(left - at), tag);
        at = end - d + 1;
    }
}

static const struct protocol PROTOCOLS[] = {
    {"kith", kith_greet, kith_shake, kith_send, kith_parse},
    {"mqtt", mqtt_greet, mqtt_shake, mqtt_send, mqtt_parse},
    {"xmpp", xmpp_greet, xmpp_shake, xmpp_send, xmpp_parse},
    {"relay", relay_greet, relay_shake, relay_send, relay_parse},
};

// ---- what the server's processes use: every process of the list and what descends from them --------------------------

static int pids[512], pid_count;
static int known(int pid) { for (int i = 0; i < pid_count; i++) if (pids[i] == pid) return 1; return 0; }
static void find_children(void) {
    for (int more = pid_count; more;) {
        more = 0;
        DIR *proc = opendir("/proc"); struct dirent *entry;
        while ((entry = readdir(proc))) {
            int pid = atoi(entry->d_name), parent; char name[64], line[1024], state;
            if (pid <= 0 || known(pid) || pid_count == 512) continue;
            snprintf(name, sizeof name, "/proc/%d/stat", pid);
            FILE *f = fopen(name, "r"); if (!f) continue;
            char *rest = fgets(line, sizeof line, f) ? strrchr(line, ')') : 0;
            if (rest && sscanf(rest + 2, "%c %d", &state, &parent) == 2 && known(parent)) { pids[pid_count++] = pid; more = 1; }
            fclose(f);
        }
        closedir(proc);
    }
}
static void usage(double *user, double *system, double *pss_kib) {
    *user = *system = *pss_kib = 0;
    for (int i = 0; i < pid_count; i++) {
        char name[64], line[1024]; unsigned long u, s; long kib;
        snprintf(name, sizeof name, "/proc/%d/stat", pids[i]);
        FILE *f = fopen(name, "r"); if (!f) continue;
        char *rest = fgets(line, sizeof line, f) ? strrchr(line, ')') : 0;
        if (rest && sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &s) == 2) {
            *user += u / (double)sysconf(_SC_CLK_TCK); *system += s / (double)sysconf(_SC_CLK_TCK);
        }
        fclose(f);
        snprintf(name, sizeof name, "/proc/%d/smaps_rollup", pids[i]);
        if (!(f = fopen(name, "r"))) continue;
        while (fgets(line, sizeof line, f)) if (sscanf(line, "Pss: %ld", &kib) == 1) { *pss_kib += kib; break; }
        fclose(f);
    }
}

// ---- the run -------------------------------------------------------------------------------------------------------

static void read_traffic(const char *name, int most) {
    FILE *f = fopen(name, "rb"); uint32_t head[9];
    if (!f || fread(head, sizeof head, 1, f) != 1 || memcmp(head, "KBT1", 4)) fail("%s is no traffic file", name);
    memcpy(&traffic, head + 1, sizeof traffic);
    if (traffic.clients > MAX_CLIENTS || traffic.size < MARK * 2 || traffic.size > 60000 || traffic.frame_length > 65535) fail("%s is out of bounds", name);
    if (most && (uint32_t)most < traffic.clients) traffic.clients = most;
    clients = calloc(traffic.clients, sizeof *clients); rooms = calloc(traffic.rooms, sizeof *rooms);
    for (uint32_t i = 0; i < traffic.clients; i++) {
        uint32_t fixed[2]; uint8_t *token = malloc(TOKEN), *frame = malloc(traffic.frame_length); struct client *c = &clients[i];
        if (fread(fixed, sizeof fixed, 1, f) != 1 || fread(token, TOKEN, 1, f) != 1) fail("%s ends early", name);
        if (fixed[1] && fread(frame, traffic.frame_length, 1, f) != 1) fail("%s ends early", name);
        c->room = fixed[0]; c->sends = fixed[1]; c->token = token; c->frame = frame; c->slots = calloc(window, sizeof *c->slots);
        for (int s = 0; s < window; s++) c->slots[s].seq = UINT32_MAX;
        struct room *r = &rooms[c->room];
        r->members = realloc(r->members, (r->count + 1) * sizeof *r->members); r->members[r->count++] = i;
    }
    fclose(f);
}
static void take(struct client *c) {
    fill(c);
    if (c->online) c->in.from += protocol->parse(c);
    if (c->in.from == c->in.end) c->in.from = c->in.end = 0;
    else if (c->in.from) { memmove(c->in.data, c->in.data + c->in.from, c->in.end - c->in.from); c->in.end -= c->in.from; c->in.from = 0; }
    if (c->out.from < c->out.end && !c->wants_write) flush_out(c);
}
static void turn(int64_t wait_ns) {
    struct epoll_event events[512]; struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
    int n = epoll_pwait2(epoll_fd, events, 512, &wait, 0);
    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT) flush_out(c);
        if (events[i].events & ~EPOLLOUT) take(c);
    }
}
static void open_client(struct client *c) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->began = now();
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (void *)&a, sizeof a)) fail("cannot connect client %d: %s", (int)(c - clients), strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
    protocol->greet(c); flush_out(c);
}
static void connect_all(uint32_t *took_us) {
    uint32_t next = 0, up = 0; uint64_t last = now(); struct epoll_event events[512];
    while (up < traffic.clients) {
        while (next < traffic.clients && next - up < CONNECTING) open_client(&clients[next++]);
        int n = epoll_wait(epoll_fd, events, 512, 1000);
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) flush_out(c);
            if (!(events[i].events & ~EPOLLOUT)) continue;
            if (c->online) { take(c); continue; }
            fill(c);
            if (protocol->shake(c)) { c->online = 1; took_us[up++] = (now() - c->began) / 1000; last = now(); }
            flush_out(c);
        }
        if (now() - last > 30000000000ull) fail("no client came on line for 30 s; %u of %u are", up, traffic.clients);
    }
}
static int by_size(const void *a, const void *b) { uint32_t x = *(uint32_t *)a, y = *(uint32_t *)b; return (x > y) - (x < y); }
static double ms(uint32_t *sorted, uint32_t count, double share) { return count ? sorted[(uint32_t)((count - 1) * share)] / 1000.0 : -1; }
static double own_cpu(void) { struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec / 1e9; }

int main(int count, char **given) {
    const char *name = option(count, given, "protocol", "kith");
    for (size_t i = 0; i < sizeof PROTOCOLS / sizeof *PROTOCOLS; i++) if (!strcmp(PROTOCOLS[i].name, name)) protocol = &PROTOCOLS[i];
    if (!protocol) fail("there is no protocol %s", name);
    port = atoi(option(count, given, "port", "0")); rate = atof(option(count, given, "rate", "0"));
    window = atoi(option(count, given, "window", rate > 0 ? "16" : "1"));
    path = option(count, given, "path", "/ws");
    double seconds = atof(option(count, given, "seconds", "5")), warm = atof(option(count, given, "warm", "1")), idle = atof(option(count, given, "idle", "0"));
    if (seconds > MAX_SECONDS || warm > MAX_SECONDS || idle > MAX_SECONDS || window < 1 || window > 4096 || rate < 0) fail("out of bounds");
    char *list = strdup(option(count, given, "pids", ""));
    for (char *p = strtok(list, ","); p && pid_count < 500; p = strtok(0, ",")) pids[pid_count++] = atoi(p);
    if (getrandom(&nonce, sizeof nonce, 0) != sizeof nonce) fail("no randomness");
    read_traffic(option(count, given, "traffic", ""), atoi(option(count, given, "clients", "0")));
    latencies = malloc(4ul * MAX_SAMPLES); confirmations = malloc(4ul * MAX_SAMPLES);
    uint32_t *took_us = calloc(traffic.clients, sizeof *took_us);
    epoll_fd = epoll_create1(0);

    double user0, system0, pss0, user1, system1, pss1, user2, system2, pss2;
    find_children(); usage(&user0, &system0, &pss0);
    uint64_t began = now();
    connect_all(took_us);
    double connect_s = (now() - began) / 1e9;
    qsort(took_us, traffic.clients, 4, by_size);
    for (uint64_t until = now() + (uint64_t)((idle > 0 ? idle : 0.3) * 1e9); now() < until;) turn(50000000);
    find_children(); usage(&user1, &system1, &pss1);
    if (idle > 0) {
        printf("{\"protocol\":\"%s\",\"clients\":%u,\"connect_s\":%.3f,\"connect_p50_ms\":%.2f,\"connect_p99_ms\":%.2f,\"connect_cpu_us\":%.1f,\"pss_before_kib\":%.0f,\"pss_after_kib\":%.0f,\"kib_per_connection\":%.2f}\n",
               name, traffic.clients, connect_s, ms(took_us, traffic.clients, .5), ms(took_us, traffic.clients, .99),
               (user1 + system1 - user0 - system0) * 1e6 / traffic.clients, pss0, pss1, (pss1 - pss0) / traffic.clients);
        return 0;
    }

    uint32_t senders = 0, *sender = calloc(traffic.clients, 4), next = 0;
    for (uint32_t i = 0; i < traffic.clients; i++) if (clients[i].sends) sender[senders++] = i;
    if (!senders) fail("nobody sends");
    uint64_t start = now(), due_count = 0, delivered1 = 0, submitted1 = 0, overdue1 = 0, stop;
    double gap = rate > 0 ? 1e9 / rate : 0, own1 = 0;
    sending = 1; measure_from = UINT64_MAX; measure_to = UINT64_MAX;
    if (rate == 0)
        for (uint32_t i = 0; i < senders; i++) { for (int w = 0; w < window; w++) submit(&clients[sender[i]], now()); flush_out(&clients[sender[i]]); }
    for (;;) {
        uint64_t at = now();
        if (measure_from == UINT64_MAX && at >= start + (uint64_t)(warm * 1e9)) {
            usage(&user1, &system1, &pss2); own1 = own_cpu(); delivered1 = delivered; submitted1 = submitted; overdue1 = overdue; measure_from = now();
            measure_to = measure_from + (uint64_t)(seconds * 1e9);
        }
        if (at >= measure_to) break;
        while (rate > 0 && start + (uint64_t)(due_count * gap) <= at) {
            struct client *c = &clients[sender[next++ % senders]];
            submit(c, start + (uint64_t)(due_count++ * gap));
            if (!c->wants_write) flush_out(c);
        }
        int64_t wait = 20000000;
        if (rate > 0) { int64_t until = (int64_t)(start + (uint64_t)(due_count * gap)) - (int64_t)now(); wait = until < 0 ? 0 : until < wait ? until : wait; }
        turn(wait);
    }
    stop = now(); usage(&user2, &system2, &pss2);
    double own = own_cpu() - own1, spent = (stop - measure_from) / 1e9, messages = delivered - delivered1;
    sending = 0; overdue -= overdue1; double sent = submitted - submitted1;
    for (uint64_t until = now() + 20000000000ull; on_the_way && now() < until;) turn(20000000);  // nothing accepted may be lost
    qsort(latencies, latency_count, 4, by_size); qsort(confirmations, confirmation_count, 4, by_size);
    printf("{\"protocol\":\"%s\",\"clients\":%u,\"window\":%d,\"rate\":%.0f,\"size\":%u,\"seconds\":%.2f,\"delivered_per_s\":%.1f,\"submitted_per_s\":%.1f,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"confirmed_p50_ms\":%.3f,\"confirmed_p99_ms\":%.3f,\"cpu_us_per_delivery\":%.2f,\"user_us_per_delivery\":%.2f,\"cpu_us_per_submission\":%.2f,\"server_cores\":%.3f,"
           "\"pss_kib\":%.0f,\"generator_cores\":%.3f,\"generator_us_per_delivery\":%.2f,\"deliveries\":%.0f,\"overdue\":%lu,\"undelivered\":%lu,\"strays\":%lu,\"connect_s\":%.3f}\n",
           name, traffic.clients, window, rate, traffic.size, spent, messages / spent, sent / spent,
           ms(latencies, latency_count, .5), ms(latencies, latency_count, .99), ms(confirmations, confirmation_count, .5), ms(confirmations, confirmation_count, .99),
           messages ? (user2 + system2 - user1 - system1) * 1e6 / messages : -1, messages ? (user2 - user1) * 1e6 / messages : -1, sent ? (user2 + system2 - user1 - system1) * 1e6 / sent : -1, (user2 + system2 - user1 - system1) / spent,
           pss2, own / spent, messages ? own * 1e6 / messages : -1, messages, (unsigned long)overdue, (unsigned long)on_the_way, (unsigned long)strays, connect_s);
    return 0;
}
