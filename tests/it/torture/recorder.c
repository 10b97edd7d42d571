/* Records the program's changes of an SQLite database's files, and its syncs, in the file that RECORDING names. For LD_PRELOAD.
 *
 * Each call appends its record before it returns. So when a client has its answer, the records of all earlier calls are there.
 * A record is `struct record`, followed by the bytes of a write. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES = 4096 };

struct record {
    uint8_t kind;    /* W write, T truncate, C create, U unlink, B sync begins, E sync ends */
    uint8_t file;    /* index of SUFFIXES */
    uint8_t unused[2];
    uint32_t length; /* of a write */
    uint64_t at;     /* offset of a write, size of a truncation, number of a sync */
};

static const char *const SUFFIXES[] = {"connectors.db", "connectors.db-wal", "connectors.db-journal"};
static int recording = -1;
static uint64_t syncs;
/* By descriptor: the index of its file plus one, or zero. */
static volatile uint8_t files[FILES];

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("RECORDING");
    if (path)
        recording = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static int file_of_path(const char *path) {
    size_t length = strlen(path);
    for (int file = 0; file < 3; file++) {
        size_t suffix = strlen(SUFFIXES[file]);
        if (length >= suffix && !strcmp(path + length - suffix, SUFFIXES[file]))
            return file;
    }
    return -1;
}

static int file_of(int fd) { return fd >= 0 && fd < FILES ? files[fd] - 1 : -1; }

static void append(uint8_t kind, int file, uint64_t at, const void *bytes, size_t length) {
    int before = errno;
    struct record record = {.kind = kind, .file = file, .length = length, .at = at};
    struct iovec parts[] = {{&record, sizeof record}, {(void *)bytes, length}};
    if (syscall(SYS_writev, recording, parts, 2) != (long)(sizeof record + length))
        abort();
    errno = before;
}

static int opened(int directory, const char *path, int flags, mode_t mode) {
    int fd = syscall(SYS_openat, directory, path, flags, mode);
    if (fd < 0 || fd >= FILES || recording < 0)
        return fd;
    int file = file_of_path(path);
    files[fd] = file + 1;
    if (file >= 0 && flags & O_CREAT)
        append('C', file, 0, NULL, 0);
    return fd;
}

#define MODE(flags, mode)                                                                                              \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    mode_t mode = flags & O_CREAT ? va_arg(rest, int) : 0;                                                             \
    va_end(rest)

int open(const char *path, int flags, ...) {
    MODE(flags, mode);
    return opened(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, mode);
    return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int close(int fd) {
    if (fd >= 0 && fd < FILES)
        files[fd] = 0;
    return syscall(SYS_close, fd);
}

static ssize_t written(int fd, const void *bytes, ssize_t length, off_t at) {
    int file = file_of(fd);
    if (file >= 0 && length > 0)
        append('W', file, at, bytes, length);
    return length;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    off_t at = file_of(fd) < 0 ? 0 : lseek(fd, 0, SEEK_CUR);
    return written(fd, bytes, syscall(SYS_write, fd, bytes, length), at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    return written(fd, bytes, syscall(SYS_pwrite64, fd, bytes, length, at), at);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

int ftruncate64(int fd, off64_t size) {
    int result = syscall(SYS_ftruncate, fd, size);
    int file = file_of(fd);
    if (file >= 0 && !result)
        append('T', file, size, NULL, 0);
    return result;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

/* A sync covers the writes from before it began. */
static int synced(int fd, long call) {
    int file = file_of(fd);
    if (file < 0)
        return syscall(call, fd);
    uint64_t number = (uint64_t)getpid() << 32 | __atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST);
    append('B', file, number, NULL, 0);
    int result = syscall(call, fd);
    if (!result)
        append('E', file, number, NULL, 0);
    return result;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }

int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int unlink(const char *path) {
    int result = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    int file = recording < 0 ? -1 : file_of_path(path);
    if (file >= 0 && !result)
        append('U', file, 0, NULL, 0);
    return result;
}
