#include <errno.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "aead.h"
#include "arguments.h"
#include "openssl_objects.h"
#include "udp_socket.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef SCM_TXTIME
#define SCM_TXTIME 61
#endif

namespace quicgate {

namespace {

/// Where the next byte stands, where they end, the size to cut by, whom they are for, and in how many microseconds.
constexpr size_t kTransmitWords = 3 + kAddressWords + 1;
/// The longest that anything is given to the kernel ahead of its time.
constexpr int32_t kMaxDelay = 1'000'000;
/// What the kernel cuts at most, in datagrams and in bytes.
constexpr size_t kMaxSegments = 64;
constexpr size_t kMaxCutBytes = 65000;
/// Transmits in one message.
constexpr size_t kMaxJoined = 4;
/// Transmits in one call.
constexpr size_t kMaxTransmits = 64;

/// Packets to one peer, back to back.
struct Transmit {
  size_t at;
  size_t end;
  size_t segment;
  int32_t record[kAddressWords];
  /// When it has to leave, by the monotonic clock in nanoseconds; 0 for now.
  uint64_t departure;
  size_t length() const { return end - at; }
};

/// Copied and checked before the first is sent: the memory that JavaScript shows may change at any moment.
struct Transmits {
  Transmit list[kMaxTransmits];
  size_t count = 0;
};

/// What a call has come to; JavaScript reads it as words in this order.
struct Outcome {
  int32_t next = 0;
  int32_t error = 0;
  int32_t error_size = 0;
  int32_t error_at = 0;
  int32_t lost = 0;
};
constexpr size_t kOutcomeWords = sizeof(Outcome) / sizeof(int32_t);

/// What no longer goes in larger pieces.
enum Lost : int32_t { kSegmentation = 1, kManyMessages = 2 };

/// The messages of one system call, and which bytes of which transmits are in them.
struct Batch {
  mmsghdr header[kMaxMessages];
  iovec vector[kMaxMessages][kMaxJoined];
  SocketAddress address[kMaxMessages];
  alignas(cmsghdr) char control[kMaxMessages][CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(uint64_t))];
  /// Whether the kernel is to cut the message into datagrams.
  bool cut[kMaxMessages];
  unsigned count = 0;

  msghdr& Add(const UdpSocket& socket, const Transmit& transmit) {
    msghdr& message = header[count].msg_hdr;
    std::memset(&message, 0, sizeof message);
    message.msg_iov = vector[count];
    if (!socket.connected() && address[count].FromRecord(transmit.record)) {
      message.msg_name = &address[count].storage;
      message.msg_namelen = address[count].length;
    }
    cut[count++] = false;
    if (transmit.departure != 0) Attach(message, SOL_SOCKET, SCM_TXTIME, transmit.departure);
    return message;
  }

  static void Append(msghdr& message, uint8_t* bytes, size_t length) {
    message.msg_iov[message.msg_iovlen++] = {bytes, length};
  }

  void CutBy(msghdr& message, size_t segment) {
    cut[count - 1] = true;
    Attach(message, IPPROTO_UDP, UDP_SEGMENT, static_cast<uint16_t>(segment));
  }

  /// Adds a control message to the message that was added last.
  template <typename Value>
  void Attach(msghdr& message, int level, int type, Value value) {
    char* at = control[count - 1] + message.msg_controllen;
    message.msg_control = control[count - 1];
    message.msg_controllen += CMSG_SPACE(sizeof value);
    std::memset(at, 0, CMSG_SPACE(sizeof value));
    cmsghdr* part = reinterpret_cast<cmsghdr*>(at);
    part->cmsg_level = level;
    part->cmsg_type = type;
    part->cmsg_len = CMSG_LEN(sizeof value);
    std::memcpy(CMSG_DATA(part), &value, sizeof value);
  }

  static size_t Length(const msghdr& message) {
    size_t length = 0;
    for (size_t i = 0; i < message.msg_iovlen; i++) length += message.msg_iov[i].iov_len;
    return length;
  }
};

/// Sends transmits in order.
class Sender {
 public:
  Sender(UdpSocket* socket, const Bytes& bytes, Transmits* transmits)
      : socket_(socket), bytes_(bytes), transmits_(transmits->list), last_(transmits->count) {}

  /// Goes on until all is sent, or an error has to be told: it is that of the packets at the front, which are given up
  /// but for EAGAIN.
  Outcome Run() {
    while (outcome_.error == 0 && SkipFinished()) Step();
    outcome_.next = static_cast<int32_t>(next_);
    return outcome_;
  }

 private:
  bool SkipFinished() {
    while (next_ < last_ && transmits_[next_].length() == 0) next_++;
    return next_ < last_;
  }

  void Step() {
    Batch batch;
    Fill(&batch);
    const bool cut = batch.cut[0];
    const size_t length = Batch::Length(batch.header[0].msg_hdr);
    const int sent = Hand(&batch);
    if (sent < 0) {
      OnError(errno, cut, length);
      return;
    }
    for (int i = 0; i < sent; i++) {
      if (batch.cut[i]) socket_->segmentation_proven = true;
      Advance(Batch::Length(batch.header[i].msg_hdr));
    }
    whole_ = true;
  }

  /// Takes what is next into as few messages as the socket allows, without moving on.
  void Fill(Batch* batch) {
    size_t i = next_;
    while (i < last_ && batch->count < kMaxMessages) {
      const Transmit& transmit = transmits_[i];
      if (transmit.length() == 0) {
        i++;
      } else if (socket_->segmentation && whole_ && transmit.segment <= kMaxCutBytes &&
                 transmit.length() > transmit.segment) {
        i = AddCut(batch, i);
      } else {
        i = AddSingly(batch, i);
      }
    }
  }

  /// One message for this transmit and those after it that are for the same peer and cut alike. Answers which is next.
  size_t AddCut(Batch* batch, size_t i) {
    const Transmit& first = transmits_[i];
    const size_t limit = std::min(kMaxSegments, kMaxCutBytes / first.segment) * first.segment;
    msghdr& message = batch->Add(*socket_, first);
    batch->CutBy(message, first.segment);
    size_t length = 0;
    for (; i < last_ && message.msg_iovlen < kMaxJoined; i++) {
      const Transmit& transmit = transmits_[i];
      const size_t own = transmit.length();
      if (length > 0 && !(Continues(first, transmit) && length + own <= limit)) break;
      Batch::Append(message, bytes_.data + transmit.at, std::min(own, limit));
      length += own;
      // What is too long goes in pieces, and only full datagrams can be followed by others.
      if (own > limit || own % first.segment != 0) return own > limit ? last_ : i + 1;
    }
    return i;
  }

  static bool Continues(const Transmit& first, const Transmit& next) {
    return next.segment == first.segment && next.departure == first.departure &&
           std::memcmp(next.record, first.record, sizeof next.record) == 0;
  }

  size_t AddSingly(Batch* batch, size_t i) {
    const Transmit& transmit = transmits_[i];
    size_t at = transmit.at;
    while (at < transmit.end && batch->count < kMaxMessages) {
      const size_t length = std::min(transmit.segment, transmit.end - at);
      Batch::Append(batch->Add(*socket_, transmit), bytes_.data + at, length);
      at += length;
    }
    // What follows a transmit that is to go without being cut may be cut again: in the next round.
    return at < transmit.end || !whole_ ? last_ : i + 1;
  }

  int Hand(Batch* batch) {
    for (;;) {
      int sent = 0;
      if (socket_->many_messages) {
        sent = sendmmsg(socket_->fd(), batch->header, batch->count, MSG_DONTWAIT | MSG_NOSIGNAL);
      } else {
        sent = sendmsg(socket_->fd(), &batch->header[0].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 1;
      }
      if (sent >= 0) return sent;
      if (errno == ENOSYS && socket_->many_messages) {
        socket_->many_messages = false;
        outcome_.lost |= kManyMessages;
      } else if (errno != EINTR) {
        return -1;
      }
    }
  }

  void OnError(int error, bool cut, size_t length) {
    if (error == EAGAIN || error == EWOULDBLOCK) {
      outcome_.error = EAGAIN;
      return;
    }
    if (cut && (error == EIO || error == EINVAL || error == EMSGSIZE || error == ENOPROTOOPT || error == EOPNOTSUPP)) {
      // EIO: the network card cannot; EINVAL from the start: nobody can. Else some datagram is too large to be cut, and
      // singly each of them is heard of.
      if (error == EIO || (!socket_->segmentation_proven && error != EMSGSIZE)) {
        socket_->segmentation = false;
        outcome_.lost |= kSegmentation;
      }
      whole_ = false;
      return;
    }
    outcome_.error = error;
    outcome_.error_size = static_cast<int32_t>(length);
    outcome_.error_at = static_cast<int32_t>(next_);
    Advance(length);
  }

  /// `length` bytes from the front are done with.
  void Advance(size_t length) {
    while (length > 0) {
      Transmit& transmit = transmits_[next_];
      const size_t own = std::min(length, transmit.length());
      transmit.at += own;
      length -= own;
      if (transmit.length() == 0) next_++;
    }
  }

  UdpSocket* socket_;
  const Bytes bytes_;
  Transmit* transmits_;
  size_t next_ = 0;
  const size_t last_;
  Outcome outcome_;
  /// False after a refusal: the transmit at the front goes datagram by datagram.
  bool whole_ = true;
};

/// @param now by the monotonic clock, nanoseconds
bool ReadTransmit(napi_env env, const UdpSocket& socket, const Bytes& bytes, const int32_t* shown, uint64_t now,
                  Transmit* out) {
  int32_t words[kTransmitWords];
  std::memcpy(words, shown, sizeof words);
  if (words[0] < 0 || words[1] < words[0] || static_cast<size_t>(words[1]) > bytes.length) {
    return ThrowRange(env, "a transmit does not lie in the buffer");
  }
  if (words[2] <= 0) return ThrowRange(env, "a transmit has no size to cut by");
  const int32_t delay = words[kTransmitWords - 1];
  if (delay < 0 || delay > kMaxDelay) return ThrowRange(env, "a transmit is not due soon");
  out->departure = socket.paced && delay > 0 ? now + static_cast<uint64_t>(delay) * 1000 : 0;
  out->at = static_cast<size_t>(words[0]);
  out->end = static_cast<size_t>(words[1]);
  out->segment = static_cast<size_t>(words[2]);
  std::memcpy(out->record, words + 3, sizeof out->record);
  SocketAddress address;
  return socket.connected() || address.FromRecord(out->record) || ThrowRange(env, "a transmit has no address");
}

uint64_t MonotonicNanoseconds() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

/// Seals what is to be sealed before it is sent, if anything is.
bool SealFirst(napi_env env, const Bytes& bytes, napi_value sealings, napi_value batches) {
  napi_valuetype type = napi_undefined;
  if (napi_typeof(env, sealings, &type) == napi_ok && type == napi_undefined) return true;
  Doubles words;
  size_t count = 0;
  if (!ReadDoubles(env, sealings, "sealings", &words) ||
      !ReadSize(env, batches, "batches", Sealings::kMaxBatches, &count)) {
    return false;
  }
  Sealings mine;
  return mine.Read(env, bytes, words, count) && (mine.Run(bytes.data) || ThrowOpenssl(env));
}

}  // namespace

/// send(bytes, transmits, first, last, outcome, sealings, batches): seals the packets of so many batches, if they are
/// given, then sends the transmits [first, last) and moves their beginnings on; `outcome` tells which is next, an error
/// (EAGAIN: the kernel has no room) with the size of the datagram that met it and its transmit, and what the system
/// turned out not to have. With an exception nothing has been sent, and nothing changed unless it is OpenSSL's.
napi_value Send(napi_env env, napi_callback_info info) {
  Call call;
  Bytes bytes;
  Ints transmits;
  Ints outcome;
  size_t first = 0;
  size_t last = 0;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = Receiver<UdpSocket>(env, call);
  if (socket == nullptr || !ReadBytes(env, call.argument[0], "bytes", &bytes) ||
      !ReadInts(env, call.argument[1], "transmits", &transmits) ||
      !ReadSize(env, call.argument[3], "last", std::min(transmits.length / kTransmitWords, kMaxTransmits), &last) ||
      !ReadSize(env, call.argument[2], "first", last, &first) ||
      !ReadInts(env, call.argument[4], "outcome", &outcome)) {
    return nullptr;
  }
  if (outcome.length < kOutcomeWords) {
    ThrowRange(env, "no outcome fits");
    return nullptr;
  }
  if (socket->fd() < 0) {
    napi_throw_error(env, "ERR_SOCKET_CLOSED", "the socket is closed");
    return nullptr;
  }
  Transmits mine;
  const uint64_t now = socket->paced ? MonotonicNanoseconds() : 0;
  for (size_t i = first; i < last; i++) {
    const int32_t* shown = transmits.data + i * kTransmitWords;
    if (!ReadTransmit(env, *socket, bytes, shown, now, &mine.list[mine.count++])) return nullptr;
  }
  if (!SealFirst(env, bytes, call.argument[5], call.argument[6])) return nullptr;
  Outcome result = Sender(socket, bytes, &mine).Run();
  for (size_t i = 0; i < mine.count; i++) {
    transmits.data[(first + i) * kTransmitWords] = static_cast<int32_t>(mine.list[i].at);
  }
  result.next += static_cast<int32_t>(first);
  result.error_at += static_cast<int32_t>(first);
  std::memcpy(outcome.data, &result, sizeof result);
  return nullptr;
}

}  // namespace quicgate
