/* A connection that never blocks: bytes in, bytes out, in the clear or over TLS.
 *
 * When epoll (level-triggered) says so, the caller calls stream_read as long as stream_more, then stream_flush
 * if there is something to say, then stream_watch. A TLS handshake needs no call of its own: it happens inside the
 * reads and writes.
 */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data;
    size_t start, end, capacity;
};

struct stream {
    int fd;
    SSL *tls;
    bool blocked, watched; /* a write has to wait; epoll looks for its end */
    struct buffer in, out;
};

/* Nanoseconds of the clock that all processes share. */
uint64_t now(void);

/* Say what failed and why, and end the program. */
void die(const char *what) __attribute__((noreturn));

static inline size_t buffer_size(const struct buffer *b) { return b->end - b->start; }
static inline char *buffer_head(const struct buffer *b) { return b->data + b->start; }
void buffer_add(struct buffer *b, const void *bytes, size_t count);
void buffer_take(struct buffer *b, size_t count);
void buffer_move(struct buffer *from, struct buffer *to, size_t count);

void stream_open(struct stream *s, int fd);
void stream_close(struct stream *s);

/* From now on speak TLS as the client or the server of `context`; what was read in the clear is dropped. */
void stream_start_tls(struct stream *s, SSL_CTX *context, bool server);

/* Read what is there, one block at most: its size, 0 when there is nothing now, -1 when the stream has ended. */
int stream_read(struct stream *s);

/* Whether TLS holds octets of which epoll knows nothing. Otherwise reading until nothing is there would cost a call. */
bool stream_more(const struct stream *s);

/* Write what is in `out`, as far as it goes: false when the stream is broken. */
bool stream_flush(struct stream *s);

/* Let epoll look for writability too, or no longer, as the last read or write demands. */
void stream_watch(struct stream *s, int poller, void *owner);

/* Take a line out of `in`, without its CRLF and ended by NUL; NULL when none is complete. It is valid until the next read. */
char *stream_line(struct stream *s);

/* Times in microseconds, all of them, for exact percentiles. */
struct times {
    uint32_t *values;
    size_t count, capacity;
};
void times_add(struct times *t, uint64_t nanoseconds);
/* Print `"name": {"count": ..., "p50": ..., ...}`; the values are sorted by it. */
void times_print(struct times *t, const char *name);

/* Seconds of processor time that this process has used. */
double cpu_seconds(void);

/* Let a write to a closed connection fail rather than kill, and allow as many descriptors as the system does. */
void prepare_process(void);

/* Decode base64 into `out`, ended by NUL: the number of octets, or -1. */
int from_base64(const char *text, char *out, size_t room);
void to_base64(const char *bytes, size_t count, char *out);

/* In the content of a message, before its time of submission in nanoseconds, in TIME_DIGITS digits. */
#define TIME_FIELD "X-Bench-Time: "
#define TIME_DIGITS 19

#endif
