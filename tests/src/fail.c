// Makes system calls fail for one program: cc -shared -fPIC -o fail.so fail.c, LD_PRELOAD=fail.so.
//
// SHIM_EIO names a file: while it exists, calls on a path that holds "trace_store.db" fail with
// EIO. SHIM_CALLS names the calls: "write" (the default), "read" or "sync". SHIM_JUMP is how many seconds
// the wall clock jumps ahead half a second after the program began. While the file exists that
// SHIM_BACK names, the clock is right again.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int fails(int fd, const char *call) {
    const char *flag = getenv("SHIM_EIO"), *calls = getenv("SHIM_CALLS");
    if (!flag || strcmp(calls ? calls : "write", call) != 0 || access(flag, F_OK) != 0) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "trace_store.db") != NULL;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    if (fails(fd, "write")) { errno = EIO; return -1; }
    return real(fd, bytes, count, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return pwrite64(fd, bytes, count, at);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t at) {
    static ssize_t (*real)(int, void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pread64");
    if (fails(fd, "read")) { errno = EIO; return -1; }
    return real(fd, bytes, count, at);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t at) {
    return pread64(fd, bytes, count, at);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    if (fails(fd, "sync")) { errno = EIO; return -1; }
    return real(fd);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    if (fails(fd, "sync")) { errno = EIO; return -1; }
    return real(fd);
}

static int (*real_clock)(clockid_t, struct timespec *);
static struct timespec began;
static long jump;

__attribute__((constructor)) static void begin(void) {
    const char *seconds = getenv("SHIM_JUMP");
    real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    real_clock(CLOCK_MONOTONIC, &began);
    jump = seconds ? atol(seconds) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    struct timespec now;
    if (!real_clock) begin();
    int result = real_clock(clock, time);
    if (result == 0 && clock == CLOCK_REALTIME && jump != 0) {
        real_clock(CLOCK_MONOTONIC, &now);
        double passed = now.tv_sec - began.tv_sec + (now.tv_nsec - began.tv_nsec) / 1e9;
        const char *back = getenv("SHIM_BACK");
        if (passed > 0.5 && !(back && access(back, F_OK) == 0)) time->tv_sec += jump;
    }
    return result;
}
