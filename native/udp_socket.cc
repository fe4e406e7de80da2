#include "udp_socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "arguments.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
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

}  // namespace

UdpSocket* UdpSocket::Open(int family, int* error) {
  const int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0) {
    *error = errno;
    return nullptr;
  }
  return new UdpSocket(fd);
}

int UdpSocket::Connect(const SocketAddress& peer) {
  if (connect(fd_, &peer.any, peer.length) != 0) return errno;
  connected_ = true;
  return 0;
}

napi_status UdpSocket::Start(napi_env env, napi_value self, napi_value on_ready, int* error) {
  uv_loop_t* loop = nullptr;
  napi_value name = nullptr;
  napi_status status = napi_get_uv_event_loop(env, &loop);
  if (status == napi_ok) status = napi_create_string_latin1(env, "quicgate:udp", NAPI_AUTO_LENGTH, &name);
  if (status != napi_ok) return status;
  auto* poll = static_cast<uv_poll_t*>(std::calloc(1, uv_handle_size(UV_POLL)));
  if (poll == nullptr) return napi_generic_failure;
  *error = -uv_poll_init(loop, poll, fd_);
  if (*error != 0) {
    std::free(poll);
    return napi_ok;
  }
  uv_handle_set_data(reinterpret_cast<uv_handle_t*>(poll), this);
  poll_ = poll;
  env_ = env;
  if ((status = napi_create_reference(env, self, 1, &self_)) != napi_ok ||
      (status = napi_create_reference(env, on_ready, 1, &on_ready_)) != napi_ok ||
      (status = napi_async_init(env, self, name, &context_)) != napi_ok ||
      (status = napi_add_async_cleanup_hook(env, OnTeardown, this, &hook_)) != napi_ok) {
    Close();
    return status;
  }
  *error = Poll();
  if (*error != 0) Close();
  return napi_ok;
}

int UdpSocket::Poll() { return -uv_poll_start(poll_, UV_READABLE | (watching_writable_ ? UV_WRITABLE : 0), OnPoll); }

int UdpSocket::WatchWritable(bool wanted) {
  if (poll_ == nullptr || fd_ < 0) return EBADF;
  if (watching_writable_ == wanted) return 0;
  watching_writable_ = wanted;
  return Poll();
}

void UdpSocket::OnPoll(uv_poll_t* poll, int status, int events) {
  auto* socket = static_cast<UdpSocket*>(uv_handle_get_data(reinterpret_cast<uv_handle_t*>(poll)));
  // libuv takes an error that waits on the socket, such as a refused datagram, for a bad descriptor and stops. Reading
  // is what takes the error off.
  if (status < 0) {
    socket->Poll();
    events = UV_READABLE;
  }
  socket->Call(events);
}

void UdpSocket::Call(int events) {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  napi_env env = env_;
  napi_value self = nullptr;
  napi_value on_ready = nullptr;
  napi_value argument = MakeNumber(env, events);
  napi_value result = nullptr;
  if (napi_get_reference_value(env, self_, &self) == napi_ok &&
      napi_get_reference_value(env, on_ready_, &on_ready) == napi_ok &&
      napi_make_callback(env, context_, self, on_ready, 1, &argument, &result) == napi_pending_exception) {
    napi_value exception = nullptr;
    if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
  }
  napi_close_handle_scope(env, scope);
}

void UdpSocket::Close() {
  if (fd_ < 0) return;
  if (poll_ != nullptr) {
    // Takes the descriptor out of the loop's set before it is closed.
    uv_close(reinterpret_cast<uv_handle_t*>(poll_), OnPollClosed);
    if (context_ != nullptr) napi_async_destroy(env_, context_);
    if (self_ != nullptr) napi_delete_reference(env_, self_);
    if (on_ready_ != nullptr) napi_delete_reference(env_, on_ready_);
    context_ = nullptr;
    self_ = on_ready_ = nullptr;
  }
  close(fd_);
  fd_ = -1;
}

void UdpSocket::OnPollClosed(uv_handle_t* handle) {
  auto* socket = static_cast<UdpSocket*>(uv_handle_get_data(handle));
  std::free(handle);
  socket->poll_ = nullptr;
  if (socket->hook_ != nullptr) napi_remove_async_cleanup_hook(socket->hook_);
  socket->hook_ = nullptr;
  socket->DeleteIfUnused();
}

// The hook ends when the handle is closed: Node runs the loop until then.
void UdpSocket::OnTeardown(napi_async_cleanup_hook_handle, void* self) { static_cast<UdpSocket*>(self)->Close(); }

void UdpSocket::Release() {
  held_by_javascript_ = false;
  Close();
  DeleteIfUnused();
}

void UdpSocket::DeleteIfUnused() {
  if (!held_by_javascript_ && poll_ == nullptr) delete this;
}

namespace {

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

/// new UdpSocket(family): 4 or 6. Throws an Error with the system's code.
napi_value NewUdpSocket(napi_env env, napi_callback_info info) {
  Call call;
  size_t family = 0;
  if (!call.ReadNew(env, info) || !ReadSize(env, call.argument[0], "family", 6, &family)) return nullptr;
  if (family != 4 && family != 6) {
    ThrowRange(env, "family: expected 4 or 6");
    return nullptr;
  }
  int error = 0;
  UdpSocket* socket = UdpSocket::Open(family == 4 ? AF_INET : AF_INET6, &error);
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
      {"markEcn", MarkEcn},
      {"sharePort", SharePort},
      {"chooseBy", ChooseBy},
      {"kernelDrops", KernelDrops},
      {"start", Start},
      {"watchWritable", WatchWritable},
      {"receive", Receive},
      {"send", Send},
      {"close", Close},
  };
  return DefineClass(env, exports, "UdpSocket", NewUdpSocket, methods, sizeof methods / sizeof *methods);
}

}  // namespace quicgate
