// What JavaScript calls of a socket, but for receiving and sending.
#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <time.h>

#include <climits>
#include <cstring>
#include <vector>

#include "arguments.h"
#include "udp_socket.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_TXTIME
#define SO_TXTIME 61
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

namespace quicgate {

namespace {

/// The words of one instruction: code, jump if true, jump if false, operand.
constexpr size_t kInstructionWords = 4;
constexpr int kMaxBuffer = 1 << 30;

napi_value Errno(napi_env env, bool good) { return MakeNumber(env, good ? 0 : errno); }

int SetOption(int fd, int level, int name, int value) { return setsockopt(fd, level, name, &value, sizeof value); }

/// The receiver, as long as it is open.
UdpSocket* OpenReceiver(napi_env env, const Call& call) {
  UdpSocket* socket = Receiver<UdpSocket>(env, call);
  if (socket == nullptr || socket->fd() >= 0) return socket;
  napi_throw_error(env, "ERR_SOCKET_CLOSED", "the socket is closed");
  return nullptr;
}

bool ReadAddress(napi_env env, napi_value value, SocketAddress* out) {
  Ints record;
  if (!ReadInts(env, value, "record", &record)) return false;
  return (record.length >= kAddressWords && out->FromRecord(record.data)) ||
         ThrowRange(env, "not the record of an address");
}

void Finalize(napi_env, void* socket, void*) { static_cast<UdpSocket*>(socket)->Release(); }

/// new UdpSocket(family, fd): 4 or 6, and the descriptor of a socket to take over instead of opening one. Throws an
/// Error with the system's code.
napi_value NewUdpSocket(napi_env env, napi_callback_info info) {
  Call call;
  size_t family = 0;
  if (!call.ReadNew(env, info) || !ReadSize(env, call.argument[0], "family", 6, &family)) return nullptr;
  if (family != 4 && family != 6) {
    ThrowRange(env, "family: expected 4 or 6");
    return nullptr;
  }
  napi_valuetype type = napi_undefined;
  size_t fd = 0;
  if (napi_typeof(env, call.argument[1], &type) != napi_ok ||
      (type != napi_undefined && !ReadSize(env, call.argument[1], "fd", INT_MAX, &fd))) {
    return nullptr;
  }
  int error = 0;
  const int domain = family == 4 ? AF_INET : AF_INET6;
  UdpSocket* socket = type == napi_undefined ? UdpSocket::Open(domain, &error)
                                             : UdpSocket::Adopt(domain, static_cast<int>(fd), &error);
  if (socket == nullptr) {
    napi_throw_error(env, uv_err_name(-error), std::strerror(error));
    return nullptr;
  }
  if (napi_wrap(env, call.receiver, socket, Finalize, nullptr, nullptr) != napi_ok) {
    socket->Release();
    napi_throw_type_error(env, nullptr, "the object is another's already");
    return nullptr;
  }
  return call.receiver;
}

/// bind(record): 0 or the error's number, like all that follow
napi_value Bind(napi_env env, napi_callback_info info) {
  Call call;
  SocketAddress address;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr || !ReadAddress(env, call.argument[0], &address)) return nullptr;
  return Errno(env, bind(socket->fd(), &address.any, address.length) == 0);
}

/// connect(record)
napi_value ConnectTo(napi_env env, napi_callback_info info) {
  Call call;
  SocketAddress address;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr || !ReadAddress(env, call.argument[0], &address)) return nullptr;
  return MakeNumber(env, socket->Connect(address));
}

/// localAddress(record): writes it
napi_value LocalAddress(napi_env env, napi_callback_info info) {
  Call call;
  Ints record;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr || !ReadInts(env, call.argument[0], "record", &record)) return nullptr;
  if (record.length < kAddressWords) {
    ThrowRange(env, "no address fits the record");
    return nullptr;
  }
  SocketAddress address;
  address.length = sizeof address.storage;
  if (getsockname(socket->fd(), &address.any, &address.length) != 0) return MakeNumber(env, errno);
  address.ToRecord(record.data);
  return MakeNumber(env, 0);
}

/// setBufferSizes(receive, send): what was granted for receiving, bytes; the kernel caps silently
napi_value SetBufferSizes(napi_env env, napi_callback_info info) {
  Call call;
  size_t receive = 0;
  size_t send = 0;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr || !ReadSize(env, call.argument[0], "receive", kMaxBuffer, &receive) ||
      !ReadSize(env, call.argument[1], "send", kMaxBuffer, &send)) {
    return nullptr;
  }
  SetOption(socket->fd(), SOL_SOCKET, SO_RCVBUF, static_cast<int>(receive));
  SetOption(socket->fd(), SOL_SOCKET, SO_SNDBUF, static_cast<int>(send));
  int granted = 0;
  socklen_t length = sizeof granted;
  getsockopt(socket->fd(), SOL_SOCKET, SO_RCVBUF, &granted, &length);
  return MakeNumber(env, granted);
}

/// useOffloads(segmentation): a bit for what the kernel has: 1 cutting what is sent, 2 joining what is received
napi_value UseOffloads(napi_env env, napi_callback_info info) {
  Call call;
  size_t wanted = 0;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr || !ReadSize(env, call.argument[0], "segmentation", 1, &wanted)) return nullptr;
  // 0 is no size to cut by, but only a kernel that knows the option takes it.
  const bool cuts = wanted == 1 && SetOption(socket->fd(), IPPROTO_UDP, UDP_SEGMENT, 0) == 0;
  const bool joins = SetOption(socket->fd(), IPPROTO_UDP, UDP_GRO, 1) == 0;
  socket->segmentation = cuts;
  return MakeNumber(env, (cuts ? 1 : 0) | (joins ? 2 : 0));
}

/// stampArrivals(): messages are received with the time at which the kernel took them from the network
napi_value StampArrivals(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr) return nullptr;
  return Errno(env, SetOption(socket->fd(), SOL_SOCKET, SO_TIMESTAMPNS, 1) == 0);
}

/// markEcn(codepoint): the two ECN bits of what is sent
napi_value MarkEcn(napi_env env, napi_callback_info info) {
  Call call;
  size_t codepoint = 0;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr || !ReadSize(env, call.argument[0], "codepoint", 3, &codepoint)) return nullptr;
  const int value = static_cast<int>(codepoint);
  int family = 0;
  socklen_t length = sizeof family;
  getsockopt(socket->fd(), SOL_SOCKET, SO_DOMAIN, &family, &length);
  if (family == AF_INET) return Errno(env, SetOption(socket->fd(), IPPROTO_IP, IP_TOS, value) == 0);
  // What goes to mapped IPv4 addresses is marked by the option of IPv4.
  SetOption(socket->fd(), IPPROTO_IP, IP_TOS, value);
  return Errno(env, SetOption(socket->fd(), IPPROTO_IPV6, IPV6_TCLASS, value) == 0);
}

/// paceDepartures(): the kernel is told when what is sent has to leave
napi_value PaceDepartures(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr) return nullptr;
  // As <linux/net_tstamp.h> has it. The clock is the one that the queueing discipline fq goes by.
  const struct {
    int32_t clock;
    uint32_t flags;
  } wanted = {CLOCK_MONOTONIC, 0};
  socket->paced = setsockopt(socket->fd(), SOL_SOCKET, SO_TXTIME, &wanted, sizeof wanted) == 0;
  return Errno(env, socket->paced);
}

/// sharePort(): before bind
napi_value SharePort(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr) return nullptr;
  return Errno(env, SetOption(socket->fd(), SOL_SOCKET, SO_REUSEPORT, 1) == 0);
}

/// chooseBy(program): classic BPF that names the socket, of those on one port, for a datagram; after bind
napi_value ChooseBy(napi_env env, napi_callback_info info) {
  Call call;
  Doubles words;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr || !ReadDoubles(env, call.argument[0], "program", &words)) return nullptr;
  const size_t count = words.length / kInstructionWords;
  if (count == 0 || count > BPF_MAXINSNS || words.length % kInstructionWords != 0) {
    ThrowRange(env, "not a program");
    return nullptr;
  }
  std::vector<sock_filter> program(count);
  const double limits[kInstructionWords] = {0xffff, 0xff, 0xff, 0xffffffff};
  for (size_t i = 0; i < count; i++) {
    uint32_t word[kInstructionWords];
    for (size_t n = 0; n < kInstructionWords; n++) {
      const double value = words.data[i * kInstructionWords + n];
      if (!(value >= 0 && value <= limits[n])) {
        ThrowRange(env, "not an instruction");
        return nullptr;
      }
      word[n] = static_cast<uint32_t>(value);
    }
    program[i] = {static_cast<uint16_t>(word[0]), static_cast<uint8_t>(word[1]), static_cast<uint8_t>(word[2]), word[3]};
  }
  const sock_fprog filter = {static_cast<unsigned short>(count), program.data()};
  return Errno(env, setsockopt(socket->fd(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof filter) == 0);
}

/// kernelDrops(): datagrams that did not fit the receive buffer, modulo 2^32; -1 where the kernel does not tell
napi_value KernelDrops(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr) return nullptr;
  uint32_t facts[SK_MEMINFO_VARS] = {};
  socklen_t length = sizeof facts;
  if (getsockopt(socket->fd(), SOL_SOCKET, SO_MEMINFO, facts, &length) != 0 ||
      length <= SK_MEMINFO_DROPS * sizeof *facts) {
    return MakeNumber(env, -1);
  }
  return MakeNumber(env, facts[SK_MEMINFO_DROPS]);
}

/// descriptor(): the number by which a child process can inherit it
napi_value Descriptor(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  return socket == nullptr ? nullptr : MakeNumber(env, socket->fd());
}

/// start(onReady): calls it with 1 when there is something to receive, 2 when there is room to send, or 3
napi_value Start(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr) return nullptr;
  napi_valuetype type = napi_undefined;
  if (napi_typeof(env, call.argument[0], &type) != napi_ok || type != napi_function) {
    napi_throw_type_error(env, nullptr, "onReady: expected a function");
    return nullptr;
  }
  int error = 0;
  if (socket->started()) {
    napi_throw_error(env, nullptr, "started already");
    return nullptr;
  }
  if (socket->Start(env, call.receiver, call.argument[0], &error) != napi_ok) {
    napi_throw_error(env, nullptr, "the socket cannot be polled");
    return nullptr;
  }
  return MakeNumber(env, error);
}

/// watchWritable(wanted)
napi_value WatchWritable(napi_env env, napi_callback_info info) {
  Call call;
  size_t wanted = 0;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = OpenReceiver(env, call);
  if (socket == nullptr || !ReadSize(env, call.argument[0], "wanted", 1, &wanted)) return nullptr;
  return MakeNumber(env, socket->WatchWritable(wanted == 1));
}

/// close(): at once; again does nothing
napi_value Close(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.Read(env, info)) return nullptr;
  UdpSocket* socket = Receiver<UdpSocket>(env, call);
  if (socket != nullptr) socket->Close();
  return nullptr;
}

}  // namespace

bool DefineUdpSocket(napi_env env, napi_value exports) {
  const Method methods[] = {
      {"bind", Bind},
      {"connect", ConnectTo},
      {"localAddress", LocalAddress},
      {"setBufferSizes", SetBufferSizes},
      {"useOffloads", UseOffloads},
      {"stampArrivals", StampArrivals},
      {"markEcn", MarkEcn},
      {"paceDepartures", PaceDepartures},
      {"sharePort", SharePort},
      {"chooseBy", ChooseBy},
      {"kernelDrops", KernelDrops},
      {"descriptor", Descriptor},
      {"start", Start},
      {"watchWritable", WatchWritable},
      {"receive", Receive},
      {"send", Send},
      {"close", Close},
  };
  return DefineClass(env, exports, "UdpSocket", NewUdpSocket, methods, sizeof methods / sizeof *methods);
}

}  // namespace quicgate
