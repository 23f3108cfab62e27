#include "stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 64 << 10 };

uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Make room for `count` more octets behind what is there. */
static void buffer_room(struct buffer *b, size_t count)
{
    if (b->start == b->end)
        b->start = b->end = 0;
    if (b->capacity - b->end >= count)
        return;
    memmove(b->data, b->data + b->start, buffer_size(b));
    b->end -= b->start;
    b->start = 0;
    if (b->capacity - b->end >= count)
        return;
    b->capacity = b->end + count > 2 * b->capacity ? b->end + count : 2 * b->capacity;
    b->data = realloc(b->data, b->capacity);
    if (!b->data)
        die("realloc");
}

void buffer_add(struct buffer *b, const void *bytes, size_t count)
{
    buffer_room(b, count);
    memcpy(b->data + b->end, bytes, count);
    b->end += count;
}

void buffer_take(struct buffer *b, size_t count)
{
    b->start += count;
}

void buffer_move(struct buffer *from, struct buffer *to, size_t count)
{
    buffer_add(to, buffer_head(from), count);
    buffer_take(from, count);
}

void stream_open(struct stream *s, int fd)
{
    s->fd = fd;
    s->tls = NULL;
    s->blocked = s->watched = false;
    s->in.start = s->in.end = s->out.start = s->out.end = 0;
}

void stream_close(struct stream *s)
{
    SSL_free(s->tls);
    close(s->fd);
    free(s->in.data);
    free(s->out.data);
    memset(s, 0, sizeof *s);
    s->fd = -1;
}

void stream_start_tls(struct stream *s, SSL_CTX *context, bool server)
{
    s->in.start = s->in.end = 0;
    s->tls = SSL_new(context);
    if (!s->tls || !SSL_set_fd(s->tls, s->fd))
        die("SSL_new");
    SSL_set_read_ahead(s->tls, 1); /* one call a record, not two */
    SSL_set_mode(s->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (server)
        SSL_set_accept_state(s->tls);
    else
        SSL_set_connect_state(s->tls);
}

/* What a call of OpenSSL that gave nothing stands for: 0 to try later, -1 for the end. */
static int tls_verdict(struct stream *s, int result)
{
    int error = SSL_get_error(s->tls, result);
    if (error == SSL_ERROR_WANT_WRITE)
        s->blocked = true;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static int verdict(ssize_t result)
{
    return result < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

int stream_read(struct stream *s)
{
    buffer_room(&s->in, BLOCK);
    char *place = s->in.data + s->in.end;
    ERR_clear_error(); /* or another connection's failure would be taken for this one's */
    ssize_t count = s->tls ? SSL_read(s->tls, place, BLOCK) : recv(s->fd, place, BLOCK, 0);
    if (count <= 0)
        return s->tls ? tls_verdict(s, (int)count) : verdict(count);
    s->in.end += (size_t)count;
    return (int)count;
}

bool stream_more(const struct stream *s)
{
    return s->tls && SSL_has_pending(s->tls);
}

bool stream_flush(struct stream *s)
{
    s->blocked = false;
    while (buffer_size(&s->out)) {
        ERR_clear_error();
        size_t size = buffer_size(&s->out);
        ssize_t count = s->tls ? SSL_write(s->tls, buffer_head(&s->out), (int)size)
                               : send(s->fd, buffer_head(&s->out), size, MSG_NOSIGNAL);
        if (count <= 0) {
            if ((s->tls ? tls_verdict(s, (int)count) : verdict(count)) < 0)
                return false;
            s->blocked = s->tls ? s->blocked : true;
            return true;
        }
        buffer_take(&s->out, (size_t)count);
    }
    return true;
}

void stream_watch(struct stream *s, int poller, void *owner)
{
    if (s->blocked == s->watched)
        return;
    s->watched = s->blocked;
    unsigned events = EPOLLIN | (s->blocked ? EPOLLOUT : 0u);
    epoll_ctl(poller, EPOLL_CTL_MOD, s->fd, &(struct epoll_event){.events = events, .data.ptr = owner});
}

char *stream_line(struct stream *s)
{
    char *line = buffer_head(&s->in);
    char *end = memchr(line, '\n', buffer_size(&s->in));
    if (!end)
        return NULL;
    buffer_take(&s->in, (size_t)(end - line) + 1);
    if (end > line && end[-1] == '\r')
        end--;
    *end = '\0';
    return line;
}

void times_add(struct times *t, uint64_t nanoseconds)
{
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 4096;
        t->values = realloc(t->values, t->capacity * sizeof *t->values);
        if (!t->values)
            die("realloc");
    }
    t->values[t->count++] = (uint32_t)(nanoseconds / 1000);
}

static int ascending(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static uint32_t percentile(const struct times *t, unsigned percent)
{
    return t->count ? t->values[(t->count - 1) * percent / 100] : 0;
}

void times_print(struct times *t, const char *name)
{
    if (t->count)
        qsort(t->values, t->count, sizeof *t->values, ascending);
    printf("\"%s\": {\"count\": %zu, \"p50\": %u, \"p90\": %u, \"p99\": %u, \"max\": %u}", name, t->count,
           percentile(t, 50), percentile(t, 90), percentile(t, 99), percentile(t, 100));
}

double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void prepare_process(void)
{
    struct rlimit limit;
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int from_base64(const char *text, char *out, size_t room)
{
    size_t length = strlen(text);
    if (length % 4 || length / 4 * 3 >= room)
        return -1;
    int count = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, (int)length);
    for (size_t padding = length; count > 0 && padding && text[padding - 1] == '='; padding--)
        count--;
    if (count >= 0)
        out[count] = '\0';
    return count;
}

void to_base64(const char *bytes, size_t count, char *out)
{
    EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)bytes, (int)count);
}
