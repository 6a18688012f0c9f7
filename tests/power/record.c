/* Preloaded into a process: writes down every change that it makes to files below a folder, in order, and every wait for the
 * disk. `image.rs` makes out of that what the disk may hold after a power cut at any moment.
 *
 * EXAMGATE_RECORD_ROOT names the folder, EXAMGATE_RECORD_LOG the file to write to. A record is: one letter, then four
 * numbers of 8 bytes in the machine's order (file number, offset, length of the name, length of the data), name, data.
 * File numbers are inodes. What is written through a memory map is not seen: SQLite does that with its -shm file only, which
 * it makes anew after a power cut.
 *
 * adjtimex says that the clock is kept by a time server, so that the record of that is written. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int log_fd = -1;
static char root[PATH_MAX];

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("EXAMGATE_RECORD_ROOT"), *log = getenv("EXAMGATE_RECORD_LOG");
    if (!folder || !log) return;
    snprintf(root, sizeof root, "%s/", folder);
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t written = syscall(SYS_write, log_fd, at, length);
        if (written <= 0) abort();
        at += written;
        length -= (size_t)written;
    }
}

static void record(char what, uint64_t file, uint64_t offset, const char *name, const void *data, uint64_t length) {
    uint64_t numbers[4] = {file, offset, name ? strlen(name) : 0, length};
    put(&what, 1);
    put(numbers, sizeof numbers);
    if (name) put(name, strlen(name));
    if (length) put(data, length);
}

static int watched(const char *path) { return log_fd >= 0 && strncmp(path, root, strlen(root)) == 0; }

/* The inode behind a descriptor, if it is a file or folder below the root (or the root itself). */
static int watched_fd(int fd, uint64_t *file, char path[PATH_MAX]) {
    char link[64];
    struct stat found;
    if (log_fd < 0 || fd == log_fd) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 2);
    if (length <= 0) return 0;
    path[length] = 0;
    int folder = strlen(root) == (size_t)length + 1 && strncmp(path, root, (size_t)length) == 0;
    if ((!folder && !watched(path)) || fstat(fd, &found) != 0) return 0;
    *file = found.st_ino;
    return 1;
}

static uint64_t inode(const char *path) {
    struct stat found;
    return stat(path, &found) == 0 ? found.st_ino : 0;
}

#define HELD(call) \
    pthread_mutex_lock(&lock); \
    call; \
    int kept = errno; \
    pthread_mutex_unlock(&lock); \
    errno = kept

static int opened(int (*open_it)(int, const char *, int, mode_t), int at, const char *path, int flags, mode_t mode) {
    int fd;
    HELD({
        int there = watched(path) && faccessat(AT_FDCWD, path, F_OK, 0) == 0;
        fd = open_it(at, path, flags, mode);
        if (fd >= 0 && watched(path)) {
            if (!there) record('c', inode(path), 0, path, NULL, 0);
            else if (flags & O_TRUNC) record('t', inode(path), 0, NULL, NULL, 0);
        }
    });
    return fd;
}

static int by_syscall(int at, const char *path, int flags, mode_t mode) {
    return (int)syscall(SYS_openat, at, path, flags, mode);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = va_arg(more, mode_t); \
        va_end(more); \
        return opened(by_syscall, AT_FDCWD, path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = va_arg(more, mode_t); \
        va_end(more); \
        return opened(by_syscall, at, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

static void wrote(int fd, const void *bytes, ssize_t done, off_t offset) {
    uint64_t file;
    char path[PATH_MAX];
    if (done > 0 && watched_fd(fd, &file, path)) {
        record('w', file, (uint64_t)offset, path, bytes, (uint64_t)done);
    }
}

ssize_t write(int fd, const void *bytes, size_t length) {
    ssize_t done;
    HELD({
        done = syscall(SYS_write, fd, bytes, length);
        if (done > 0 && log_fd >= 0) wrote(fd, bytes, done, lseek(fd, 0, SEEK_CUR) - done);
    });
    return done;
}

#define PWRITE(name, offset_type) \
    ssize_t name(int fd, const void *bytes, size_t length, offset_type offset) { \
        ssize_t done; \
        HELD({ \
            done = syscall(SYS_pwrite64, fd, bytes, length, offset); \
            wrote(fd, bytes, done, (off_t)offset); \
        }); \
        return done; \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, offset_type) \
    int name(int fd, offset_type length) { \
        int done; \
        HELD({ \
            uint64_t file; \
            char path[PATH_MAX]; \
            done = (int)syscall(SYS_ftruncate, fd, length); \
            if (done == 0 && watched_fd(fd, &file, path)) record('t', file, (uint64_t)length, NULL, NULL, 0); \
        }); \
        return done; \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name, number) \
    int name(int fd) { \
        int done = 0; \
        HELD({ \
            uint64_t file; \
            char path[PATH_MAX]; \
            if (watched_fd(fd, &file, path)) record('s', file, 0, path, NULL, 0); \
            else done = (int)syscall(number, fd); \
        }); \
        return done; \
    }
SYNC(fsync, SYS_fsync)
SYNC(fdatasync, SYS_fdatasync)

#define TWO_NAMES(letter, call) \
    int done; \
    HELD({ \
        done = call; \
        if (done == 0 && (watched(from) || watched(to))) record(letter, inode(to), 0, from, to, strlen(to)); \
    }); \
    return done

int rename(const char *from, const char *to) { TWO_NAMES('r', (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0)); }
int link(const char *from, const char *to) { TWO_NAMES('l', (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0)); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
    TWO_NAMES('l', (int)syscall(SYS_linkat, a, from, b, to, flags));
}

#define ONE_NAME(letter, call) \
    int done; \
    HELD({ \
        done = call; \
        if (done == 0 && watched(path)) record(letter, inode(path), 0, path, NULL, 0); \
    }); \
    return done

int unlink(const char *path) { ONE_NAME('u', (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0)); }
int mkdir(const char *path, mode_t mode) { ONE_NAME('m', (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode)); }

int adjtimex(struct timex *asked) {
    memset(asked, 0, sizeof *asked);
    return TIME_OK;
}
