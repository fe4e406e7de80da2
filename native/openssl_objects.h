// Owners of OpenSSL's objects.
#ifndef QUICGATE_OPENSSL_OBJECTS_H_
#define QUICGATE_OPENSSL_OBJECTS_H_

#include <node_api.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <memory>

namespace quicgate {

template <typename T, void (*Free)(T*)>
struct OpensslDeleter {
  void operator()(T* object) const { Free(object); }
};

using Context = std::unique_ptr<EVP_CIPHER_CTX, OpensslDeleter<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, OpensslDeleter<EVP_MD_CTX, EVP_MD_CTX_free>>;
using PublicKeyContext = std::unique_ptr<EVP_PKEY_CTX, OpensslDeleter<EVP_PKEY_CTX, EVP_PKEY_CTX_free>>;
using PublicKey = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY, EVP_PKEY_free>>;

/// Throws an Error and forgets OpenSSL's own. Always false.
inline bool ThrowOpenssl(napi_env env) {
  ERR_clear_error();
  napi_throw_error(env, nullptr, "OpenSSL failed");
  return false;
}

}  // namespace quicgate

#endif
