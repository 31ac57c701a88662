// What Linux has beyond POSIX and Swift's Glibc module does not show: waiting for many descriptors, and calls that make
// descriptors non-blocking and close-on-exec in one step.
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

// glibc declares these for _GNU_SOURCE alone, which the module can't define.
extern int accept4(int, struct sockaddr *__restrict, socklen_t *__restrict, int);
extern int pipe2(int[2], int);
extern int pthread_setname_np(unsigned long, const char *);

// Has a listening socket drop what begins a connection (a TCP segment with SYN and without ACK), or no longer drop it
// (socket(7), SO_ATTACH_FILTER). Connections that have begun go on. 0 when it did.
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

// How many bytes a socket holds that its other end has not acknowledged (tcp(7), SIOCOUTQ); 0 when that is not known.
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
