// Socket addresses as JavaScript keeps them: records of whole numbers in an Int32Array, so that a datagram needs no
// string.
#ifndef QUICGATE_ADDRESS_H_
#define QUICGATE_ADDRESS_H_

#include <netinet/in.h>
#include <node_api.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

namespace quicgate {

/// Family (4 or 6), port, four words of address as they stand in memory (IPv4: one, then zeros), IPv6 scope.
constexpr size_t kAddressWords = 7;

struct SocketAddress {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_storage storage;
  };
  socklen_t length = 0;

  SocketAddress() { any.sa_family = AF_UNSPEC; }
  /// False for what is no record.
  bool FromRecord(const int32_t* record);
  void ToRecord(int32_t* record) const;
};

/// Adds parseAddress and formatAddress.
bool DefineAddresses(napi_env env, napi_value exports);

}  // namespace quicgate

#endif
