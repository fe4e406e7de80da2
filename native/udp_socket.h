// A non-blocking UDP socket that the addon owns and libuv polls.
#ifndef QUICGATE_UDP_SOCKET_H_
#define QUICGATE_UDP_SOCKET_H_

#include <node_api.h>
#include <uv.h>

#include <cstdint>

#include "address.h"

namespace quicgate {

/// The most messages that one system call moves.
constexpr unsigned kMaxMessages = 64;

class UdpSocket {
 public:
  static UdpSocket* Open(int family, int* error);
  /// Takes over a UDP socket of that family that is open already. Closes nothing if it is none.
  static UdpSocket* Adopt(int family, int fd, int* error);

  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  int fd() const { return fd_; }
  bool connected() const { return connected_; }
  bool started() const { return poll_ != nullptr; }
  int Connect(const SocketAddress& peer);

  /// Begins to call `on_ready` of the JavaScript object `self`, which is kept alive until Close.
  napi_status Start(napi_env env, napi_value self, napi_value on_ready, int* error);
  /// Also asks for being called when there is room to send.
  int WatchWritable(bool wanted);
  /// Closes the descriptor, at once and once.
  void Close();
  /// JavaScript has let go of its object.
  void Release();

  /// Whether datagrams may be sent as one that the kernel, or the network card, cuts.
  bool segmentation = true;
  /// Whether it ever worked.
  bool segmentation_proven = false;
  /// Whether several messages may go in one call.
  bool many_messages = true;
  /// Whether the kernel takes the time at which a message is to leave.
  bool paced = false;

 private:
  explicit UdpSocket(int fd) : fd_(fd) {}
  ~UdpSocket() = default;

  static void OnPoll(uv_poll_t* poll, int status, int events);
  static void OnPollClosed(uv_handle_t* handle);
  static void OnTeardown(napi_async_cleanup_hook_handle hook, void* self);
  void Call(int events);
  int Poll();
  void DeleteIfUnused();

  int fd_;
  bool connected_ = false;
  bool watching_writable_ = false;
  bool held_by_javascript_ = true;
  napi_env env_ = nullptr;
  /// Of libuv's own size, which is not the one that this was compiled with.
  uv_poll_t* poll_ = nullptr;
  napi_ref self_ = nullptr;
  napi_ref on_ready_ = nullptr;
  napi_async_context context_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

/// receive(pool, slotSize, slots, messages): see udp_receive.cc
napi_value Receive(napi_env env, napi_callback_info info);
/// send(bytes, transmits, first, last, outcome, sealings, batches): see udp_send.cc
napi_value Send(napi_env env, napi_callback_info info);

/// Adds the class UdpSocket.
bool DefineUdpSocket(napi_env env, napi_value exports);

}  // namespace quicgate

#endif
