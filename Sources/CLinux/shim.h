// Linux calls that Swift's Glibc module lacks: epoll, eventfd, inotify, signalfd, and calls that create a descriptor
// already non-blocking and close-on-exec.
#ifndef AEGIS_CLINUX_H
#define AEGIS_CLINUX_H
#include <linux/filter.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

// glibc declares these functions only if _GNU_SOURCE is defined, and a module map can't define it.
extern int accept4(int, struct sockaddr *__restrict, socklen_t *__restrict, int);
extern int pipe2(int[2], int);
extern int pthread_setname_np(unsigned long, const char *);

// Attaches a filter to a listening socket that drops the first packet (SYN without ACK) of each new TCP connection, or
// detaches the filter (socket(7), SO_ATTACH_FILTER). Established connections continue. Returns 0 on success.
static inline int aegis_drop_new(int descriptor, int drops) {
    int flags = 13, syn = 0x02, syn_ack = 0x12;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, flags),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, syn_ack),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, syn, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xFFFFFFFF),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    int option = drops ? SO_ATTACH_FILTER : SO_DETACH_FILTER;
    return setsockopt(descriptor, SOL_SOCKET, option, &program, sizeof program);
}

// Returns how many sent bytes the peer has not acknowledged (tcp(7), SIOCOUTQ). Returns 0 if the kernel does not say.
static inline int aegis_untaken(int descriptor) {
    int count = 0;
    return ioctl(descriptor, SIOCOUTQ, &count) == 0 ? count : 0;
}

static const uint32_t aegis_epoll_all = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
static const uint32_t aegis_epoll_in = EPOLLIN;
static const uint32_t aegis_epoll_exclusive = EPOLLIN | EPOLLEXCLUSIVE;
static const uint32_t aegis_epoll_readable = EPOLLIN | EPOLLRDHUP;
static const uint32_t aegis_epoll_writable = EPOLLOUT;
static const uint32_t aegis_epoll_ended = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
static const uint32_t aegis_epoll_hung_up = EPOLLHUP | EPOLLERR;
static const int aegis_epoll_cloexec = EPOLL_CLOEXEC;
static const int aegis_eventfd_flags = EFD_CLOEXEC | EFD_NONBLOCK;
static const int aegis_signalfd_flags = SFD_CLOEXEC | SFD_NONBLOCK;
#endif
