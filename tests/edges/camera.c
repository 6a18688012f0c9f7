/* A V4L2 camera that is not there: a library that a test preloads into a process. It answers for /dev/video0 and for the list in
 * /sys/class/video4linux (read from the folder $EXAMGATE_CAMERA_SYS instead), and does what the file $EXAMGATE_CAMERA_MODE says at
 * the moment. It gives YUYV pictures of noise, 320 x 240, thirty a second, through memory that keeps what was in it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 320, HEIGHT = 240, SIZE = WIDTH * HEIGHT * 2, BUFFERS = 4 };
enum { ROOM = (SIZE + 4095) & ~4095 }; /* memory is mapped by the page */
static const char CLASS[] = "/sys/class/video4linux";

static int device = -1, mode_set, queue[64], head, tail;
static uint32_t number;
static uint64_t noise = 88172645463325252ull;
static unsigned char *memory;

static int mode(const char *name) {
    static char text[64];
    int file = syscall(SYS_openat, AT_FDCWD, getenv("EXAMGATE_CAMERA_MODE"), O_RDONLY);
    long length = file < 0 ? 0 : read(file, text, sizeof text - 1);
    if (file >= 0) close(file);
    text[length < 0 ? 0 : length] = 0;
    return !strcmp(text, name);
}

static void rest(long milliseconds) {
    struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
    nanosleep(&time, NULL);
}

static int fails(int why) { errno = why; return -1; }

static void paint(unsigned char *picture) {
    for (int i = 0; i < SIZE; i += 8) { /* xorshift64, Marsaglia 2003 */
        noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
        memcpy(picture + i, &noise, 8);
    }
}

static int dequeue(struct v4l2_buffer *buffer) {
    if (mode("unplugged")) return fails(ENODEV);
    if (head == tail) return fails(EINVAL);
    int index = queue[head++ % 64];
    buffer->index = index, buffer->length = SIZE, buffer->bytesused = SIZE, buffer->m.offset = index * ROOM;
    buffer->sequence = mode("same-number") ? number : ++number;
    buffer->flags = mode("no-clock") ? 0 : V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    if (mode("empty") || mode("empty-flagged")) buffer->bytesused = 0;
    else if (mode("half")) buffer->bytesused = SIZE / 2;
    else if (mode("overlong")) buffer->bytesused = SIZE + 1;
    else if (!mode("old-contents")) paint(memory + (long)index * ROOM);
    if (mode("empty-flagged") || mode("flagged")) buffer->flags |= V4L2_BUF_FLAG_ERROR;
    struct timespec now;
    clock_gettime(mode("wall-clock") ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
    buffer->timestamp.tv_sec = now.tv_sec + (mode("future") ? 10 : mode("late") ? -3 : 0);
    buffer->timestamp.tv_usec = now.tv_nsec / 1000;
    if (mode("no-stamp")) memset(&buffer->timestamp, 0, sizeof buffer->timestamp);
    return 0;
}

static int control(unsigned long request, void *argument) {
    struct v4l2_format *format = argument;
    struct v4l2_streamparm *rate = argument;
    struct v4l2_requestbuffers *buffers = argument;
    switch (request) {
    case VIDIOC_G_FMT:
        if (!mode_set) return fails(EINVAL); /* left in a mode that its driver cannot tell */
        memset(&format->fmt, 0, sizeof format->fmt);
        format->fmt.pix.width = WIDTH, format->fmt.pix.height = HEIGHT, format->fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
        format->fmt.pix.field = V4L2_FIELD_NONE, format->fmt.pix.sizeimage = SIZE;
        return 0;
    case VIDIOC_S_FMT:
        if (mode("busy")) return fails(EBUSY);
        mode_set = 1;
        return 0;
    case VIDIOC_G_PARM:
        memset(&rate->parm, 0, sizeof rate->parm);
        rate->parm.capture.timeperframe.numerator = 1001, rate->parm.capture.timeperframe.denominator = 30000;
        return 0;
    case VIDIOC_S_PARM: return 0;
    case VIDIOC_REQBUFS:
        if (mode("stubborn")) return fails(EIO);
        if (buffers->count == 0) return 0;
        buffers->count = BUFFERS, head = tail = 0;
        if (ftruncate(device, (long)BUFFERS * ROOM)) return fails(ENOMEM);
        memory = mmap(0, (long)BUFFERS * ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
        return 0;
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        buffer->length = SIZE, buffer->m.offset = buffer->index * ROOM;
        return 0;
    }
    case VIDIOC_QBUF: queue[tail++ % 64] = ((struct v4l2_buffer *)argument)->index; return 0;
    case VIDIOC_STREAMON: return mode("no-bandwidth") ? fails(ENOSPC) : 0;
    case VIDIOC_STREAMOFF: return mode("stubborn") ? fails(EIO) : 0;
    case VIDIOC_DQBUF: return dequeue(argument);
    default: return fails(ENOTTY);
    }
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static const char *moved(const char *path, char *room, size_t size) {
    if (strncmp(path, CLASS, sizeof CLASS - 1)) return path;
    snprintf(room, size, "%s%s", getenv("EXAMGATE_CAMERA_SYS"), path + sizeof CLASS - 1);
    return room;
}

static int opened(const char *path, int flags, mode_t bits) {
    char room[4096];
    if (strcmp(path, "/dev/video0")) return syscall(SYS_openat, AT_FDCWD, moved(path, room, sizeof room), flags, bits);
    if (mode("unplugged")) return fails(ENODEV);
    return mode_set = 0, device = memfd_create("camera", 0);
}

#define BITS(bits, flags) va_list rest_; va_start(rest_, flags); mode_t bits = va_arg(rest_, mode_t); va_end(rest_)
int open(const char *path, int flags, ...) { BITS(bits, flags); return opened(path, flags, bits); }
int open64(const char *path, int flags, ...) { BITS(bits, flags); return opened(path, flags, bits); }

DIR *opendir(const char *path) {
    char room[4096];
    REAL(opendir);
    return real(moved(path, room, sizeof room));
}

int poll(struct pollfd *files, nfds_t count, int limit) {
    REAL(poll);
    if (device < 0 || count != 1 || files->fd != device) return real(files, count, limit);
    if (mode("silent")) return rest(limit), 0;
    return rest(33), files->revents = POLLIN, 1;
}

long syscall(long which, ...) {
    va_list list;
    va_start(list, which);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long), d = va_arg(list, long), e = va_arg(list, long),
         f = va_arg(list, long);
    va_end(list);
    if (which == SYS_ioctl && device >= 0 && (int)a == device) return control((unsigned long)b & 0xffffffff, (void *)c);
    REAL(syscall);
    return real(which, a, b, c, d, e, f);
}
