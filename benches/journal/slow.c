/* A slow disk: every fdatasync and fsync takes at least LATCH_SYNC_US microseconds. Preloaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

static int slowly(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *text = getenv("LATCH_SYNC_US");
    long until = now_us() + (text ? atol(text) : 0);
    int result = real(fd);
    long left = until - now_us();
    if (left > 0) {
        struct timespec t = {left / 1000000, left % 1000000 * 1000};
        nanosleep(&t, NULL);
    }
    return result;
}

int fdatasync(int fd) { return slowly("fdatasync", fd); }
int fsync(int fd) { return slowly("fsync", fd); }
