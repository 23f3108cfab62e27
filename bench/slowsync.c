/* A slower disk: each sync takes SLOWSYNC_US microseconds more than it does here.
 *
 * Loaded by LD_PRELOAD. The sync itself still happens, and it is over before the wait begins: the wait stands
 * for a device that answers late.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int late(int result)
{
    static long microseconds = -1;
    int error = errno;
    if (microseconds < 0) {
        const char *text = getenv("SLOWSYNC_US");
        microseconds = text ? strtol(text, NULL, 10) : 0;
    }
    struct timespec wait = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&wait, NULL);
    errno = error;
    return result;
}

int fsync(int fd)
{
    static int (*real)(int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    return late(real(fd));
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
    return late(real(fd));
}
