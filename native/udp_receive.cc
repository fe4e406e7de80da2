#include <errno.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <time.h>

#include <cstring>

#include "arguments.h"
#include "udp_socket.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace quicgate {

namespace {

/// Length, size of the datagrams in it (0 if it is one), whether it was cut off, its age, then whom it is from.
constexpr size_t kMessageWords = 4 + kAddressWords;
/// A slot has room for all that the kernel joins.
constexpr size_t kMinSlot = 65536;
/// What seems to have waited longer, microseconds, was not: somebody has set the clock that stamps are made with.
constexpr int64_t kMaxAge = 2000000;

int64_t Micros(const timespec& time) { return static_cast<int64_t>(time.tv_sec) * 1000000 + time.tv_nsec / 1000; }

/// What the kernel says of a message besides its bytes.
struct Facts {
  /// Size of the datagrams that were joined, 0 if it is one.
  int joined_size = 0;
  /// When it arrived, by CLOCK_REALTIME, if `stamped`.
  timespec arrival = {};
  bool stamped = false;
};

/// One call's bookkeeping. It is written anew for every call, so it may lie on the stack.
struct Batch {
  mmsghdr header[kMaxMessages];
  iovec vector[kMaxMessages];
  SocketAddress address[kMaxMessages];
  alignas(cmsghdr) char control[kMaxMessages][CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(timespec))];

  void Prepare(const Bytes& pool, size_t slot, size_t count) {
    for (size_t i = 0; i < count; i++) {
      vector[i] = {pool.data + i * slot, slot};
      msghdr& message = header[i].msg_hdr;
      message.msg_name = &address[i].storage;
      message.msg_namelen = sizeof address[i].storage;
      message.msg_iov = &vector[i];
      message.msg_iovlen = 1;
      message.msg_control = control[i];
      message.msg_controllen = sizeof control[i];
      message.msg_flags = 0;
    }
  }

  Facts FactsOf(size_t i) {
    Facts facts;
    msghdr& message = header[i].msg_hdr;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
      if (part->cmsg_level == IPPROTO_UDP && part->cmsg_type == UDP_GRO) {
        std::memcpy(&facts.joined_size, CMSG_DATA(part), sizeof facts.joined_size);
      } else if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
        std::memcpy(&facts.arrival, CMSG_DATA(part), sizeof facts.arrival);
        facts.stamped = true;
      }
    }
    return facts;
  }
};

int ReceiveMessages(UdpSocket* socket, mmsghdr* headers, size_t count) {
  if (socket->many_messages) {
    const int received = recvmmsg(socket->fd(), headers, static_cast<unsigned>(count), MSG_DONTWAIT, nullptr);
    if (received >= 0 || errno != ENOSYS) return received;
    socket->many_messages = false;
  }
  const ssize_t length = recvmsg(socket->fd(), &headers[0].msg_hdr, MSG_DONTWAIT);
  if (length < 0) return -1;
  headers[0].msg_len = static_cast<unsigned>(length);
  return 1;
}

/// How long before `now` a message arrived, microseconds; 0 where nobody can tell.
int32_t Age(const Facts& facts, int64_t now) {
  if (!facts.stamped) return 0;
  const int64_t age = now - Micros(facts.arrival);
  return age >= 0 && age <= kMaxAge ? static_cast<int32_t>(age) : 0;
}

}  // namespace

/// receive(pool, slotSize, slots, messages): fills slots of the pool and describes what is in them, with ages as they are
/// when it returns; how many, or the negative number of an error (-EAGAIN: there is nothing)
napi_value Receive(napi_env env, napi_callback_info info) {
  Call call;
  Bytes pool;
  Ints messages;
  size_t slot = 0;
  size_t count = 0;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = Receiver<UdpSocket>(env, call);
  if (socket == nullptr || !ReadBytes(env, call.argument[0], "pool", &pool) ||
      !ReadSize(env, call.argument[1], "slotSize", pool.length, &slot) ||
      !ReadSize(env, call.argument[2], "slots", kMaxMessages, &count) ||
      !ReadInts(env, call.argument[3], "messages", &messages)) {
    return nullptr;
  }
  if (slot < kMinSlot || count == 0 || count > pool.length / slot || count > messages.length / kMessageWords) {
    ThrowRange(env, "so many messages do not fit");
    return nullptr;
  }
  if (socket->fd() < 0) return MakeNumber(env, -EBADF);
  Batch batch;
  batch.Prepare(pool, slot, count);
  int received = 0;
  do {
    received = ReceiveMessages(socket, batch.header, count);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return MakeNumber(env, -errno);
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  for (int i = 0; i < received; i++) {
    const Facts facts = batch.FactsOf(static_cast<size_t>(i));
    int32_t* out = messages.data + static_cast<size_t>(i) * kMessageWords;
    out[0] = static_cast<int32_t>(batch.header[i].msg_len);
    out[1] = facts.joined_size;
    out[2] = (batch.header[i].msg_hdr.msg_flags & MSG_TRUNC) != 0 ? 1 : 0;
    out[3] = Age(facts, Micros(now));
    batch.address[i].ToRecord(out + 4);
  }
  return MakeNumber(env, received);
}

}  // namespace quicgate
