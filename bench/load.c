/* Many clients that submit mail to a relay on loopback, each as slowly as a simple client does.
 *
 * Unless told so they do not pipeline: one write a command, and nothing before the reply. Each has one message
 * under way, so the relay's speed sets the pace. It ends when enough messages have got their 250, or when the time is up and
 * what was begun is finished, and prints one line of JSON. `first` and `last` are of the clock that the sink
 * uses; `accept` is from writing MAIL to the 250 behind the dot, in microseconds.
 *
 * A reply that was not hoped for counts as an error; the client drops the connection, rests, and goes on.
 */
#define _GNU_SOURCE /* memmem */
#include "stream.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_EVENTS = 256,
    LINE = 76,          /* octets of a line of the body, CRLF included */
    REST = 20,          /* milliseconds that a client rests after an error */
    MOST_ERRORS = 1000, /* then something is broken, and going on tells nothing */
};

enum state { RESTING, GREETING, EHLO, STARTTLS, EHLO_AGAIN, AUTH, MAIL, RCPT, DATA, BODY, QUIT, DONE };

struct client {
    struct stream stream;
    enum state state;
    uint64_t wakes, submitted;
    unsigned long sent; /* messages on this connection */
};

static struct options {
    int port, clients;
    unsigned long messages, per_connection, size, recipients;
    uint64_t duration, timeout, pace;
    const char *sender, *recipient, *user, *password;
    bool starttls, pipeline;
} options = {.clients = 1,
             .size = 4096,
             .recipients = 1,
             .duration = UINT64_MAX,
             .timeout = 600 * 1000000000ull,
             .messages = (unsigned long)-1,
             .sender = "app@sender.example",
             .recipient = "you@remote.example"};

static struct client *clients;
static struct times latencies, greetings;
static unsigned long begun, accepted, errors, connections, unfinished;
static uint64_t started, first, last;
static char complaint[200];
static char *message;
static size_t message_size, stamp_at;
static SSL_CTX *context;
static int poller;

/* A message of the wanted size, dot at its end included. */
static void compose(void)
{
    char header[512];
    int size = snprintf(header, sizeof header,
                        "From: <%s>\r\nTo: <%s>\r\nSubject: a message of the bench\r\n"
                        "Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <bench@sender.example>\r\n" TIME_FIELD
                        "%0*d\r\n\r\n",
                        options.sender, options.recipient, TIME_DIGITS, 0);
    message_size = options.size > (size_t)size + LINE ? options.size : (size_t)size + LINE;
    message = malloc(message_size + 3);
    if (!message)
        die("malloc");
    memset(message, 'x', message_size);
    memcpy(message, header, (size_t)size);
    for (size_t end = (size_t)size + LINE; end < message_size - 2; end += LINE)
        memcpy(message + end - 2, "\r\n", 2);
    memcpy(message + message_size - 2, "\r\n.\r\n", 5);
    message_size += 3;
    stamp_at = (size_t)((char *)memmem(message, (size_t)size, TIME_FIELD, strlen(TIME_FIELD)) - message) + strlen(TIME_FIELD);
}

static void say(struct client *c, const char *text)
{
    buffer_add(&c->stream.out, text, strlen(text));
}

static void say_body(struct client *c)
{
    char stamp[TIME_DIGITS + 1];
    snprintf(stamp, sizeof stamp, "%0*lu", TIME_DIGITS, (unsigned long)c->submitted);
    memcpy(message + stamp_at, stamp, TIME_DIGITS);
    buffer_add(&c->stream.out, message, message_size);
}

static void say_plain(struct client *c)
{
    char secret[512], encoded[700], line[800];
    int size = snprintf(secret, sizeof secret, "%c%s%c%s", 0, options.user, 0, options.password);
    to_base64(secret, (size_t)size, encoded);
    snprintf(line, sizeof line, "AUTH PLAIN %s\r\n", encoded);
    say(c, line);
}

static bool enough(void)
{
    return begun >= options.messages || now() - started >= options.duration || errors >= MOST_ERRORS;
}

static void rest(struct client *c, uint64_t until)
{
    c->wakes = until;
    c->state = RESTING;
}

static void hang_up(struct client *c)
{
    stream_close(&c->stream);
    c->sent = 0;
    if (enough()) {
        c->state = DONE;
        unfinished--;
    } else {
        rest(c, now());
    }
}

static void dial(struct client *c)
{
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    connect(fd, (struct sockaddr *)&address, sizeof address); /* a refusal comes with the first read */
    stream_open(&c->stream, fd);
    c->state = GREETING;
    connections++;
    c->submitted = now();
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
}

static void say_recipient(struct client *c, unsigned long number)
{
    char line[300];
    if (number)
        snprintf(line, sizeof line, "RCPT TO:<r%lu.%s>\r\n", number, options.recipient);
    else
        snprintf(line, sizeof line, "RCPT TO:<%s>\r\n", options.recipient);
    say(c, line);
}

static void next_recipient(struct client *c, unsigned long number)
{
    c->state = RCPT;
    c->wakes = number; /* while not resting, it counts recipients */
    if (!options.pipeline)
        say_recipient(c, number);
}

static void say_envelope(struct client *c)
{
    for (unsigned long number = 0; number < options.recipients; number++)
        say_recipient(c, number);
    say(c, "DATA\r\n");
}

static void next_message(struct client *c)
{
    if (enough() || (options.per_connection && c->sent >= options.per_connection)) {
        say(c, "QUIT\r\n");
        c->state = QUIT;
        return;
    }
    char line[300];
    snprintf(line, sizeof line, "MAIL FROM:<%s>\r\n", options.sender);
    begun++;
    c->state = MAIL;
    c->submitted = now();
    if (!first)
        first = c->submitted;
    say(c, line);
    if (options.pipeline)
        say_envelope(c);
}

static void got_accepted(struct client *c)
{
    last = now();
    accepted++;
    c->sent++;
    times_add(&latencies, last - c->submitted);
    if (options.pace && !enough())
        rest(c, c->submitted + options.pace);
    else
        next_message(c);
}

/* The reply that each state hopes for. */
static const char hoped[] = {
    [GREETING] = '2', [EHLO] = '2', [STARTTLS] = '2', [EHLO_AGAIN] = '2', [AUTH] = '2', [MAIL] = '2',
    [RCPT] = '2',     [DATA] = '3', [BODY] = '2',     [QUIT] = '2',
};

static void advance(struct client *c)
{
    switch (c->state) {
    case GREETING:
        times_add(&greetings, now() - c->submitted);
        c->state = EHLO;
        say(c, "EHLO client.example\r\n");
        break;
    case EHLO:
        if (!options.starttls) {
            next_message(c);
            break;
        }
        c->state = STARTTLS;
        say(c, "STARTTLS\r\n");
        break;
    case STARTTLS:
        stream_start_tls(&c->stream, context, false);
        c->state = EHLO_AGAIN;
        say(c, "EHLO client.example\r\n");
        break;
    case EHLO_AGAIN:
        c->state = AUTH;
        say_plain(c);
        break;
    case AUTH:
        next_message(c);
        break;
    case MAIL:
        next_recipient(c, 0);
        break;
    case RCPT:
        if (c->wakes + 1 < options.recipients) {
            next_recipient(c, c->wakes + 1);
            break;
        }
        c->state = DATA;
        if (!options.pipeline)
            say(c, "DATA\r\n");
        break;
    case DATA:
        c->state = BODY;
        say_body(c);
        break;
    case BODY:
        got_accepted(c);
        break;
    default:
        hang_up(c);
    }
}

static void complain(struct client *c, const char *text)
{
    errors++;
    if (!*complaint)
        snprintf(complaint, sizeof complaint, "%s", text);
    if (c->state >= MAIL && c->state <= BODY)
        begun--; /* it will be tried again */
    hang_up(c);
    if (c->state == RESTING)
        c->wakes = now() + REST * 1000000ull;
}

static bool take_reply(struct client *c)
{
    char *line = stream_line(&c->stream);
    if (!line)
        return false;
    if (strlen(line) > 3 && line[3] == '-')
        return true;
    if (line[0] == hoped[c->state])
        advance(c);
    else
        complain(c, line);
    return true;
}

static void serve(struct client *c)
{
    int count;
    do {
        if ((count = stream_read(&c->stream)) <= 0)
            break;
        while (c->stream.fd >= 0 && take_reply(c))
            ;
        if (c->stream.fd < 0)
            return;
    } while (stream_more(&c->stream));
    if (count < 0 && c->state == QUIT)
        hang_up(c);
    else if (count < 0 || !stream_flush(&c->stream))
        complain(c, "the relay hung up");
    else
        stream_watch(&c->stream, poller, c);
}

/* Wake the clients whose rest is over; return the milliseconds until the next one's is, or -1. */
static int wake(void)
{
    uint64_t time = now(), next = UINT64_MAX;
    for (struct client *c = clients; c < clients + options.clients; c++) {
        if (c->state != RESTING)
            continue;
        if (c->wakes > time) {
            next = c->wakes < next ? c->wakes : next;
        } else if (c->stream.fd >= 0) {
            next_message(c);
            stream_flush(&c->stream);
            stream_watch(&c->stream, poller, c);
        } else if (enough()) {
            c->state = DONE;
            unfinished--;
        } else {
            dial(c);
        }
    }
    return next == UINT64_MAX ? -1 : (int)((next - time) / 1000000 + 1);
}

static void report(void)
{
    for (char *octet = complaint; *octet; octet++)
        if (*octet == '"' || *octet == '\\' || *octet < ' ')
            *octet = '?';
    printf("{\"accepted\": %lu, \"errors\": %lu, \"complaint\": \"%s\", \"connections\": %lu, \"unfinished\": %lu, "
           "\"first\": %lu, \"last\": %lu, \"cpu\": %.6f, ",
           accepted, errors, complaint, connections, unfinished, (unsigned long)first, (unsigned long)last, cpu_seconds());
    times_print(&latencies, "accept");
    printf(", ");
    times_print(&greetings, "greeting");
    puts("}");
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},       {"clients", required_argument, NULL, 'c'},
        {"messages", required_argument, NULL, 'm'},   {"seconds", required_argument, NULL, 's'},
        {"size", required_argument, NULL, 'z'},       {"per-connection", required_argument, NULL, 'k'},
        {"pace-ms", required_argument, NULL, 'e'},    {"timeout", required_argument, NULL, 't'},
        {"recipient", required_argument, NULL, 'r'},  {"sender", required_argument, NULL, 'f'},
        {"recipients", required_argument, NULL, 'n'}, {"starttls", no_argument, NULL, 'T'},
        {"user", required_argument, NULL, 'u'},       {"password", required_argument, NULL, 'w'},
        {"pipeline", no_argument, NULL, 'P'},         {0},
    };
    for (int choice; (choice = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (choice) {
        case 'p': options.port = atoi(optarg); break;
        case 'c': options.clients = atoi(optarg); break;
        case 'm': options.messages = strtoul(optarg, NULL, 10); break;
        case 's': options.duration = (uint64_t)(atof(optarg) * 1e9); break;
        case 'z': options.size = strtoul(optarg, NULL, 10); break;
        case 'k': options.per_connection = strtoul(optarg, NULL, 10); break;
        case 'e': options.pace = (uint64_t)(atof(optarg) * 1e6); break;
        case 't': options.timeout = (uint64_t)(atof(optarg) * 1e9); break;
        case 'r': options.recipient = optarg; break;
        case 'f': options.sender = optarg; break;
        case 'n': options.recipients = strtoul(optarg, NULL, 10); break;
        case 'T': options.starttls = true; break;
        case 'P': options.pipeline = true; break;
        case 'u': options.user = optarg; break;
        case 'w': options.password = optarg; break;
        default: exit(2);
        }
    }
    if (!options.port || options.clients < 1 || (options.starttls && (!options.user || !options.password))) {
        fputs("load: --port is needed, and --user and --password with --starttls\n", stderr);
        exit(2);
    }
    if (options.messages == (unsigned long)-1 && options.duration == UINT64_MAX) {
        fputs("load: --messages or --seconds is needed, for it must end\n", stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    prepare_process();
    compose();
    context = SSL_CTX_new(TLS_client_method()); /* it verifies nothing: what it measures is a sandbox on loopback */
    poller = epoll_create1(EPOLL_CLOEXEC);
    clients = calloc((size_t)options.clients, sizeof *clients);
    if (!context || poller < 0 || !clients)
        die("load");
    for (struct client *c = clients; c < clients + options.clients; c++)
        c->stream.fd = -1;
    unfinished = (unsigned long)options.clients;
    started = now();
    while (unfinished && now() - started < options.timeout) {
        struct epoll_event events[MAX_EVENTS];
        int patience = wake();
        int count = epoll_wait(poller, events, MAX_EVENTS, patience < 0 || patience > 1000 ? 1000 : patience);
        for (int i = 0; i < count; i++) {
            struct client *c = events[i].data.ptr;
            if (c->stream.fd >= 0)
                serve(c);
        }
    }
    report();
    return 0;
}
