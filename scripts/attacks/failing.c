/* Makes the n-th change of a file fail: a library that is loaded before all others.

   FAIL_MATCH   a part of the paths that are meant
   FAIL_AT      which change fails, from 1
   FAIL_ERRNO   how
   FAIL_MODE    once; forever: all later ones, too; short: a write of half, and all later ones fail
   FAIL_LOG     a file that is made when a change has failed                                                            */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long changes;

enum verdict { PASS, FAIL, SHORT };

static enum verdict judged(const char* path) {
  const char *match = getenv("FAIL_MATCH"), *at = getenv("FAIL_AT"), *mode = getenv("FAIL_MODE");
  if (!match || !at || !path || !strstr(path, match)) return PASS;
  const long now = atomic_fetch_add(&changes, 1) + 1, n = atol(at);
  const int once = mode && !strcmp(mode, "once");
  if (now < n || (once && now > n)) return PASS;
  if (now == n && getenv("FAIL_LOG")) {
    const int log = open(getenv("FAIL_LOG"), O_CREAT | O_WRONLY, 0600);
    if (log >= 0) close(log);
  }
  errno = getenv("FAIL_ERRNO") ? atoi(getenv("FAIL_ERRNO")) : EIO;
  return now == n && mode && !strcmp(mode, "short") ? SHORT : FAIL;
}

static enum verdict judged_fd(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return PASS;
  path[length] = 0;
  return judged(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define GUARD_FD(...) if (judged_fd(fd) != PASS) return -1; return REAL(__VA_ARGS__)

ssize_t write(int fd, const void* data, size_t size) {
  const enum verdict v = judged_fd(fd);
  return v == FAIL ? -1 : REAL(write)(fd, data, v == SHORT ? size / 2 : size);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  const enum verdict v = judged_fd(fd);
  return v == FAIL ? -1 : REAL(pwrite)(fd, data, v == SHORT ? size / 2 : size, at);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  const enum verdict v = judged_fd(fd);
  return v == FAIL ? -1 : REAL(pwrite64)(fd, data, v == SHORT ? size / 2 : size, at);
}
ssize_t writev(int fd, const struct iovec* parts, int count) { GUARD_FD(writev)(fd, parts, count); }
int ftruncate(int fd, off_t size) { GUARD_FD(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { GUARD_FD(ftruncate64)(fd, size); }
int fsync(int fd) { GUARD_FD(fsync)(fd); }
int fdatasync(int fd) { GUARD_FD(fdatasync)(fd); }
int rename(const char* from, const char* to) { return judged(from) != PASS ? -1 : REAL(rename)(from, to); }
int unlink(const char* path) { return judged(path) != PASS ? -1 : REAL(unlink)(path); }
