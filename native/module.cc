// The packet engine's native part: packet protection, what handshakes compute keys with, and UDP sockets. What it offers
// is declared in src/endpoint/engines/native-addon.ts.
#include <node_api.h>

#include "address.h"
#include "aead.h"
#include "primitives.h"
#include "udp_socket.h"

NAPI_MODULE_INIT() {
  if (!quicgate::DefineAead(env, exports) || !quicgate::DefinePrimitives(env, exports) ||
      !quicgate::DefineAddresses(env, exports) || !quicgate::DefineUdpSocket(env, exports)) {
    napi_throw_error(env, nullptr, "the packet engine cannot be set up");
    return nullptr;
  }
  return exports;
}
