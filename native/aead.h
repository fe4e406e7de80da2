// AEADs and header protection by the OpenSSL that the node binary carries, with contexts kept for each key.
#ifndef QUICGATE_AEAD_H_
#define QUICGATE_AEAD_H_

#include <node_api.h>

namespace quicgate {

/// Adds the classes AeadKey and HeaderMask.
bool DefineAead(napi_env env, napi_value exports);

}  // namespace quicgate

#endif
