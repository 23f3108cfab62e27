/* A smarthost that takes everything and keeps nothing: the far end of the bench.
 *
 * It demands STARTTLS and a login, as a real smarthost does, and offers what a good one offers. One process,
 * one thread, any number of connections. It says its port on standard output, then obeys standard input, a
 * command a line, and answers each with one line of JSON:
 *
 *   stats                       what was counted since the last reset
 *   reset                       count from zero
 *   await N                     the same as stats, once N messages have come
 *   delay MS                    from now on each reply leaves MS milliseconds after its command came
 *   mode accept                 take everything
 *   mode tempfail               450 to each RCPT
 *   mode refuse                 550 to each RCPT
 *   mode down                   no listening socket, no connections
 *
 * The delay is a distance, not a duty: replies to commands that came together leave together, so a client that
 * pipelines is rewarded as it would be by a far-away smarthost. It ends when standard input does.
 */
#define _GNU_SOURCE /* accept4, memmem, strcasestr */
#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 8192,
    MAX_EVENTS = 256,
    BACKLOG = 4096,
    LONGEST_LINE = 16 << 10,
    STAMP_WITHIN = 16 << 10, /* a time of submission that comes later in the content is not looked for */
    TAIL = 64,               /* kept back while looking for it, for it may be cut in two */
};

enum mode { ACCEPT, TEMPFAIL, REFUSE, DOWN };
enum state { COMMAND, AUTH_PLAIN, AUTH_LOGIN_USER, AUTH_LOGIN_PASSWORD, AUTH_CRAM, CONTENT_DATA, CONTENT_BDAT, CLOSING };

struct connection {
    struct stream stream;
    struct buffer late; /* replies whose time has not come */
    uint64_t serial;
    enum state state;
    size_t chunk;    /* octets of BDAT still to come */
    size_t received; /* octets of this message so far */
    unsigned recipients;
    bool used, tls_next, authenticated, mail, bdat, last, stamped, user_right;
    char challenge[64];
};

/* A part of the replies of a connection, and when it leaves. All wait equally long, so they form a queue. */
struct departure {
    uint64_t due, serial;
    unsigned connection;
    size_t size;
};

static struct options {
    const char *certificate, *key, *user, *password, *mechanisms;
    int port;
    bool chunking, pipelining, cleartext;
} options = {.mechanisms = "PLAIN LOGIN CRAM-MD5", .chunking = true, .pipelining = true};

static struct counts {
    uint64_t messages, octets, connections, logins, refused_logins, recipients, chunked, turned_away;
    uint64_t first, last;
    struct times transit;
    double cpu;
} counts;

static struct connection connections[MAX_CONNECTIONS];
static struct departure *departures;
static size_t departures_start, departures_end, departures_capacity;
static uint64_t next_serial, awaited, delay;
static enum mode mode = ACCEPT;
static SSL_CTX *context;
static int poller, listener = -1;

/* ---- counting ---------------------------------------------------------------------------------------------- */

static void print_stats(void)
{
    printf("{\"messages\": %lu, \"octets\": %lu, \"recipients\": %lu, \"connections\": %lu, \"logins\": %lu, "
           "\"refused_logins\": %lu, \"chunked\": %lu, \"turned_away\": %lu, \"first\": %lu, \"last\": %lu, \"cpu\": %.6f, ",
           counts.messages, counts.octets, counts.recipients, counts.connections, counts.logins, counts.refused_logins,
           counts.chunked, counts.turned_away, counts.first, counts.last, cpu_seconds() - counts.cpu);
    times_print(&counts.transit, "transit");
    puts("}");
    fflush(stdout);
}

static void reset_counts(void)
{
    struct times kept = counts.transit;
    kept.count = 0;
    counts = (struct counts){.transit = kept, .cpu = cpu_seconds()};
}

static void count_message(struct connection *c)
{
    counts.messages++;
    counts.octets += c->received;
    counts.recipients += c->recipients;
    counts.chunked += c->bdat;
    counts.last = now();
    if (!counts.first)
        counts.first = counts.last;
    if (awaited && counts.messages >= awaited) {
        awaited = 0;
        print_stats();
    }
}

/* ---- replies ----------------------------------------------------------------------------------------------- */

static void remember_departure(struct connection *c, size_t size)
{
    if (departures_end == departures_capacity && departures_start) {
        memmove(departures, departures + departures_start, (departures_end - departures_start) * sizeof *departures);
        departures_end -= departures_start;
        departures_start = 0;
    }
    if (departures_end == departures_capacity || !departures) {
        departures_capacity = departures_capacity ? 2 * departures_capacity : 4096;
        departures = realloc(departures, departures_capacity * sizeof *departures);
        if (!departures)
            die("realloc");
    }
    departures[departures_end++] =
        (struct departure){now() + delay, c->serial, (unsigned)(c - connections), size};
}

static void reply(struct connection *c, const char *text)
{
    if (delay) {
        buffer_add(&c->late, text, strlen(text));
        remember_departure(c, strlen(text));
    } else {
        buffer_add(&c->stream.out, text, strlen(text));
    }
}

static void hang_up(struct connection *c)
{
    stream_close(&c->stream);
    free(c->late.data);
    memset(c, 0, sizeof *c);
}

/* Send what may leave, then do what had to wait for that: begin TLS, or close. */
static void settle(struct connection *c)
{
    if (!stream_flush(&c->stream)) {
        hang_up(c);
        return;
    }
    stream_watch(&c->stream, poller, c);
    if (buffer_size(&c->stream.out) || buffer_size(&c->late))
        return;
    if (c->tls_next) {
        c->tls_next = false;
        stream_start_tls(&c->stream, context, true);
    } else if (c->state == CLOSING) {
        hang_up(c);
    }
}

static void send_late_replies(void)
{
    for (uint64_t time = now(); departures_start < departures_end; departures_start++) {
        struct departure *d = &departures[departures_start];
        struct connection *c = &connections[d->connection];
        if (d->due > time)
            return;
        if (!c->used || c->serial != d->serial)
            continue;
        buffer_move(&c->late, &c->stream.out, d->size);
        settle(c);
    }
}

static int milliseconds_to_departure(void)
{
    if (departures_start == departures_end)
        return -1;
    uint64_t due = departures[departures_start].due, time = now();
    return due <= time ? 0 : (int)((due - time + 999999) / 1000000);
}

/* ---- logins ------------------------------------------------------------------------------------------------ */

static void judge_login(struct connection *c, bool right)
{
    c->state = COMMAND;
    c->authenticated = right;
    counts.logins += right;
    counts.refused_logins += !right;
    reply(c, right ? "235 2.7.0 welcome\r\n" : "535 5.7.8 wrong user or password\r\n");
}

static bool plain_is_right(const char *response)
{
    char decoded[1024];
    int size = from_base64(response, decoded, sizeof decoded);
    const char *user = size > 0 ? memchr(decoded, '\0', (size_t)size) : NULL;
    if (!user || ++user >= decoded + size)
        return false;
    const char *password = user + strlen(user) + 1;
    return password <= decoded + size && !strcmp(user, options.user) && !strcmp(password, options.password);
}

static bool is_base64_of(const char *response, const char *expected)
{
    char decoded[1024];
    return from_base64(response, decoded, sizeof decoded) >= 0 && !strcmp(decoded, expected);
}

static bool cram_is_right(const struct connection *c, const char *response)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    char expected[512];
    HMAC(EVP_md5(), options.password, (int)strlen(options.password), (const unsigned char *)c->challenge,
         strlen(c->challenge), digest, &size);
    int used = snprintf(expected, sizeof expected - 2 * EVP_MAX_MD_SIZE, "%s ", options.user);
    for (unsigned i = 0; i < size; i++)
        used += sprintf(expected + used, "%02x", digest[i]);
    return is_base64_of(response, expected);
}

static void ask_cram(struct connection *c)
{
    char encoded[128], line[160];
    snprintf(c->challenge, sizeof c->challenge, "<%lu.%lu@sink.example>", (unsigned long)c->serial, (unsigned long)now());
    to_base64(c->challenge, strlen(c->challenge), encoded);
    snprintf(line, sizeof line, "334 %s\r\n", encoded);
    c->state = AUTH_CRAM;
    reply(c, line);
}

static void command_auth(struct connection *c, char *arguments)
{
    char *mechanism = strtok(arguments, " ");
    char *initial = strtok(NULL, " ");
    if (!c->stream.tls && !options.cleartext) {
        reply(c, "538 5.7.11 encryption required\r\n");
    } else if (!mechanism || !strcasestr(options.mechanisms, mechanism)) {
        reply(c, "504 5.5.4 unknown mechanism\r\n");
    } else if (!strcasecmp(mechanism, "CRAM-MD5")) {
        ask_cram(c);
    } else if (!strcasecmp(mechanism, "PLAIN") && initial) {
        judge_login(c, plain_is_right(initial));
    } else if (!strcasecmp(mechanism, "PLAIN")) {
        c->state = AUTH_PLAIN;
        reply(c, "334 \r\n");
    } else if (initial) {
        c->user_right = is_base64_of(initial, options.user);
        c->state = AUTH_LOGIN_PASSWORD;
        reply(c, "334 UGFzc3dvcmQ6\r\n");
    } else {
        c->state = AUTH_LOGIN_USER;
        reply(c, "334 VXNlcm5hbWU6\r\n");
    }
}

static void take_response(struct connection *c, const char *response)
{
    switch (c->state) {
    case AUTH_PLAIN:
        judge_login(c, plain_is_right(response));
        break;
    case AUTH_CRAM:
        judge_login(c, cram_is_right(c, response));
        break;
    case AUTH_LOGIN_USER:
        c->user_right = is_base64_of(response, options.user);
        c->state = AUTH_LOGIN_PASSWORD;
        reply(c, "334 UGFzc3dvcmQ6\r\n");
        break;
    default:
        judge_login(c, is_base64_of(response, options.password) && c->user_right);
    }
}

/* ---- commands ---------------------------------------------------------------------------------------------- */

static void command_ehlo(struct connection *c)
{
    char text[512];
    bool login = c->stream.tls || options.cleartext;
    snprintf(text, sizeof text, "250-sink.example\r\n%s%s%s%s%s%s250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 209715200\r\n",
             options.pipelining ? "250-PIPELINING\r\n" : "", options.chunking ? "250-CHUNKING\r\n" : "",
             c->stream.tls ? "" : "250-STARTTLS\r\n", login ? "250-AUTH " : "", login ? options.mechanisms : "",
             login ? "\r\n" : "");
    reply(c, text);
}

static void end_transaction(struct connection *c)
{
    c->mail = c->bdat = c->last = c->stamped = false;
    c->recipients = 0;
    c->received = c->chunk = 0;
    c->state = COMMAND;
}

static void command_mail(struct connection *c)
{
    if (!c->authenticated) {
        counts.turned_away++;
        reply(c, "530 5.7.0 login required\r\n");
        return;
    }
    end_transaction(c);
    c->mail = true;
    reply(c, "250 2.1.0 ok\r\n");
}

static void command_rcpt(struct connection *c)
{
    counts.turned_away += mode != ACCEPT;
    if (!c->mail) {
        reply(c, "503 5.5.1 MAIL first\r\n");
    } else if (mode == TEMPFAIL) {
        reply(c, "450 4.3.0 later\r\n");
    } else if (mode == REFUSE) {
        reply(c, "550 5.7.1 never\r\n");
    } else {
        c->recipients++;
        reply(c, "250 2.1.5 ok\r\n");
    }
}

static void command_data(struct connection *c)
{
    if (!c->recipients) {
        reply(c, "503 5.5.1 no recipients\r\n");
        return;
    }
    c->state = CONTENT_DATA;
    reply(c, "354 go ahead\r\n");
}

/* Chunks whose recipients were refused are read as well, and then refused. */
static void command_bdat(struct connection *c, const char *arguments)
{
    char *end;
    c->chunk = strtoul(arguments, &end, 10);
    c->last = strcasestr(end, "LAST") != NULL;
    c->bdat = true;
    c->state = CONTENT_BDAT;
}

static void command_starttls(struct connection *c)
{
    if (c->stream.tls) {
        reply(c, "503 5.5.1 already\r\n");
        return;
    }
    reply(c, "220 2.0.0 go ahead\r\n");
    c->tls_next = true;
    buffer_take(&c->stream.in, buffer_size(&c->stream.in)); /* what was injected behind it is dropped */
}

static void obey(struct connection *c, char *line)
{
    if (!strncasecmp(line, "MAIL ", 5)) {
        command_mail(c);
    } else if (!strncasecmp(line, "RCPT ", 5)) {
        command_rcpt(c);
    } else if (!strcasecmp(line, "DATA")) {
        command_data(c);
    } else if (!strncasecmp(line, "BDAT ", 5)) {
        command_bdat(c, line + 5);
    } else if (!strncasecmp(line, "EHLO ", 5) || !strncasecmp(line, "HELO ", 5)) {
        end_transaction(c);
        command_ehlo(c);
    } else if (!strcasecmp(line, "STARTTLS")) {
        command_starttls(c);
    } else if (!strncasecmp(line, "AUTH ", 5)) {
        command_auth(c, line + 5);
    } else if (!strcasecmp(line, "RSET")) {
        end_transaction(c);
        reply(c, "250 2.0.0 ok\r\n");
    } else if (!strncasecmp(line, "NOOP", 4)) {
        reply(c, "250 2.0.0 ok\r\n");
    } else if (!strcasecmp(line, "QUIT")) {
        c->state = CLOSING;
        reply(c, "221 2.0.0 bye\r\n");
    } else {
        reply(c, "500 5.5.2 what?\r\n");
    }
}

/* ---- content ----------------------------------------------------------------------------------------------- */

/* Look for the time of submission in what of the content is there. */
static void look_for_stamp(struct connection *c, size_t size)
{
    const size_t field = strlen(TIME_FIELD);
    const char *content = buffer_head(&c->stream.in), *found = memmem(content, size, TIME_FIELD, field);
    if (found && found + field + TIME_DIGITS <= content + size) {
        times_add(&counts.transit, now() - strtoull(found + field, NULL, 10));
        c->stamped = true;
    } else if (c->received + size > STAMP_WITHIN) {
        c->stamped = true; /* there is none, or it was hidden well */
    }
}

/* Take `size` octets of the `visible` ones; the others are looked at again when they are taken. */
static void take_content(struct connection *c, size_t size, size_t visible)
{
    if (!c->stamped)
        look_for_stamp(c, visible);
    buffer_take(&c->stream.in, size);
    c->received += size;
}

/* Take content up to the dot; return whether it was there. The CRLF of the command before still stands in front. */
static bool take_data(struct connection *c)
{
    static const char end[] = "\r\n.\r\n";
    const size_t length = sizeof end - 1, size = buffer_size(&c->stream.in);
    const char *content = buffer_head(&c->stream.in), *found = memmem(content, size, end, length);
    if (!found) {
        size_t kept = c->stamped ? length - 1 : (size_t)TAIL;
        if (size > kept)
            take_content(c, size - kept, size);
        return false;
    }
    take_content(c, (size_t)(found - content) + 2, (size_t)(found - content) + 2);
    c->received -= 2; /* the CRLF of the command is no content */
    buffer_take(&c->stream.in, length - 2);
    count_message(c);
    end_transaction(c);
    reply(c, "250 2.0.0 kept for nobody\r\n");
    return true;
}

/* Take content of a chunk; return whether it was all there. */
static bool take_chunk(struct connection *c)
{
    size_t size = buffer_size(&c->stream.in);
    if (size < c->chunk) {
        size_t kept = c->stamped ? 0 : (size_t)TAIL;
        if (size > kept) {
            c->chunk -= size - kept;
            take_content(c, size - kept, size);
        }
        return false;
    }
    take_content(c, c->chunk, c->chunk);
    c->state = COMMAND;
    if (!c->recipients) {
        reply(c, "503 5.5.1 no recipients\r\n");
        end_transaction(c);
    } else if (c->last) {
        count_message(c);
        end_transaction(c);
        reply(c, "250 2.0.0 kept for nobody\r\n");
    } else {
        reply(c, "250 2.0.0 more\r\n");
    }
    return true;
}

static bool take_line(struct connection *c)
{
    char *line = stream_line(&c->stream);
    if (!line) {
        if (buffer_size(&c->stream.in) > LONGEST_LINE)
            c->state = CLOSING;
        return false;
    }
    if (c->state != COMMAND) {
        take_response(c, line);
        return true;
    }
    obey(c, line);
    if (c->state == CONTENT_DATA) {
        c->stream.in.start -= 2; /* the CRLF of DATA, for the dot may follow at once */
        memcpy(buffer_head(&c->stream.in), "\r\n", 2);
    }
    return true;
}

/* Act on what has been read, as far as it is complete. */
static void digest(struct connection *c)
{
    bool going = true;
    while (going && c->state != CLOSING && !c->tls_next) {
        if (c->state == CONTENT_DATA)
            going = take_data(c);
        else if (c->state == CONTENT_BDAT)
            going = take_chunk(c);
        else
            going = take_line(c);
    }
}

/* ---- connections ------------------------------------------------------------------------------------------- */

static void start_listening(void)
{
    int yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, BACKLOG) < 0)
        die("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    options.port = ntohs(address.sin_port);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &listener});
}

static void go_down(void)
{
    close(listener);
    listener = -1;
    for (int i = 0; i < MAX_CONNECTIONS; i++)
        if (connections[i].used)
            hang_up(&connections[i]);
}

static struct connection *free_connection(void)
{
    for (int i = 0; i < MAX_CONNECTIONS; i++)
        if (!connections[i].used)
            return &connections[i];
    return NULL;
}

static void accept_clients(void)
{
    for (int fd, yes = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct connection *c = free_connection();
        if (!c) {
            close(fd);
            return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        *c = (struct connection){.used = true, .serial = ++next_serial};
        stream_open(&c->stream, fd);
        counts.connections++;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
        reply(c, "220 sink.example ESMTP\r\n");
        settle(c);
    }
}

static void serve(struct connection *c)
{
    int count;
    do {
        if ((count = stream_read(&c->stream)) > 0)
            digest(c);
    } while (count > 0 && c->state != CLOSING && !c->tls_next && stream_more(&c->stream));
    if (count < 0)
        hang_up(c);
    else
        settle(c);
}

/* ---- orders ------------------------------------------------------------------------------------------------ */

static void set_mode(const char *name)
{
    enum mode before = mode;
    mode = !strcmp(name, "down") ? DOWN : !strcmp(name, "refuse") ? REFUSE : !strcmp(name, "tempfail") ? TEMPFAIL : ACCEPT;
    if (mode == DOWN && before != DOWN)
        go_down();
    else if (mode != DOWN && before == DOWN)
        start_listening();
}

static void follow_order(char *line)
{
    if (!strncmp(line, "await ", 6)) {
        awaited = strtoull(line + 6, NULL, 10);
        if (counts.messages < awaited)
            return;
        awaited = 0;
    } else if (!strncmp(line, "mode ", 5)) {
        set_mode(line + 5);
    } else if (!strncmp(line, "delay ", 6)) {
        delay = strtoull(line + 6, NULL, 10) * 1000000u;
    } else if (!strcmp(line, "reset")) {
        reset_counts();
    }
    print_stats();
}

/* Read orders; return false when there will be no more. */
static bool take_orders(struct stream *orders)
{
    ssize_t count;
    char block[4096];
    while ((count = read(orders->fd, block, sizeof block)) > 0)
        buffer_add(&orders->in, block, (size_t)count);
    for (char *line; (line = stream_line(orders));)
        follow_order(line);
    return count < 0 && errno == EAGAIN;
}

static void make_context(void)
{
    context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_certificate_chain_file(context, options.certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, options.key, SSL_FILETYPE_PEM) != 1) {
        fputs("sink: the certificate or its key cannot be used\n", stderr);
        exit(1);
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"cert", required_argument, NULL, 'c'},       {"key", required_argument, NULL, 'k'},
        {"user", required_argument, NULL, 'u'},       {"password", required_argument, NULL, 'w'},
        {"mechanisms", required_argument, NULL, 'm'}, {"port", required_argument, NULL, 'p'},
        {"no-chunking", no_argument, NULL, 'C'},      {"no-pipelining", no_argument, NULL, 'P'},
        {"cleartext-auth", no_argument, NULL, 'A'},   {0},
    };
    for (int choice; (choice = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (choice) {
        case 'c': options.certificate = optarg; break;
        case 'k': options.key = optarg; break;
        case 'u': options.user = optarg; break;
        case 'w': options.password = optarg; break;
        case 'm': options.mechanisms = optarg; break;
        case 'p': options.port = atoi(optarg); break;
        case 'C': options.chunking = false; break;
        case 'P': options.pipelining = false; break;
        case 'A': options.cleartext = true; break;
        default: exit(2);
        }
    }
    if (!options.certificate || !options.key || !options.user || !options.password) {
        fputs("sink: --cert, --key, --user and --password are needed\n", stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct stream orders = {.fd = STDIN_FILENO};
    read_options(argc, argv);
    prepare_process();
    make_context();
    poller = epoll_create1(EPOLL_CLOEXEC);
    start_listening();
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &orders}) < 0)
        die("standard input must be a pipe");
    printf("%d\n", options.port);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int count = epoll_wait(poller, events, MAX_EVENTS, milliseconds_to_departure());
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].data.ptr == &listener)
                accept_clients();
            else if (events[i].data.ptr == &orders) {
                if (!take_orders(&orders))
                    return 0;
                break; /* connections that it closed may be among the other events; they come again */
            } else if (c->used)
                serve(c);
        }
        send_late_replies();
    }
}
