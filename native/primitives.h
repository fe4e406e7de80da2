// What handshakes need besides packet protection: X25519, HKDF with SHA-256 and boxes of AES-128-GCM, by the OpenSSL that
// the node binary carries.
#ifndef QUICGATE_PRIMITIVES_H_
#define QUICGATE_PRIMITIVES_H_

#include <node_api.h>

namespace quicgate {

/// Adds the classes X25519Key and GcmBox and the functions hkdfExtract and hkdfExpand.
bool DefinePrimitives(napi_env env, napi_value exports);

}  // namespace quicgate

#endif
