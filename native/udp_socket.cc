#include "udp_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "arguments.h"

namespace quicgate {

UdpSocket* UdpSocket::Open(int family, int* error) {
  const int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0) {
    *error = errno;
    return nullptr;
  }
  return new UdpSocket(fd);
}

UdpSocket* UdpSocket::Adopt(int family, int fd, int* error) {
  int domain = 0;
  int type = 0;
  int protocol = 0;
  socklen_t length = sizeof(int);
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 ||
      getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 ||
      getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) != 0) {
    *error = errno;
    return nullptr;
  }
  if (domain != family || type != SOCK_DGRAM || protocol != IPPROTO_UDP) {
    *error = EPROTOTYPE;
    return nullptr;
  }
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
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

}  // namespace quicgate
